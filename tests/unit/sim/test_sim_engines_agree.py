"""The fast engine against the reference: the same waits from the same draws, on fuzzed days."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from sim_days import day, exponential, policy

from sim import reference
from sim.fast import engine
from sim.model import (
    ABANDONED,
    BLOCKED,
    NEVER_US,
    SECOND_US,
    SERVED,
    WAITING,
    Day,
    PolicyModel,
    PoolModel,
)

pytestmark = pytest.mark.timeout(600)
"""The first use of the fast engine compiles it, which takes a quarter of a minute."""

DAYS = 240


def fuzzed_policy(rng: random.Random) -> PolicyModel:
    common = {
        "low": rng.choice([0, 0, 2]),
        "high": rng.choice([float("inf"), 12, 30]),
        "cooldown_s": rng.choice([0, 0, 0, 15]),
        "delay_s": rng.choice([0, 0, 20]),
    }
    warm = {"size": rng.randrange(1, 6), "ratio": rng.choice([0.0, 0.0, 0.3])}
    kinds = [
        policy("fixed", size=rng.randrange(1, 15), **common),
        policy("buffer", **warm, **common),
        policy("buffer", **warm, **common),
        policy("schedule", 0.0, 2.0, 60.0, 4.0, 0.0, 200.0, 1.0, 0.2, **common),
        policy("target", rng.choice([0.5, 0.8, 1.0]), **common),
        policy("ewma", 20.0, 60.0, **warm, **common),
        policy("holt-winters", 20.0, 60.0, 300.0, **warm, **common),
        policy("mtginf", 20.0, 0.0, 100.0, 4.0, 2.0, 5.0, 9.0, 3.0, **warm, **common),
        policy("two-tier", float(rng.randrange(5)), **warm, **common),
    ]
    parts = rng.choice(kinds).parts
    if rng.random() < 0.25:
        parts += rng.choice(kinds).parts
    interval_us = rng.choice([0, 0, 10 * SECOND_US, 7 * SECOND_US])
    return PolicyModel(parts, interval_us)


def fuzzed(seed: int) -> tuple[PoolModel, Day]:
    """A pool and a day with whole-second times as often as not, so that moments tie."""
    rng = random.Random(f"day {seed}")
    draw = np.random.default_rng(seed)
    count = rng.randrange(1, 150)
    ties = rng.random() < 0.5

    def times(mean_s: float, size: int) -> np.ndarray:
        drawn = exponential(draw, mean_s * SECOND_US, size)
        return -(-drawn // SECOND_US) * SECOND_US if ties else drawn

    if rng.random() < 0.3:
        hold_us = np.full(count, 30 * SECOND_US)
    else:
        hold_us = times(rng.choice([5, 30, 60]), count)
    patience_us = rng.choice(
        [
            np.full(count, NEVER_US),
            np.zeros(count, dtype=np.int64),
            times(15, count),
            np.full(count, 20 * SECOND_US),
        ]
    )
    retries = rng.choice([0, 0, 2])
    retry_us = np.zeros((count, retries), dtype=np.int64)
    if retries:
        retry_us = np.stack([times(10, count) for _ in range(retries)], axis=1)
        retry_us[draw.random((count, retries)) < 0.3] = -1
    pool = PoolModel(
        policy=fuzzed_policy(rng),
        initial=rng.choice([0, 3, 6]),
        stopped=rng.choice([0, 0, 3]),
        slots=rng.choice([1, 1, 2, 4]),
        reuse=rng.random() < 0.8,
        max_workers=rng.choice([1 << 30, 8, 20]),
        burst=rng.choice([0, 0, 2]),
        refill_us=rng.choice([1, 5]) * SECOND_US,
        notice_us=20 * SECOND_US,
        outages_us=rng.choice([(), (), ((50 * SECOND_US, 90 * SECOND_US),)]),
        per_request=rng.random() < 0.1,
        expiry_us=rng.choice([NEVER_US, NEVER_US, 25 * SECOND_US]),
    )
    chain = rng.choice([0, 0, 0, min(5, count)]) if patience_us[0] != 0 else 0
    end_us = 400 * SECOND_US
    if chain:
        count = max(count, 4000)
        hold_us = np.resize(hold_us, count) + SECOND_US
        patience_us = np.resize(patience_us, count) + SECOND_US
        retry_us = np.zeros((count, 0), dtype=np.int64)
    many = 6000
    return pool, day(
        np.cumsum(times(rng.choice([0.7, 2, 4]), count)),
        hold_us,
        end_us=end_us,
        patience_us=patience_us,
        scrub_us=times(3, count) if rng.random() < 0.4 else None,
        boot_us=times(rng.choice([0.0, 10, 40]), many),
        boot_fails=draw.random(many) < rng.choice([0, 0, 0.2]),
        life_us=times(150, many) if rng.random() < 0.3 else None,
        spot_us=times(150, many) if rng.random() < 0.3 else None,
        start_us=times(5, many),
        edges_us=np.array([0, 100, 101, 400]) * SECOND_US,
        retry_us=retry_us,
        chain=chain,
    )


@pytest.mark.parametrize("block", range(8))
def test_both_engines_give_every_session_the_same_wait(block: int) -> None:
    share = DAYS // 8
    for seed in range(block * share, (block + 1) * share):
        pool, drawn = fuzzed(seed)
        expected = reference.simulate(pool, drawn)
        got = engine.simulate(pool, drawn)
        for name in ("outcome", "wait_us", "at_us", "interrupted", "left", "areas", "states"):
            assert np.array_equal(getattr(got, name), getattr(expected, name)), (seed, name, pool)
        assert (got.launches, got.decisions) == (expected.launches, expected.decisions), seed


def test_the_fuzzed_days_reach_every_way_to_end() -> None:
    seen = np.zeros(8, dtype=np.int64)
    interrupted = 0
    for seed in range(DAYS):
        outcome = engine.simulate(*fuzzed(seed))
        seen[:5] += np.bincount(outcome.outcome, minlength=5)[:5]
        interrupted += int(outcome.interrupted.sum())
    assert min(seen[SERVED], seen[ABANDONED], seen[BLOCKED], seen[WAITING], interrupted) > 50


def test_what_the_fast_engine_lacks_it_says() -> None:
    from sim.model import Kill

    pool, drawn = fuzzed(0)
    killed = replace(pool, kills=(Kill(SECOND_US, "random", 0.5),))
    assert "killing" in engine.unsupported(killed)
    with pytest.raises(ValueError, match="killing"):
        engine.simulate(killed, drawn)
