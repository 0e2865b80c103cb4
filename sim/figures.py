"""Figures of simulated days: a metric's statistic per day, and its interval over days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports import student
from scenarios.pool import Price
from scenarios.schedule import StageSpan
from sim.from_scenario import Case
from sim.meter import STATES
from sim.model import ABANDONED, ABSENT, BLOCKED, SERVED, Flags, Floats, Ints
from sim.run import Replication


@dataclass(frozen=True)
class Figure:
    """A mean over days with its 95 % interval (Student's); None with one day."""

    mean: float
    ci95: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Of one value per day; infinite if one of them is."""
        found = np.asarray(values, dtype=np.float64)
        mean = float(found.mean())
        if len(found) < 2 or not math.isfinite(mean):
            return cls(mean, None)
        half = student.quantile(0.975, len(found) - 1) * float(found.std(ddof=1))
        half /= math.sqrt(len(found))
        return cls(mean, (mean - half, mean + half))

    def covers(self, truth: float) -> bool:
        """Whether the interval holds ``truth``."""
        return self.ci95 is not None and self.ci95[0] <= truth <= self.ci95[1]


def statistic(stat: str, values: Floats) -> float:
    """As reports define it: infinite values rank last and have no mean; NaN of nothing."""
    if len(values) == 0:
        return math.nan
    match stat:
        case "mean":
            finite = values[np.isfinite(values)]
            return float(finite.mean()) if len(finite) else math.inf
        case "min":
            return float(values.min())
        case "max":
            return float(values.max())
    rank = math.ceil(int(stat[1:]) / 100.0 * len(values) * (1.0 - 1e-12)) - 1
    return float(np.partition(values, max(rank, 0))[max(rank, 0)])


def watched(case: Case, day: Replication, stage: str | None = None) -> Flags:
    """Sessions that arrived in a measured stage, or in the named one."""
    spans = case.spans
    arrived: Flags = (day.outcome != ABSENT) & (day.at_us >= 0)
    arrived[: day.before] = False
    if stage is None and all(span.measured for span in spans):
        return arrived
    ends = np.array([span.end_s for span in spans]) * 1e6
    index = np.minimum(np.searchsorted(ends, day.at_us, side="right"), len(spans) - 1)
    chosen = np.array([_counts(span, stage) for span in spans])
    return np.asarray(arrived & chosen[index])


def of_sessions(metric: str, day: Replication, among: Flags | Ints) -> Floats:
    """A session metric of some sessions of a day; what never came is infinite."""
    outcome = day.outcome[among]
    if metric in ("pool.wait", "pool.wait_time", "session.join_time"):
        wait_s = day.wait_us[among] / 1e6
        if metric == "pool.wait_time":
            return np.asarray(wait_s)
        served = outcome == SERVED
        if metric == "pool.wait":
            late = (wait_s > 0) | ~served | (day.left[among] > 0)
            return np.asarray(late.astype(np.float64))
        return np.asarray(np.where(served, day.join_us[among] / 1e6, np.inf))
    gone = (outcome == ABANDONED) | (outcome == BLOCKED)
    match metric:
        case "session.abandoned":
            return np.asarray(gone.astype(np.float64))
        case "session.failed":
            return np.asarray(((outcome != SERVED) & ~gone).astype(np.float64))
        case "session.interrupted":
            return np.asarray(day.interrupted[among].astype(np.float64))
    raise ValueError(f"{metric} is not a metric of simulated sessions")


def of_pools(
    metric: str, case: Case, day: Replication, stat: str = "mean", stage: str | None = None
) -> float:
    """A pool metric of a day. The mean is exact, other statistics are of means over parts."""
    edges_s = case.edges_us / 1e6
    spans = case.spans
    ends = np.array([span.end_s for span in spans])
    index = np.minimum(np.searchsorted(ends, edges_s[:-1], side="right"), len(spans) - 1)
    chosen = np.array([_counts(span, stage) for span in spans])[index]
    widths = np.diff(edges_s)[chosen]
    total: Floats = np.zeros(int(chosen.sum()))
    for pool, outcome in zip(case.scenario.pools, day.pools, strict=True):
        total += outcome.areas[chosen] @ _weights(metric, pool.price)
    if stat == "mean":
        return float(total.sum() / 1e6 / widths.sum())
    means = total / 1e6 / widths
    return statistic(stat, np.repeat(means, np.maximum(1, np.rint(widths)).astype(np.int64)))


def figure(
    case: Case,
    days: Sequence[Replication],
    metric: str,
    stat: str = "mean",
    stage: str | None = None,
) -> Figure:
    """A statistic of a metric over days."""
    return Figure.of([of_day(case, day, metric, stat, stage) for day in days])


def of_day(
    case: Case, day: Replication, metric: str, stat: str = "mean", stage: str | None = None
) -> float:
    """A statistic of a metric of one day."""
    if metric.startswith(("pool.workers.", "pool.cost")):
        return of_pools(metric, case, day, stat, stage)
    return statistic(stat, of_sessions(metric, day, watched(case, day, stage)))


def _counts(span: StageSpan, stage: str | None) -> bool:
    return span.measured if stage is None else span.name == stage


def _weights(metric: str, price: Price) -> Floats:
    if metric == "pool.cost":
        return np.array([price.running] * 3 + [price.stopped])
    wanted = metric.removeprefix("pool.workers.")
    return np.array([float(state == wanted) for state in STATES])
