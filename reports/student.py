"""Quantiles of Student's t distribution, for intervals of a few runs or replications."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

_POINTS = 40_001
_NORMAL_FROM = 2000


@lru_cache(maxsize=256)
def quantile(probability: float, freedom: int) -> float:
    """Find t with P(T <= t) = ``probability``, to five digits for 0.5 < probability < 0.999.

    With t = sqrt(freedom) * tan(a) the density over the angle a is cos(a) to the
    power of freedom - 1: smooth and on a finite interval, so that a trapezoid
    rule is enough.
    """
    if freedom >= _NORMAL_FROM:
        return NormalDist().inv_cdf(probability)
    angles = np.linspace(-math.pi / 2, math.pi / 2, _POINTS)
    density = np.cos(angles).clip(0.0, None) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = float(np.interp(probability * mass[-1], mass, angles))
    return math.sqrt(freedom) * math.tan(angle)
