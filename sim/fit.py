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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import optimize, special

from sim.model import BadModel, Flags, Floats

OBSERVED_MIN: Final = 5
"""Fewer observed ends say nothing about a shape."""

RESAMPLES: Final = 200
CONSTANT: Final = 0.02
"""Durations that spread less than this share of their mean are one duration."""
AT_ONCE_S: Final = 0.02
"""Durations that are all below this are none."""
_Z95: Final = 1.6448536269514722


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
    kept = Times(np.maximum(times.seconds, 1e-6), times.ended)
    if float(ends.std()) <= CONSTANT * float(ends.mean()):
        return _constant(times, float(ends.mean()))
    best = min((shape(kept) for shape in _SHAPES.values()), key=lambda found: _aicc(found, kept))
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


# --- shapes -----------------------------------------------------------------------
#
# The logarithm of a lognormal or a Weibull time is mu + sigma times a standard
# error: a normal one, or the least of exponential ones. An exponential time is
# the latter with sigma 1.


@dataclass(frozen=True)
class _Error:
    """``log_density`` and ``log_tail`` of the error, and their derivatives."""

    log_density: Callable[[Floats], Floats]
    density_slope: Callable[[Floats], Floats]
    log_tail: Callable[[Floats], Floats]
    tail_slope: Callable[[Floats], Floats]


def _normal_log_density(w: Floats) -> Floats:
    return -0.5 * w**2 - 0.5 * math.log(2 * math.pi)


def _normal_tail_slope(w: Floats) -> Floats:
    return np.asarray(-np.exp(_normal_log_density(w) - special.log_ndtr(-w)))


_NORMAL: Final = _Error(
    _normal_log_density, lambda w: -w, lambda w: special.log_ndtr(-w), _normal_tail_slope
)
_LEAST: Final = _Error(
    lambda w: w - np.exp(w), lambda w: 1.0 - np.exp(w), lambda w: -np.exp(w), lambda w: -np.exp(w)
)


@dataclass(frozen=True)
class _Shape:
    kind: str
    error: _Error
    mu: float
    sigma: float
    parameters: int

    def log_tail(self, seconds: Floats) -> Floats:
        return np.asarray(self.error.log_tail((np.log(seconds) - self.mu) / self.sigma))

    def log_likelihood(self, times: Times) -> float:
        return -_loss(np.array([self.mu, math.log(self.sigma)]), self.error, times)[0]

    @property
    def mean_s(self) -> float:
        if self.error is _NORMAL:
            return math.exp(self.mu + self.sigma**2 / 2)
        return math.exp(self.mu) * math.gamma(1.0 + self.sigma)

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        if self.error is _NORMAL:
            return np.asarray(np.exp(self.mu + self.sigma * rng.standard_normal(count)))
        return np.asarray(np.exp(self.mu) * rng.standard_exponential(count) ** self.sigma)

    def written(self) -> dict[str, Any]:
        scale = math.exp(self.mu)
        if self.kind == "exponential":
            return {"dist": "exponential", "mean": seconds_text(scale)}
        if self.kind == "weibull":
            shape = float(f"{1 / self.sigma:.5g}")
            return {"dist": "weibull", "shape": shape, "scale": seconds_text(scale)}
        p95 = scale * math.exp(_Z95 * self.sigma)
        return {"dist": "lognormal", "median": seconds_text(scale), "p95": seconds_text(p95)}


def _exponential(times: Times, near: _Shape | None = None) -> _Shape:
    mean_s = float(times.seconds.sum()) / times.observed
    return _Shape("exponential", _LEAST, math.log(mean_s), 1.0, 1)


def _two_parameters(kind: str, error: _Error, times: Times, near: _Shape | None) -> _Shape:
    if near is None:
        logs = np.log(times.seconds[times.ended])
        start = np.array([float(logs.mean()), math.log(max(float(logs.std()), 1e-3))])
    else:
        start = np.array([near.mu, math.log(near.sigma)])
    found = optimize.minimize(_loss, start, (error, times), method="L-BFGS-B", jac=True,
                              bounds=[(None, None), (-7.0, 4.0)])  # fmt: skip
    return _Shape(kind, error, float(found.x[0]), math.exp(float(found.x[1])), 2)


def _lognormal(times: Times, near: _Shape | None = None) -> _Shape:
    return _two_parameters("lognormal", _NORMAL, times, near)


def _weibull(times: Times, near: _Shape | None = None) -> _Shape:
    return _two_parameters("weibull", _LEAST, times, near)


_SHAPES: Final = {"exponential": _exponential, "lognormal": _lognormal, "weibull": _weibull}


def _loss(at: Floats, error: _Error, times: Times) -> tuple[float, Floats]:
    """Minus the log likelihood at (mu, log sigma), and its gradient."""
    mu, sigma = float(at[0]), math.exp(float(at[1]))
    logs = np.log(times.seconds)
    w = np.clip((logs - mu) / sigma, -500.0, 500.0)
    seen, cut = w[times.ended], w[~times.ended]
    likelihood = (error.log_density(seen) - logs[times.ended]).sum() - len(seen) * math.log(sigma)
    likelihood += error.log_tail(cut).sum()
    slopes = error.density_slope(seen), error.tail_slope(cut)
    by_mu = -(slopes[0].sum() + slopes[1].sum()) / sigma
    by_log_sigma = -(slopes[0] @ seen + slopes[1] @ cut) - len(seen)
    return -float(likelihood), -np.array([by_mu, by_log_sigma])


def _aicc(shape: _Shape, times: Times) -> float:
    k, n = shape.parameters, times.observed
    small = 2.0 * k * (k + 1) / (n - k - 1)
    return 2.0 * k + small - 2.0 * shape.log_likelihood(times)


def _distance(shape: _Shape, curve: tuple[Floats, Floats]) -> float:
    """The largest distance, on either side of each step."""
    at, after = curve
    before = np.concatenate([[1.0], after[:-1]])
    tail = np.exp(shape.log_tail(at))
    return float(max(np.abs(tail - after).max(), np.abs(tail - before).max()))


def _by_chance(shape: _Shape, times: Times) -> tuple[Floats, Floats]:
    """Distances and means of fits to durations that the shape itself made."""
    rng = np.random.default_rng(len(times.seconds))
    at, survival = kaplan_meier(Times(times.seconds, ~times.ended))
    distances: list[float] = []
    means: list[float] = []
    while len(distances) < RESAMPLES:
        drawn = shape.draw(rng, len(times.seconds))
        places = np.searchsorted(-survival, -rng.random(len(drawn)))
        limits = np.concatenate([at, [np.inf]])[places]
        made = Times(np.maximum(np.minimum(drawn, limits), 1e-6), drawn <= limits)
        if made.observed < 2:
            continue
        fitted = _SHAPES[shape.kind](made, shape)
        distances.append(_distance(fitted, kaplan_meier(made)))
        means.append(fitted.mean_s)
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


def seconds_text(seconds: float) -> str:
    """A duration as a scenario has it, to five figures."""
    text = f"{float(f'{seconds:.5g}'):.9f}".rstrip("0").rstrip(".")
    return f"{text}s"
