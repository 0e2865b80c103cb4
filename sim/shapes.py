"""The shapes that a scenario's times may have, fitted by censored maximum likelihood.

The logarithm of a lognormal or a Weibull time is mu + sigma times a standard
error: a normal one, or the least of exponential ones. An exponential time is a
Weibull one with sigma 1. Many samples of one size are fitted at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from scipy import special

from sim.model import Flags, Floats

Kind = Literal["exponential", "lognormal", "weibull"]
KINDS: Final[tuple[Kind, ...]] = ("exponential", "lognormal", "weibull")
ROUNDS: Final = 60
CLOSE: Final = 1e-9
_SIGMAS: Final = (1e-3, 50.0)
_FAR: Final = 200.0
"""Standard errors beyond this are as good as infinite, and do not overflow."""
_Z95: Final = 1.6448536269514722


@dataclass(frozen=True)
class _Error:
    """Logarithm and two derivatives of the density of a standard error, and of its tail."""

    density: Callable[[Floats], tuple[Floats, Floats, Floats]]
    tail: Callable[[Floats], tuple[Floats, Floats, Floats]]


def _normal(w: Floats) -> tuple[Floats, Floats, Floats]:
    return -0.5 * w**2 - 0.5 * math.log(2 * math.pi), -w, np.full_like(w, -1.0)


def _normal_tail(w: Floats) -> tuple[Floats, Floats, Floats]:
    log_tail = special.log_ndtr(-w)
    hazard = np.exp(_normal(w)[0] - log_tail)
    return log_tail, -hazard, -hazard * (hazard - w)


def _least(w: Floats) -> tuple[Floats, Floats, Floats]:
    grown = np.exp(w)
    return w - grown, 1.0 - grown, -grown


def _least_tail(w: Floats) -> tuple[Floats, Floats, Floats]:
    grown = np.exp(w)
    return -grown, -grown, -grown


_NORMAL: Final = _Error(_normal, _normal_tail)
_LEAST: Final = _Error(_least, _least_tail)


@dataclass(frozen=True)
class Shape:
    """A distribution of times in seconds."""

    kind: Kind
    mu: float
    sigma: float

    @property
    def parameters(self) -> int:
        return 1 if self.kind == "exponential" else 2

    @property
    def mean_s(self) -> float:
        if self.kind == "lognormal":
            return math.exp(self.mu + self.sigma**2 / 2)
        return math.exp(self.mu + math.lgamma(1.0 + self.sigma))

    def tail(self, seconds: Floats) -> Floats:
        """The share that lasts longer."""
        w = np.clip((np.log(seconds) - self.mu) / self.sigma, -_FAR, _FAR)
        return np.asarray(np.exp(_error(self.kind).tail(w)[0]))

    def log_likelihood(self, logs: Floats, ended: Flags) -> float:
        """Of times by their logarithms, of which some have not ended."""
        w = np.clip((logs - self.mu) / self.sigma, -_FAR, _FAR)
        error = _error(self.kind)
        seen = error.density(w[ended])[0] - logs[ended] - math.log(self.sigma)
        return float(seen.sum() + error.tail(w[~ended])[0].sum())

    def draw(self, rng: np.random.Generator, size: tuple[int, ...]) -> Floats:
        """Times from a random stream."""
        if self.kind == "lognormal":
            return np.asarray(np.exp(self.mu + self.sigma * rng.standard_normal(size)))
        return np.asarray(math.exp(self.mu) * rng.standard_exponential(size) ** self.sigma)

    def written(self) -> dict[str, Any]:
        """The same as a scenario has it."""
        scale = seconds_text(math.exp(self.mu))
        if self.kind == "exponential":
            return {"dist": "exponential", "mean": scale}
        if self.kind == "weibull":
            return {"dist": "weibull", "shape": float(f"{1 / self.sigma:.5g}"), "scale": scale}
        p95 = math.exp(self.mu + _Z95 * self.sigma)
        return {"dist": "lognormal", "median": scale, "p95": seconds_text(p95)}


def seconds_text(seconds: float) -> str:
    """A duration as a scenario has it, to five figures."""
    text = f"{float(f'{seconds:.5g}'):.9f}".rstrip("0").rstrip(".")
    return f"{text}s"


def most_likely(kind: Kind, logs: Floats, ended: Flags) -> list[Shape]:
    """The shape for each row of logarithms of times; every row has ends at two times or more.

    Newton's method on mu and the logarithm of sigma, in bounded steps.
    """
    count = ended.sum(axis=1)
    if kind == "exponential":
        means = np.exp(logs).sum(axis=1) / count
        return [Shape(kind, math.log(mean), 1.0) for mean in means]
    mu = (logs * ended).sum(axis=1) / count
    off = np.where(ended, logs - mu[:, np.newaxis], 0.0)
    tau = np.log(np.clip(np.sqrt((off**2).sum(axis=1) / count), *_SIGMAS))
    for _ in range(ROUNDS):
        step_mu, step_tau = _step(_error(kind), logs, ended, mu, tau)
        sigma = np.exp(tau)
        mu = mu + np.clip(step_mu, -sigma, sigma)
        tau = np.clip(tau + np.clip(step_tau, -0.5, 0.5), *np.log(_SIGMAS))
        if max(float(np.abs(step_mu / sigma).max()), float(np.abs(step_tau).max())) < CLOSE:
            break
    return [Shape(kind, float(m), float(s)) for m, s in zip(mu, np.exp(tau), strict=True)]


def _step(
    error: _Error, logs: Floats, ended: Flags, mu: Floats, tau: Floats
) -> tuple[Floats, Floats]:
    """Where the likelihood grows: Newton's step where it is concave, else along its slope."""
    sigma = np.exp(tau)
    w = np.clip((logs - mu[:, np.newaxis]) / sigma[:, np.newaxis], -_FAR, _FAR)
    _, seen_1, seen_2 = error.density(w)
    _, cut_1, cut_2 = error.tail(w)
    first, second = np.where(ended, seen_1, cut_1), np.where(ended, seen_2, cut_2)
    by_mu = -first.sum(axis=1) / sigma
    by_tau = -(first * w).sum(axis=1) - ended.sum(axis=1)
    mu_mu = second.sum(axis=1) / sigma**2
    mu_tau = (first + second * w).sum(axis=1) / sigma
    tau_tau = (second * w**2 + first * w).sum(axis=1)
    det = mu_mu * tau_tau - mu_tau**2
    concave = (det > 0) & (mu_mu < 0)
    safe = np.where(concave, det, 1.0)
    newton_mu = -(tau_tau * by_mu - mu_tau * by_tau) / safe
    newton_tau = -(mu_mu * by_tau - mu_tau * by_mu) / safe
    scale = logs.shape[1]
    return (
        np.where(concave, newton_mu, by_mu * sigma**2 / scale),
        np.where(concave, newton_tau, by_tau / scale),
    )


def _error(kind: Kind) -> _Error:
    return _NORMAL if kind == "lognormal" else _LEAST
