"""Decides whether runs are worse than their baseline. Pure, and over arrays of trials.

One run is one observation: frames and inputs of a run share its luck, so that a
test over them finds differences between any two runs. What is compared is the
logarithm of one statistic per run. Runs are worse where the whole one-sided
95 % t interval of the difference lies beyond the margin, no worse where it lies
within; else undecided, and another candidate run may be added.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from reports import student
from reports.samples import Floats
from reports.verdict import GateVerdict

BASELINES_MIN = 5
BASELINES_RECOMMENDED = 10
CANDIDATES_MAX = 5
PAIRS_MAX = 10
CONFIDENCE = 0.95


class Difference(NamedTuple):
    """Mean difference of logarithms and the distance to its one-sided bounds; arrays of trials."""

    mean: Floats
    half: Floats


def difference(baseline: Floats, candidate: Floats) -> Difference:
    """Compare logarithms of ``candidate`` (..., m) runs with ``baseline`` (..., n) runs.

    The noise of both is taken to be the same: one candidate run has none of its own.
    """
    n, m = baseline.shape[-1], candidate.shape[-1]
    squares = _squares(baseline) + _squares(candidate)
    deviation = np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m))
    mean = candidate.mean(axis=-1) - baseline.mean(axis=-1)
    return Difference(mean, student.quantile(CONFIDENCE, n + m - 2) * deviation)


def paired(baseline: Floats, candidate: Floats) -> Difference:
    """Compare runs that took turns, (..., n) of each: what both had in common cancels out."""
    apart = candidate - baseline
    n = apart.shape[-1]
    deviation = np.sqrt(_squares(apart) / (n - 1) / n)
    return Difference(apart.mean(axis=-1), student.quantile(CONFIDENCE, n - 1) * deviation)


def worse(found: Difference, margin: float) -> Floats:
    """Say of each trial 1: worse, -1: no worse, 0: undecided; ``margin`` is a logarithm."""
    is_worse = found.mean - found.half > margin
    is_no_worse = found.mean + found.half <= margin
    return np.asarray(is_worse, np.float64) - np.asarray(is_no_worse, np.float64)


def verdict_of(found: Difference, margin: float) -> GateVerdict:
    """Decide a single trial."""
    code = float(worse(found, margin))
    if code > 0:
        return GateVerdict.FAIL
    return GateVerdict.PASS if code < 0 else GateVerdict.INCONCLUSIVE


def log_margin(margin: float, *, lower_is_better: bool) -> float:
    """A margin of 10 % as a logarithm: up to 1.1 times, or down to 0.9 times."""
    if lower_is_better:
        return math.log1p(margin)
    return -math.log1p(-margin) if margin < 1.0 else math.inf


def _squares(values: Floats) -> Floats:
    squares: Floats = np.square(values - values.mean(axis=-1, keepdims=True)).sum(axis=-1)
    return squares
