"""The samples of one metric, and the stage that a time belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scenarios.schedule import StageSpan
from system.protocol.metrics import Metric

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Samples:
    """The samples of one metric, all arrays of one length.

    A censored sample is infinite: it ranks last. ``sessions`` are codes of the
    clusters for the bootstrap, ``stages`` indices into the spans of the run
    (-1: none), ``replications`` numbers of the simulated days (None: one),
    ``weights_s`` the time for which each value held (None: each counts the same).
    """

    metric: Metric
    values: Floats
    sessions: Ints
    t_s: Floats
    stages: Ints
    weights_s: Floats | None = None
    replications: Ints | None = None

    @property
    def days(self) -> list[int]:
        """The replications that have samples."""
        return [0] if self.replications is None else np.unique(self.replications).tolist()

    def by_day(self) -> list[Samples]:
        """Split the samples by replication."""
        if self.replications is None:
            return [self]
        order = np.argsort(self.replications, kind="stable")
        _, starts = np.unique(self.replications[order], return_index=True)
        return [self.take(part) for part in np.split(order, starts[1:])]

    def take(self, keep: Bools | Ints) -> Samples:
        """Keep some of the samples."""
        return Samples(
            self.metric,
            self.values[keep],
            self.sessions[keep],
            self.t_s[keep],
            self.stages[keep],
            None if self.weights_s is None else self.weights_s[keep],
            None if self.replications is None else self.replications[keep],
        )

    def during(self, spans: Sequence[StageSpan], stage: str | None = None) -> Samples:
        """Keep the samples of one stage, or of all measured ones."""
        wanted = [
            index
            for index, span in enumerate(spans)
            if (span.name == stage if stage is not None else span.measured)
        ]
        return self.take(np.isin(self.stages, wanted))


def quantiles_by(
    groups: Ints, values: Floats, shares: Sequence[float]
) -> tuple[Ints, list[Floats]]:
    """Find quantiles of ``values`` in each group: the groups, and a row per share.

    Share 0 is the least. Groups of few numbers are sorted in linear time.
    """
    by_value = np.argsort(values)
    keys = groups[by_value]
    if len(keys) and keys.min() >= 0 and keys.max() < 2**15:
        keys = keys.astype(np.int16)
    order = by_value[np.argsort(keys, kind="stable")]
    found, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    ordered = values[order]
    places = [starts + np.maximum(np.ceil(share * counts).astype(int) - 1, 0) for share in shares]
    return found, [ordered[place] for place in places]


def stage_codes(t_s: Floats, spans: Sequence[StageSpan]) -> Ints:
    """Find the stage of each time; -1 before the first, after the last and between two."""
    starts = np.array([span.start_s for span in spans])
    ends = np.array([span.end_s for span in spans])
    codes = np.searchsorted(starts, t_s, side="right").astype(np.int64) - 1
    codes[t_s >= ends[codes]] = -1
    return codes
