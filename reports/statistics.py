"""Statistics of one metric, with right-censored samples and bootstrap intervals.

A percentile is the smallest sample that has at least that share of the samples
at or below it: no interpolation, so that it is defined beside censored samples,
which are infinite and rank last. A percentile that falls among them is infinite
(``null`` in JSON) and no ``<=`` gate holds for it. The mean is over the samples
that came; the count of the censored stands beside it.

Intervals resample whole sessions, because the samples of one session resemble
each other: an interval over single frames or inputs would be far too narrow.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reports.measure import Floats, Ints, Samples
from system.protocol.metrics import STATISTICS

RESAMPLES = 400
RESAMPLES_MIN = 100
CELLS_MAX = 40_000_000
"""Bound on resamples x samples: beyond it fewer resamples are drawn."""

CHUNK_CELLS = 2_000_000
ALWAYS = ("mean", "p50", "p95")
_NO_INTERVAL = ("min", "max")


@dataclass(frozen=True)
class Stats:
    """Statistics of a metric; infinite where they fall among censored samples."""

    n: int
    sessions: int
    censored: int
    unit: str
    values: dict[str, float]
    ci95: dict[str, tuple[float, float]]


def summarise(samples: Samples, seed: int, intervals: Iterable[str] = ()) -> Stats | None:
    """Compute all statistics, with intervals for ``ALWAYS`` and ``intervals``; None of nothing."""
    if len(samples.values) == 0:
        return None
    order = np.argsort(samples.values, kind="stable")
    values = samples.values[order]
    _, sessions = np.unique(samples.sessions[order], return_inverse=True)
    if samples.weights_s is None or samples.weights_s.sum() <= 0:
        weights = np.ones(len(values))
    else:
        weights = samples.weights_s[order]
    clusters = int(sessions.max()) + 1
    wanted = [
        stat
        for stat in STATISTICS
        if (stat in ALWAYS or stat in set(intervals)) and stat not in _NO_INTERVAL
    ]
    point = _statistics(values, weights[np.newaxis, :], STATISTICS)
    ci95: dict[str, tuple[float, float]] = {}
    if clusters > 1 and samples.weights_s is None:
        generator = np.random.default_rng([seed, zlib.crc32(samples.metric.name.encode())])
        ci95 = _bootstrap(values, sessions.astype(np.int64), clusters, wanted, generator)
    return Stats(
        n=len(values),
        sessions=clusters,
        censored=int(np.isinf(values).sum()),
        unit=samples.metric.unit,
        values={stat: float(found[0]) for stat, found in point.items()},
        ci95=ci95,
    )


def _share(stat: str) -> float:
    return int(stat[1:]) / 100.0


def _statistics(values: Floats, weights: Floats, wanted: Iterable[str]) -> dict[str, Floats]:
    """Compute statistics of sorted ``values`` under each row of ``weights``."""
    cumulated = np.cumsum(weights, axis=1)
    finite = np.isfinite(values)
    found: dict[str, Floats] = {}
    for stat in wanted:
        if stat == "mean":
            mass = weights[:, finite].sum(axis=1)
            total = weights[:, finite] @ values[finite]
            found[stat] = np.divide(total, mass, out=np.full(len(mass), math.inf), where=mass > 0)
        elif stat == "min":
            found[stat] = np.full(len(weights), values[0])
        elif stat == "max":
            found[stat] = np.full(len(weights), values[-1])
        else:
            need = _share(stat) * cumulated[:, -1:] * (1.0 - 1e-12)
            rank = (cumulated < need).sum(axis=1)
            found[stat] = values[np.minimum(rank, len(values) - 1)]
    return found


def _bootstrap(
    values: Floats,
    sessions: Ints,
    clusters: int,
    wanted: list[str],
    generator: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    count = int(np.clip(CELLS_MAX // len(values), RESAMPLES_MIN, RESAMPLES))
    step = max(1, CHUNK_CELLS // max(len(values), clusters))
    drawn: dict[str, list[Floats]] = {stat: [] for stat in wanted}
    for start in range(0, count, step):
        rows = min(step, count - start)
        picks = generator.integers(0, clusters, size=(rows, clusters))
        offsets = np.arange(rows)[:, np.newaxis] * clusters
        times = np.bincount((picks + offsets).ravel(), minlength=rows * clusters)
        weights = times.reshape(rows, clusters).astype(np.float64)[:, sessions]
        for stat, found in _statistics(values, weights, wanted).items():
            drawn[stat].append(found)
    return {stat: _interval(np.concatenate(parts)) for stat, parts in drawn.items()}


def _interval(drawn: Floats) -> tuple[float, float]:
    ordered = np.sort(drawn)
    low = math.floor(0.025 * (len(ordered) - 1))
    high = math.ceil(0.975 * (len(ordered) - 1))
    return float(ordered[low]), float(ordered[high])
