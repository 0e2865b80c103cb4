"""Statistics of one metric, with right-censored samples and intervals.

A percentile is the smallest sample that has at least that share of the samples
at or below it: no interpolation, so that it is defined beside censored samples,
which are infinite and rank last. A percentile that falls among them is infinite
(``null`` in JSON) and no ``<=`` gate holds for it. The mean is over the samples
that came; the count of the censored stands beside it.

Intervals of a measured run resample whole sessions, because the samples of one
session resemble each other: an interval over single frames or inputs would be
far too narrow. With several replications a mean is over all samples, whichever
replication they are from (few arrivals on a quiet day must not count as much as
many on a busy one), other statistics are the mean of the replications', and
intervals are Student's over replications. What is weighted by time has no interval
with one replication: its samples are one trajectory.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports import student
from reports.samples import Floats, Ints, Samples
from system.protocol.metrics import STATISTICS

RESAMPLES = 400
BINS = 512
FINE_BINS = 160
FINE_SHARE = 0.02
"""Resamples tell apart so many ranks, and so many more this near to a percentile asked for."""

CHUNK_CELLS = 2_000_000
ALWAYS = ("mean", "p50", "p95")
EXTREMES = ("min", "max")


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
    asked = {*ALWAYS, *intervals}
    wanted = [stat for stat in STATISTICS if stat in asked and stat not in EXTREMES]
    point = point_statistics(samples)
    ci95: dict[str, tuple[float, float]] = {}
    clusters = int((np.bincount(samples.sessions) > 0).sum())
    if samples.replications is not None:
        point, ci95 = _over_replications(samples, point, wanted)
    elif samples.weights_s is None and clusters > 1:
        generator = np.random.default_rng([seed, zlib.crc32(samples.metric.name.encode())])
        ci95 = _bootstrap(samples, wanted, generator)
    return Stats(
        n=len(samples.values),
        sessions=clusters,
        censored=int(np.isinf(samples.values).sum()),
        unit=samples.metric.unit,
        values=point,
        ci95=ci95,
    )


def point_statistics(samples: Samples) -> dict[str, float]:
    """Compute every statistic, without intervals."""
    weights = samples.weights_s
    if weights is None or weights.sum() <= 0:
        return _unweighted(np.sort(samples.values))
    order = np.argsort(samples.values)
    held = weights[order][np.newaxis, :]
    found = _statistics(samples.values[order], held, STATISTICS)
    return {stat: float(values[0]) for stat, values in found.items()}


def _unweighted(values: Floats) -> dict[str, float]:
    """Compute every statistic of sorted values that count the same."""
    count = len(values)
    came = values[: np.searchsorted(values, math.inf)]
    found = {"mean": float(came.mean()) if len(came) else math.inf}
    found |= {"min": float(values[0]), "max": float(values[-1])}
    for stat in STATISTICS:
        if stat not in found:
            rank = max(math.ceil(int(stat[1:]) / 100 * count * (1 - 1e-12)) - 1, 0)
            found[stat] = float(values[rank])
    return {stat: found[stat] for stat in STATISTICS}


def _over_replications(
    samples: Samples, pooled: dict[str, float], wanted: list[str]
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Over replications; where one found no number, all samples are pooled instead."""
    days = [point_statistics(day) for day in samples.by_day()]
    values, ci95 = dict(pooled), {}
    for stat in STATISTICS:
        found = np.array([day[stat] for day in days])
        if stat in EXTREMES or not np.isfinite(found).all():
            continue
        spread = found
        if stat == "mean" and samples.weights_s is None:
            spread = _residuals(samples, found)
        else:
            values[stat] = float(found.mean())
        if stat in wanted and len(days) > 1:
            t = student.quantile(0.975, len(days) - 1)
            half = t * float(spread.std(ddof=1)) / math.sqrt(len(days))
            most = 1.0 if samples.metric.unit == "ratio" else math.inf
            ci95[stat] = (max(values[stat] - half, 0.0), min(values[stat] + half, most))
    return values, ci95


def _residuals(samples: Samples, means: Floats) -> Floats:
    """By replication how far it pulls the mean of all samples, a ratio of two sums."""
    counts = np.array([float(np.isfinite(day.values).sum()) for day in samples.by_day()])
    ratio = float((means * counts).sum() / counts.sum())
    return np.asarray((means - ratio) * counts / counts.mean())


def _statistics(
    values: Floats, weights: npt.NDArray[np.floating], wanted: Iterable[str]
) -> dict[str, Floats]:
    """Compute statistics of sorted ``values`` under each row of ``weights``."""
    cumulated = np.cumsum(weights, axis=1, dtype=np.float64)
    finite = np.isfinite(values)
    found: dict[str, Floats] = {}
    for stat in wanted:
        if stat == "mean":
            mass = weights[:, finite].sum(axis=1, dtype=np.float64)
            total = weights[:, finite] @ values[finite]
            found[stat] = np.divide(total, mass, out=np.full(len(mass), math.inf), where=mass > 0)
        elif stat == "min":
            found[stat] = np.full(len(weights), values[0])
        elif stat == "max":
            found[stat] = np.full(len(weights), values[-1])
        else:
            need = int(stat[1:]) / 100.0 * cumulated[:, -1:] * (1.0 - 1e-12)
            rank = (cumulated < need).sum(axis=1)
            found[stat] = values[np.minimum(rank, len(values) - 1)]
    return found


def _bootstrap(
    samples: Samples, wanted: list[str], generator: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Draw sessions with replacement; sessions are summed up by ranks, so that a draw is cheap."""
    order = np.argsort(samples.values)
    ordered, sessions = samples.values[order], samples.sessions[order]
    present = np.bincount(sessions) > 0
    sessions = (np.cumsum(present) - 1)[sessions]
    clusters, count = int(present.sum()), len(ordered)
    edges = _edges(count, wanted)
    bins = len(edges) - 1
    ranks = np.repeat(np.arange(bins), np.diff(edges))
    table = np.bincount(sessions * bins + ranks, minlength=clusters * bins)
    table = table.reshape(clusters, bins).astype(np.float32)
    middles = ordered[(edges[:-1] + edges[1:]) // 2]
    sums = np.bincount(sessions, np.where(np.isfinite(ordered), ordered, 0.0), clusters)
    came = np.bincount(sessions, np.isfinite(ordered), clusters)
    drawn: dict[str, list[Floats]] = {stat: [] for stat in wanted}
    step = max(1, CHUNK_CELLS // max(bins, clusters))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        picks = generator.integers(0, clusters, size=(rows, clusters))
        offsets = np.arange(rows)[:, np.newaxis] * clusters
        times = np.bincount((picks + offsets).ravel(), minlength=rows * clusters)
        times = times.reshape(rows, clusters)
        percentiles = [stat for stat in wanted if stat != "mean"]
        weights = times.astype(np.float32) @ table
        for stat, found in _statistics(middles, weights, percentiles).items():
            drawn[stat].append(found)
        if "mean" in drawn:
            mass = times @ came
            means = np.divide(times @ sums, mass, out=np.full(rows, math.inf), where=mass > 0)
            drawn["mean"].append(means)
    return {stat: _interval(np.concatenate(parts)) for stat, parts in drawn.items()}


def _edges(count: int, wanted: Iterable[str]) -> Ints:
    """Cut ``count`` ranks into bins, single ranks where there are few."""
    parts = [np.linspace(0.0, 1.0, BINS + 1)]
    for stat in wanted:
        if stat != "mean":
            share = int(stat[1:]) / 100.0
            parts.append(np.linspace(share - FINE_SHARE, share + FINE_SHARE, FINE_BINS + 1))
    cuts = np.clip(np.concatenate(parts), 0.0, 1.0) * count
    return np.unique(cuts.round().astype(np.int64))


def _interval(drawn: Floats) -> tuple[float, float]:
    ordered = np.sort(drawn)
    low = math.floor(0.025 * (len(ordered) - 1))
    high = math.ceil(0.975 * (len(ordered) - 1))
    return float(ordered[low]), float(ordered[high])
