"""When the sessions of a simulated day arrive."""

from __future__ import annotations

import numpy as np

from scenarios.load import OpenLoad, Stage
from sim.model import BadModel, Floats

SESSIONS_MAX = 100_000_000


def recorded(load: OpenLoad) -> tuple[Floats, Floats]:
    """Times and lengths of a trace, in seconds; a length that the trace lacks is NaN."""
    found = load.arrivals.recorded
    at_s = np.array([arrival.at_s for arrival in found])
    lengths = np.array(
        [np.nan if arrival.session_s is None else arrival.session_s for arrival in found]
    )
    return at_s, lengths


def expected(load: OpenLoad, times_s: Floats) -> Floats:
    """Arrivals that are expected from second 0 to each of the times.

    Before second 0 the rate is what it is then; after the last stage it is 0.
    """
    starts, masses = _starts(load)
    rates = np.array([stage.rate_per_s for stage in load.stages])
    slopes = np.array([_slope(stage) for stage in load.stages])
    inside = np.clip(times_s, 0.0, starts[-1])
    index = np.clip(np.searchsorted(starts, inside, side="right") - 1, 0, len(rates) - 1)
    passed = inside - starts[index]
    mass = masses[index] + passed * (rates[index] + slopes[index] * passed / 2.0)
    return np.asarray(mass + np.minimum(times_s, 0.0) * rates[0])


def drawn(load: OpenLoad, rng: np.random.Generator) -> Floats:
    """Times of the arrivals, in seconds: those at which the expected number reaches a threshold.

    Thresholds are one apart, evenly or with exponential gaps.
    """
    starts, masses = _starts(load)
    total = float(masses[-1])
    if total > SESSIONS_MAX:
        raise BadModel(f"load: the stages ask for {total:.3g} arrivals, over {SESSIONS_MAX}")
    if load.arrivals.process == "poisson":
        count = int(total + 10.0 * np.sqrt(total) + 20)
        thresholds: Floats = np.cumsum(rng.standard_exponential(count))
    else:
        thresholds = np.arange(int(total) + 1, dtype=np.float64) + 0.5
    thresholds = thresholds[thresholds < total]
    rates = np.array([stage.rate_per_s for stage in load.stages])
    slopes = np.array([_slope(stage) for stage in load.stages])
    index = np.clip(np.searchsorted(masses, thresholds, side="right") - 1, 0, len(rates) - 1)
    over = thresholds - masses[index]
    rate = rates[index]
    root = np.sqrt(np.maximum(rate**2 + 2.0 * slopes[index] * over, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        passed = np.where(over > 0.0, 2.0 * over / (rate + root), 0.0)
    return np.asarray(starts[index] + passed)


def _starts(load: OpenLoad) -> tuple[Floats, Floats]:
    """Where stages begin and the last ends: time, and arrivals expected by then."""
    lengths = [stage.for_s for stage in load.stages]
    masses = [
        stage.for_s * (stage.rate_per_s + stage.end_rate_per_s) / 2.0 for stage in load.stages
    ]
    return np.cumsum([0.0, *lengths]), np.cumsum([0.0, *masses])


def _slope(stage: Stage) -> float:
    return (stage.end_rate_per_s - stage.rate_per_s) / stage.for_s
