"""Turns a scenario's policy into the numbers that its function is asked with."""

from __future__ import annotations

import math

import numpy as np

from scenarios.load import ClosedLoad, OpenLoad
from scenarios.model import Scenario
from scenarios.policies import (
    Buffer,
    Fixed,
    PerRequest,
    Policy,
    Predictive,
    Scaling,
    Schedule,
    Target,
    TwoTier,
    singles,
)
from scenarios.pool import Pool
from sim import chance
from sim.arrivals import expected, recorded
from sim.model import NEVER_US, SECOND_US, BadModel, Floats, PolicyModel, PolicyPart
from system.orchestrator.policy import Numbers

FORECAST_POINTS = 1440
"""Values of the forecast of an M_t/G/inf policy, over the length of the run."""

_SURVIVAL_SAMPLES = 4096

_PASSIVE = PolicyPart("buffer", (1e9, 0.0, 0.0, 0.0, 0.0, 0.0))
"""A buffer that may have no workers and misses a billion: it neither launches nor lets go."""


def model(policy: Policy, pool: Pool, scenario: Scenario, forecast: Numbers = ()) -> PolicyModel:
    """The policy of a pool; ``forecast`` is needed by an M_t/G/inf policy only."""
    parts = [part for _, part in singles(policy)]
    if not parts:
        raise BadModel(f"policy {policy!r} is of no known kind")
    if isinstance(policy, PerRequest):
        return PolicyModel((_PASSIVE,), NEVER_US)
    return PolicyModel(
        tuple(_part(part, pool, scenario, forecast) for part in parts),
        round(policy.interval_s * SECOND_US),
    )


def needs_forecast(policy: Policy) -> bool:
    """Whether it has a part that goes by a forecast of the load."""
    return any(
        isinstance(part, Predictive) and part.method == "mtginf" for _, part in singles(policy)
    )


def _part(policy: Scaling, pool: Pool, scenario: Scenario, forecast: Numbers) -> PolicyPart:
    most = [cap for cap in (policy.max, pool.max_workers) if cap is not None]
    common = (
        float(policy.min),
        float(min(most)) if most else math.inf,
        policy.cooldown_s,
        policy.scale_in_delay_s,
    )
    match policy:
        case Fixed():
            return PolicyPart("fixed", (float(policy.size), 0.0, *common))
        case Buffer():
            return PolicyPart("buffer", (float(policy.warm_workers), policy.warm_ratio, *common))
        case TwoTier():
            warm = (float(policy.warm_workers), policy.warm_ratio)
            return PolicyPart("two-tier", (*warm, *common, float(policy.stopped)))
        case Target():
            return PolicyPart("target", (0.0, 0.0, *common, policy.utilisation))
        case Schedule():
            steps = [number for step in policy.steps for number in (step.at_s, *_warm(step.warm))]
            offset = (scenario.sim.start_s, float(len(policy.steps)))
            return PolicyPart("schedule", (0.0, 0.0, *common, *offset, *steps))
        case Predictive():
            return _predictive(policy, pool, common, forecast)
    raise BadModel(f"policy {policy!r} is of no known kind")


def _predictive(
    policy: Predictive, pool: Pool, common: tuple[float, ...], forecast: Numbers
) -> PolicyPart:
    head = (*_warm(policy.headroom), *common, pool.boot.mean)
    match policy.method:
        case "ewma":
            return PolicyPart("ewma", (*head, policy.half_life_s))
        case "holt-winters":
            return PolicyPart("holt-winters", (*head, policy.half_life_s, policy.season_s))
    return PolicyPart("mtginf", (*head, *forecast))


def _warm(warm: int | float) -> tuple[float, float]:
    return (float(warm), 0.0) if isinstance(warm, int) else (0.0, warm)


def forecast(scenario: Scenario, pool: Pool, begin_s: float, end_s: float) -> Numbers:
    """Origin, step, number and values of the mean load of a pool that never lacks workers.

    The mean number in progress at t is the integral over u of the arrival rate
    at t - u times the chance that a session lasts longer than u.
    """
    load = scenario.load
    step_s = max((end_s - begin_s) / FORECAST_POINTS, 1e-3)
    times_s: Floats = begin_s + step_s * np.arange(FORECAST_POINTS + 1, dtype=np.float64)
    share = 1.0 if pool.share is None else pool.share
    if isinstance(load, ClosedLoad):
        ramp_s = max(load.ramp_s, 1e-9)
        values = load.users * np.clip(times_s / ramp_s, 0.0, 1.0)
    elif isinstance(load, OpenLoad):
        values = np.convolve(_new(scenario, load, times_s), _survival(load, step_s))
        values = values[: len(times_s)] + _old(scenario, load, step_s, len(times_s))
    else:
        raise BadModel("a capacity search has no forecast")
    return (begin_s, step_s, float(len(times_s)), *(share * values).tolist())


def _new(scenario: Scenario, load: OpenLoad, times_s: Floats) -> Floats:
    """Arrivals in each step."""
    if load.arrivals.trace is not None:
        counts, _ = np.histogram(recorded(load)[0], bins=np.append(times_s, np.inf))
        return counts.astype(np.float64)
    cumulated = expected(load, np.append(times_s, 2 * times_s[-1] - times_s[-2]))
    return np.diff(cumulated)


def _old(scenario: Scenario, load: OpenLoad, step_s: float, count: int) -> Floats:
    """Those in progress since before the beginning, if there is a warm-up."""
    if scenario.sim.warmup_s == 0 or load.arrivals.trace is not None:
        return np.zeros(count)
    tail = np.cumsum(_survival(load, step_s)[::-1])[::-1]
    left = np.zeros(count)
    kept = min(count, len(tail))
    left[:kept] = tail[:kept] * load.stages[0].rate_per_s * step_s
    return left


def _survival(load: OpenLoad, step_s: float) -> Floats:
    """Chance that a session still lasts, in the middle of each step after its arrival."""
    if load.session is None:
        lengths = recorded(load)[1]
    else:
        lengths = chance.seconds(load.session, np.random.default_rng(0), _SURVIVAL_SAMPLES)
    lengths = np.sort(lengths)
    longest = lengths[min(len(lengths) - 1, int(0.9995 * len(lengths)))]
    middles = step_s * (0.5 + np.arange(min(FORECAST_POINTS + 1, int(longest / step_s) + 2)))
    return np.asarray(1.0 - np.searchsorted(lengths, middles) / len(lengths))
