"""Policies: their rules, the paper's buffer semantics, and the same actions under numba."""

from __future__ import annotations

import math

import pytest

from system.orchestrator.policy import (
    INITIAL_MEMORY,
    OBSERVATION_FIELDS,
    Numbers,
    decide_buffer,
    decide_fixed,
)

UNBOUNDED = math.inf


def observation(**fields: float) -> Numbers:
    """One-slot workers unless said otherwise: every idle worker is a free slot."""
    known = {"slots": 1.0, **fields}
    known.setdefault("free_slots", known.get("idle", 0.0) * known["slots"])
    known.setdefault(
        "total", known.get("idle", 0.0) + known.get("busy", 0.0) + known.get("booting", 0.0)
    )
    return tuple(float(known.pop(name, 0.0)) for name in OBSERVATION_FIELDS)


def parameters(
    size: float = 0,
    ratio: float = 0,
    low: float = 0,
    high: float = UNBOUNDED,
    cooldown_s: float = 0,
    delay_s: float = 0,
) -> Numbers:
    return (float(size), float(ratio), float(low), float(high), float(cooldown_s), float(delay_s))


def actions(decide, seen: Numbers, given: Numbers, memory: Numbers = INITIAL_MEMORY) -> Numbers:
    return decide(seen, given, memory)[0]


def textbook(idle: int, booting: int, waiting: int, total: int, warm: int, most: int):
    """The published rule, one worker at a time."""
    launched = 0
    while idle + booting + launched - waiting < warm and total + launched < most:
        launched += 1
    return launched, max(0, idle - warm)


def test_the_buffer_policy_is_the_published_rule_for_one_slot_workers() -> None:
    for idle in range(6):
        for booting in range(4):
            for busy in range(4):
                for waiting in range(4) if idle == 0 else (0,):
                    for warm in range(4):
                        for most in (4, 8, 30):
                            total = idle + booting + busy
                            seen = observation(
                                idle=idle, booting=booting, busy=busy, waiting=waiting
                            )
                            expected = textbook(idle, booting, waiting, total, warm, most)
                            got = actions(decide_buffer, seen, parameters(warm, high=most))
                            assert got == expected, (seen, warm, most)


def test_a_buffer_that_is_a_share_follows_the_busy_workers() -> None:
    given = parameters(ratio=0.2)
    assert actions(decide_buffer, observation(busy=10), given) == (2, 0)
    assert actions(decide_buffer, observation(busy=11), given) == (3, 0)
    assert actions(decide_buffer, observation(busy=5, idle=4), given) == (0, 3)
    assert actions(decide_buffer, observation(), given) == (0, 0)


def test_free_slots_of_busy_workers_count_towards_the_buffer() -> None:
    given = parameters(1)
    assert actions(decide_buffer, observation(busy=2, free_slots=4, slots=4), given) == (0, 0)
    assert actions(decide_buffer, observation(busy=2, free_slots=3, slots=4), given) == (1, 0)
    seen = observation(busy=1, idle=1, free_slots=7, slots=4)
    assert actions(decide_buffer, seen, given) == (0, 0)
    seen = observation(busy=1, idle=2, free_slots=8, slots=4)
    assert actions(decide_buffer, seen, given) == (0, 1)


def test_min_and_max_bound_the_pool() -> None:
    assert actions(decide_buffer, observation(), parameters(1, low=3)) == (3, 0)
    assert actions(decide_buffer, observation(idle=4), parameters(1, low=3)) == (0, 1)
    assert actions(decide_buffer, observation(waiting=9, total=3), parameters(2, high=5)) == (2, 0)
    assert actions(decide_fixed, observation(), parameters(7, high=5)) == (5, 0)


def test_fixed_replaces_what_is_missing_and_ends_only_idle_workers() -> None:
    assert actions(decide_fixed, observation(busy=1, booting=1), parameters(4)) == (2, 0)
    assert actions(decide_fixed, observation(busy=3, idle=2), parameters(2)) == (0, 2)
    assert actions(decide_fixed, observation(busy=3), parameters(2)) == (0, 0)
    assert actions(decide_fixed, observation(idle=2, total=3), parameters(2)) == (0, 0)


@pytest.mark.parametrize("decide", [decide_fixed, decide_buffer])
def test_an_excess_must_last_before_workers_go(decide) -> None:
    given = parameters(1, delay_s=10)
    acted, memory = decide(observation(idle=3, now_s=100), given, INITIAL_MEMORY)
    assert acted == (0, 0)
    acted, memory = decide(observation(idle=3, now_s=109), given, memory)
    assert acted == (0, 0)
    acted, _ = decide(observation(idle=3, now_s=110), given, memory)
    assert acted == (0, 2)
    _, memory = decide(observation(idle=1, now_s=109.5), given, memory)
    assert decide(observation(idle=3, now_s=110), given, memory)[0] == (0, 0)


@pytest.mark.parametrize("decide", [decide_fixed, decide_buffer])
def test_after_an_action_there_is_none_within_the_cooldown(decide) -> None:
    given = parameters(2, cooldown_s=30)
    acted, memory = decide(observation(now_s=5), given, INITIAL_MEMORY)
    assert acted == (2, 0)
    assert decide(observation(now_s=34.9), given, memory)[0] == (0, 0)
    assert decide(observation(idle=4, now_s=34.9), given, memory)[0] == (0, 0)
    assert decide(observation(now_s=35), given, memory)[0] == (2, 0)
