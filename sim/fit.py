"""Fits a scenario's distributions to durations of which some were not seen to their end.

A duration that went on when the watching ended is right-censored: longer than
seen, nobody knows by how much. Leaving those out would fit too short a time.

A shape is chosen by maximum likelihood, each parameter paid for (AICc), among
those of a scenario. How well it fits is told by the largest distance between it
and the estimate of Kaplan and Meier, which assumes no shape; beside it stands
what chance alone makes of that distance: the same fit of as many durations
drawn from the fitted shape, censored as ours were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sim.model import BadModel, Flags, Floats
from sim.shapes import KINDS, Shape, most_likely, seconds_text

OBSERVED_MIN: Final = 5
"""Fewer observed ends say nothing about a shape."""

RESAMPLES: Final = 200
WORTH: Final = 2.0
CONSTANT: Final = 0.02
"""Durations that spread less than this share of their mean are one duration."""
AT_ONCE_S: Final = 0.02
"""Durations that are all below this are none."""
LEAST_S: Final = 1e-6
CELLS_MAX: Final = 500_000
"""So many durations are fitted at once."""


@dataclass(frozen=True)
class Times:
    """Durations in seconds; ``ended`` is False where one was still going on."""

    seconds: Floats
    ended: Flags

    def joined(self, other: Times) -> Times:
        """Both together."""
        return Times(
            np.concatenate([self.seconds, other.seconds]),
            np.concatenate([self.ended, other.ended]),
        )

    @property
    def observed(self) -> int:
        """How many were seen to their end."""
        return int(self.ended.sum())


NONE: Final = Times(np.zeros(0), np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True)
class Fitted:
    """A distribution as a scenario has it, and how well it fits.

    ``distance`` is the largest one from Kaplan and Meier, ``noise`` what chance
    alone makes of it 95 % of the time; ``median_s`` and ``p95_s`` are without a
    shape, infinite where too much is censored. ``mean_ci95_s`` is of the mean.
    """

    written: dict[str, Any]
    n: int
    censored: int
    mean_s: float
    mean_ci95_s: tuple[float, float]
    median_s: float
    p95_s: float
    distance: float
    noise: float

    @property
    def fits(self) -> bool:
        """Whether chance explains how far the shape is from what was seen."""
        return self.distance <= self.noise


def kaplan_meier(times: Times) -> tuple[Floats, Floats]:
    """Times at which something ended, and the share that lasts longer than each."""
    at = np.unique(times.seconds[times.ended])
    ordered = np.sort(times.seconds)
    ends = np.sort(times.seconds[times.ended])
    at_risk = len(ordered) - np.searchsorted(ordered, at, side="left")
    died = np.searchsorted(ends, at, side="right") - np.searchsorted(ends, at, side="left")
    survival: Floats = np.cumprod(1.0 - died / at_risk, dtype=np.float64)
    return at, survival


def quantile(curve: tuple[Floats, Floats], share: float) -> float:
    """The time by which that share has ended; infinite where too much is censored."""
    at, survival = curve
    place = int(np.searchsorted(-survival, -(1.0 - share) - 1e-12))
    return float(at[place]) if place < len(at) else math.inf


def fit(times: Times, name: str) -> Fitted:
    """The best of the scenario's shapes.

    Raises:
        BadModel: too little was observed.
    """
    observed = times.observed
    if observed < OBSERVED_MIN:
        seen = f"{observed} of {len(times.seconds)}"
        raise BadModel(f"{name}: {seen} were seen to their end; {OBSERVED_MIN} are needed")
    ends = times.seconds[times.ended]
    if float(ends.max()) < AT_ONCE_S:
        return _constant(times, 0.0)
    if float(ends.std()) <= CONSTANT * float(ends.mean()):
        return _constant(times, float(ends.mean()))
    kept = Times(np.maximum(times.seconds, LEAST_S), times.ended)
    logs = np.log(kept.seconds)
    shapes = [most_likely(kind, logs[np.newaxis], kept.ended[np.newaxis])[0] for kind in KINDS]
    best = min(shapes, key=lambda shape: _aicc(shape, logs, kept.ended))
    curve = kaplan_meier(kept)
    distances, means = _by_chance(best, kept)
    low, high = np.quantile(means, [0.025, 0.975])
    return Fitted(
        best.written(),
        len(kept.seconds),
        len(kept.seconds) - observed,
        best.mean_s,
        (float(low), float(high)),
        quantile(curve, 0.5),
        quantile(curve, 0.95),
        _distance(best, curve),
        float(np.quantile(distances, 0.95)),
    )


def _aicc(shape: Shape, logs: Floats, ended: Flags) -> float:
    """Smaller is better; a second parameter must be worth ``WORTH`` more than it costs.

    Few ends, the others cut off, fit a long tail nearly as well as none, and
    nobody has seen that tail.
    """
    k, n = shape.parameters, int(ended.sum())
    small = 2.0 * k * (k + 1) / (n - k - 1)
    return WORTH * (k - 1) + 2.0 * k + small - 2.0 * shape.log_likelihood(logs, ended)


def _distance(shape: Shape, curve: tuple[Floats, Floats]) -> float:
    """The largest distance, on either side of each step."""
    at, after = curve
    before = np.concatenate([[1.0], after[:-1]])
    tail = shape.tail(at)
    return float(max(np.abs(tail - after).max(), np.abs(tail - before).max()))


def _by_chance(shape: Shape, times: Times) -> tuple[Floats, Floats]:
    """Distances and means of fits to durations that the shape itself made."""
    count = len(times.seconds)
    rng = np.random.default_rng(count)
    at, survival = kaplan_meier(Times(times.seconds, ~times.ended))
    limit = np.concatenate([at, [np.inf]])
    distances: list[float] = []
    means: list[float] = []
    rows = max(1, min(RESAMPLES, CELLS_MAX // count))
    while len(distances) < RESAMPLES:
        drawn = np.maximum(shape.draw(rng, (rows, count)), LEAST_S)
        cut = limit[np.searchsorted(-survival, -rng.random((rows, count)))]
        seconds, ended = np.minimum(drawn, cut), drawn <= cut
        usable = ended.sum(axis=1) >= OBSERVED_MIN
        seconds, ended = seconds[usable], ended[usable]
        fitted = most_likely(shape.kind, np.log(seconds), ended)
        for row, one in enumerate(fitted[: RESAMPLES - len(distances)]):
            distances.append(_distance(one, kaplan_meier(Times(seconds[row], ended[row]))))
            means.append(one.mean_s)
    return np.array(distances), np.array(means)


def _constant(times: Times, mean_s: float) -> Fitted:
    ends = times.seconds[times.ended]
    off = 1.96 * float(ends.std()) / math.sqrt(len(ends))
    curve = kaplan_meier(times)
    return Fitted(
        {"dist": "deterministic", "mean": seconds_text(mean_s)},
        len(times.seconds),
        len(times.seconds) - len(ends),
        mean_s,
        (max(mean_s - off, 0.0), mean_s + off),
        quantile(curve, 0.5),
        quantile(curve, 0.95),
        0.0,
        0.0,
    )
