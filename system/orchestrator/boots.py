"""Draws the delay that is added to each real start, from a scenario's distribution of it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, Final

from system.telemetry.config import parse_duration_s

Z95: Final = 1.6448536269514722
"""The 95 % point of the standard normal."""

_NEEDED: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "deterministic": (("mean",),),
    "exponential": (("mean",),),
    "lognormal": (("mean", "cv"), ("median", "p95")),
    "weibull": (("shape", "scale"),),
}


class BootTimes:
    """Delays in seconds by the index of the launch, never by call order.

    Args:
        given: ``{"dist": "lognormal", "median": "45s", "p95": "90s"}``, numbers
            being seconds and ``median_s`` as good as ``median``; None is no delay.
        seed: of the run.
        what: ``boot`` of a new worker, or ``start`` of a stopped one.

    Raises:
        ValueError: unknown distribution, or a missing, extra or impossible parameter.
    """

    def __init__(self, given: Mapping[str, Any] | None, *, seed: int, what: str = "boot") -> None:
        self._stream = f"{seed}:{what}"
        self._dist, self._values = _checked(given or {"dist": "deterministic", "mean": 0.0}, what)

    @property
    def mean_s(self) -> float:
        """The mean delay."""
        value = self._values
        match self._dist:
            case "weibull":
                return value["scale"] * math.gamma(1.0 + 1.0 / value["shape"])
            case "lognormal":
                mu, sigma = _normal(value)
                return math.exp(mu + sigma**2 / 2)
        return value["mean"]

    def delay_s(self, index: int) -> float:
        """Delay of launch ``index`` (from 0)."""
        rng = random.Random(f"{self._stream}:{index}")
        value = self._values
        match self._dist:
            case "exponential":
                return rng.expovariate(1.0 / value["mean"])
            case "weibull":
                return rng.weibullvariate(value["scale"], value["shape"])
            case "lognormal":
                return rng.lognormvariate(*_normal(value))
        return value["mean"]


def _normal(value: Mapping[str, float]) -> tuple[float, float]:
    """Mean and deviation of the logarithm."""
    if "median" in value:
        return math.log(value["median"]), math.log(value["p95"] / value["median"]) / Z95
    sigma = math.sqrt(math.log1p(value["cv"] ** 2))
    return math.log(value["mean"]) - sigma**2 / 2, sigma


def _checked(given: Mapping[str, Any], what: str) -> tuple[str, dict[str, float]]:
    dist = str(given.get("dist", "deterministic"))
    if dist not in _NEEDED:
        raise ValueError(f"{what}: dist {dist!r} is none of {', '.join(_NEEDED)}")
    values = {
        key.removesuffix("_s"): _number(f"{what}: {key}", value)
        for key, value in given.items()
        if key != "dist" and value is not None
    }
    if tuple(sorted(values)) not in {tuple(sorted(names)) for names in _NEEDED[dist]}:
        needed = " or ".join(" and ".join(names) for names in _NEEDED[dist])
        raise ValueError(f"{what}: {dist} takes {needed}, got {', '.join(values) or 'nothing'}")
    positive = dist != "deterministic"
    for name, value in values.items():
        if value < 0 or not math.isfinite(value) or (positive and value == 0):
            raise ValueError(f"{what}: {name} is {value:g}; it must be above 0")
    return dist, values


def _number(name: str, value: Any) -> float:
    if isinstance(value, str):
        return parse_duration_s(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number or a duration")
    return float(value)
