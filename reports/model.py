"""``model/`` of a run: what the simulator predicted before the load began."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reports import measure
from reports.errors import RunDirError
from reports.rundir import RunReader, digest
from reports.runinfo import RunInfo, read_info, read_json
from reports.samples import Samples
from reports.statistics import Stats, summarise
from reports.workload import workload
from scenarios.gates import Gate


@dataclass(frozen=True)
class Model:
    """A prediction: the metrics of its ``summary.json``, or why it does not count."""

    path: Path
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str = ""

    def of(self, gate: Gate) -> float | None:
        """The gate's statistic as predicted; None where it was not."""
        if gate.during is None:
            return self.figure(gate.metric, gate.stat)
        found = self._during(gate)
        return None if found is None else _number(found.values[gate.stat])

    def chance_of(self, gate: Gate) -> float | None:
        """What chance makes of the gate's statistic in one run; see ``chance``."""
        if gate.during is None:
            return self.chance(gate.metric, gate.stat)
        found = self._during(gate)
        if found is None or gate.stat not in found.ci95:
            return None
        return self._of_one_run(found.values[gate.stat], found.ci95[gate.stat])

    def figure(self, metric: str, stat: str) -> float | None:
        """A statistic over all measured stages; None where there is none."""
        found = self.metrics.get(metric)
        return _number(found.get(stat)) if isinstance(found, Mapping) else None

    def interval(self, metric: str, stat: str) -> tuple[float, float] | None:
        """Its 95 % interval; None where there is none."""
        found = self.metrics.get(metric)
        intervals = found.get("ci95") if isinstance(found, Mapping) else None
        ends = intervals.get(stat) if isinstance(intervals, Mapping) else None
        if not isinstance(ends, list) or len(ends) != 2:
            return None
        low, high = _number(ends[0]), _number(ends[1])
        return None if low is None or high is None else (low, high)

    def chance(self, metric: str, stat: str) -> float | None:
        """How far one run would be off if the model were right, 95 % of the time.

        The replications are such runs: their spread says it. None where there
        is no more than one.
        """
        value, ends = self.figure(metric, stat), self.interval(metric, stat)
        return None if value is None or ends is None else self._of_one_run(value, ends)

    def _of_one_run(self, value: float, ends: tuple[float, float]) -> float | None:
        """From the interval of the mean of n runs to that of one more, sqrt(n + 1) times as wide.

        The wider half counts: the other may have been cut off at 0.
        """
        half = max(value - ends[0], ends[1] - value)
        return half * math.sqrt(self._days + 1) if self._days > 1 else None

    def _during(self, gate: Gate) -> Stats | None:
        samples = self._samples.get(gate.metric)
        if self._run is None or samples is None:
            return None
        during = samples.during(self._run.spans, gate.during)
        return summarise(during, self._run.info.seed, [gate.stat])

    @cached_property
    def _samples(self) -> Mapping[str, Samples]:
        return {} if self._run is None else measure.measure(self._run)

    @cached_property
    def _days(self) -> int:
        """How many replications the prediction is the mean of."""
        if self._run is None:
            return 0
        days = measure.replications(self._run, self._run.events["node"])
        return 0 if days is None else len(np.unique(days))

    @cached_property
    def _run(self) -> RunReader | None:
        try:
            return RunReader(self.path)
        except RunDirError:
            return None


def read_model(run: RunReader) -> Model | None:
    """Read ``model/``; None where there is none. A broken one is a model with a problem."""
    path = run.path / "model"
    if not path.is_dir():
        return None
    try:
        summary = read_json(path / "summary.json")
        info = read_info(path)
    except RunDirError as error:
        return Model(path, problem=f"the prediction cannot be read: {error}")
    metrics = summary.get("metrics") if isinstance(summary, dict) else None
    if not isinstance(metrics, dict):
        return Model(path, problem="the prediction has no metrics")
    return Model(path, metrics, _unregistered(path, info, run))


def _unregistered(path: Path, info: RunInfo, run: RunReader) -> str:
    """Say why a prediction was not registered beforehand; empty where it was."""
    if info.kind != "simulated":
        return "model/ is not a simulated run"
    if run.info.prediction_sha256 != digest(path):
        return "the prediction was not registered before the load began, or was changed since"
    try:
        text = (path / "scenario.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "the prediction does not say of which scenario"
    if workload(text) != workload(run.scenario_text):
        return "the prediction is of another scenario"
    return ""


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
