"""Draws whole arrays of times from a scenario's distributions, each quantity from its own stream.

A stream is named after the seed, the replication and the quantity, and its
n-th number belongs to the n-th session or launch. More of a stream begin with
the same numbers, so that drawing more does not change the day.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from scenarios.distributions import (
    AnyDistribution,
    Deterministic,
    Exponential,
    Lognormal,
    Weibull,
)
from sim.model import NEVER_US, SECOND_US, Floats, Ints


def stream(seed: int, replication: int, name: str) -> np.random.Generator:
    """The stream of one quantity."""
    return np.random.default_rng([seed, replication, zlib.crc32(name.encode())])


def seconds(distribution: AnyDistribution, rng: np.random.Generator, count: int) -> Floats:
    """``count`` times in seconds."""
    match distribution:
        case Deterministic():
            return np.full(count, distribution.mean_s)
        case Exponential():
            return rng.standard_exponential(count) * distribution.mean_s
        case Lognormal():
            normal = rng.standard_normal(count)
            normal *= distribution.sigma
            normal += distribution.mu
            return np.asarray(np.exp(normal, out=normal))
        case Weibull():
            spread = rng.standard_exponential(count) ** (1.0 / distribution.shape)
            return np.asarray(spread * distribution.scale_s)
        case _:
            values = np.asarray(distribution.values)
            return np.asarray(values[(rng.random(count) * len(values)).astype(np.int64)])


def microseconds(times_s: Floats) -> Ints:
    """Whole microseconds; what is infinite or beyond all bounds never comes."""
    limit = NEVER_US / SECOND_US / 2
    if len(times_s) and float(np.max(times_s)) >= limit:
        never = times_s >= limit
        found: Ints = np.rint(np.where(never, 0.0, times_s) * SECOND_US).astype(np.int64)
        found[never] = NEVER_US
        return found
    whole: Ints = np.rint(times_s * SECOND_US).astype(np.int64)
    return whole


def draw(distribution: AnyDistribution | None, rng: np.random.Generator, count: int) -> Ints:
    """``count`` times in microseconds; without a distribution they never come."""
    if distribution is None:
        return np.full(count, NEVER_US, dtype=np.int64)
    return microseconds(seconds(distribution, rng, count))


def residual(distribution: AnyDistribution, rng: np.random.Generator, count: int) -> Ints:
    """How much longer sessions stay that are found in progress at a random moment.

    Long ones are found more often: a length is drawn in proportion to itself,
    and a uniform part of it is left.
    """
    lengths = seconds(distribution, rng, max(20_000, 4 * count))
    weights = lengths / math.fsum(lengths)
    found = rng.choice(lengths, size=count, p=weights)
    return microseconds(found * rng.random(count))
