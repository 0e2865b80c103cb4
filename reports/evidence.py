"""What gates are judged by, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reports.runinfo import RunInfo
from reports.samples import Samples
from reports.statistics import Stats, point_statistics
from reports.verdict import GateVerdict
from scenarios.gates import Gate
from scenarios.schedule import StageSpan


@dataclass(frozen=True)
class GateResult:
    """A gate and what became of it, all in the unit of its metric.

    ``value`` is infinite or None where there is none. ``limit`` is what was
    written, the baseline with its margin, or the prediction of the model. The
    interval of a regression gate has the one-sided 95 % bounds of its test.
    """

    gate: Gate
    verdict: GateVerdict
    value: float | None
    ci95: tuple[float, float] | None
    reason: str
    limit: float | None = None


class Figures(Protocol):
    """One run, as far as its figures are compared with those of others."""

    @property
    def started_at(self) -> str: ...

    def of(self, gate: Gate) -> float | None:
        """The gate's statistic in that run; None where it has none."""


class Prediction(Protocol):
    """What a model said of a run before it was made."""

    @property
    def problem(self) -> str:
        """Why it does not count; empty where it does."""

    def of(self, gate: Gate) -> float | None:
        """The gate's statistic as predicted; None where it was not."""

    def chance_of(self, gate: Gate) -> float | None:
        """How far one run is off by chance; None where that is not known."""


@dataclass(frozen=True)
class RunFigures:
    """Figures of a run whose samples are at hand."""

    started_at: str
    samples: Mapping[str, Samples]
    spans: Sequence[StageSpan]

    def of(self, gate: Gate) -> float | None:
        samples = self.samples.get(gate.metric)
        kept = None if samples is None else samples.during(self.spans, gate.during)
        if kept is None or not len(kept.values):
            return None
        return point_statistics(kept)[gate.stat]


@dataclass(frozen=True)
class Evidence:
    """All that the gates of one run are judged by.

    ``stats`` are over the measured stages. ``candidates`` are the runs of this
    build, this one included; ``against`` are runs of another, for ``mode: ab``.
    ``left_out`` says which baselines did not count, ``absent`` why a metric has no samples.
    """

    info: RunInfo
    samples: Mapping[str, Samples]
    spans: Sequence[StageSpan]
    stats: Mapping[str, Stats] = field(default_factory=dict)
    candidates: Sequence[Figures] = ()
    baselines: Sequence[Figures] = ()
    against: Sequence[Figures] = ()
    prediction: Prediction | None = None
    left_out: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)
