"""The policies: the rules of all but the simplest, and the same actions when compiled."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest

from sim.fast import policies as compiled
from sim.model import KINDS
from system.orchestrator.policy import ALL, MEMORIES, OBSERVATION_FIELDS, Numbers
from system.orchestrator.policy.combined import highest

OWN: dict[str, tuple[float, ...]] = {
    "schedule": (0.0, 2.0, 60.0, 4.0, 0.0, 200.0, 1.0, 0.2),
    "target": (0.8,),
    "ewma": (30.0, 60.0),
    "holt-winters": (30.0, 60.0, 300.0),
    "mtginf": (30.0, 0.0, 100.0, 4.0, 2.0, 5.0, 9.0, 3.0),
    "two-tier": (3.0,),
}


def seen(**fields: float) -> Numbers:
    known = {"slots": 1.0, **fields}
    known.setdefault("free_slots", known.get("idle", 0.0) * known["slots"])
    serving = known.get("idle", 0.0) + known.get("busy", 0.0)
    known.setdefault("total", serving + known.get("booting", 0.0))
    return tuple(float(known.pop(name, 0.0)) for name in OBSERVATION_FIELDS)


def asked(kind: str, own: tuple[float, ...] = (), size: float = 0, high: float = math.inf):
    parameters = (float(size), 0.0, 0.0, float(high), 0.0, 0.0, *(own or OWN.get(kind, ())))

    def ask(**fields: float) -> tuple[float, ...]:
        return tuple(ALL[kind](seen(**fields), parameters, MEMORIES[kind])[0])

    return ask


def test_a_schedule_keeps_what_its_step_says_and_the_last_one_over_midnight() -> None:
    own = (0.0, 2.0, 8 * 3600.0, 10.0, 0.0, 20 * 3600.0, 3.0, 0.0)
    ask = asked("schedule", own)
    assert ask(now_s=9 * 3600) == (10, 0)
    assert ask(now_s=21 * 3600) == (3, 0)
    assert ask(now_s=7 * 3600) == (3, 0)
    assert ask(now_s=(24 + 9) * 3600, idle=12) == (0, 2)


def test_a_target_follows_the_sessions_served_and_waiting() -> None:
    ask = asked("target", (0.8,))
    assert ask(busy=8) == (2, 0)
    assert ask(busy=8, idle=4) == (0, 2)
    assert ask(waiting=1) == (2, 0)
    assert ask(busy=2, free_slots=4, slots=4) == (0, 0)
    assert ask() == (0, 0)


def test_ewma_remembers_a_load_that_has_gone() -> None:
    parameters = (0.0, 0.0, 0.0, math.inf, 0.0, 0.0, 30.0, 60.0)
    _, memory = ALL["ewma"](seen(busy=10), parameters, MEMORIES["ewma"])
    actions, memory = ALL["ewma"](seen(now_s=60, idle=10), parameters, memory)
    assert actions == (0, 5)
    actions, _ = ALL["ewma"](seen(now_s=120, idle=5), parameters, memory)
    assert actions == (0, 2)


def test_holt_winters_launches_ahead_of_a_rising_load() -> None:
    parameters = (0.0, 0.0, 0.0, math.inf, 0.0, 0.0, 60.0, 30.0, 86_400.0)
    memory = MEMORIES["holt-winters"]
    actions: Numbers = ()
    for step in range(200):
        actions, memory = ALL["holt-winters"](
            seen(now_s=10.0 * step, busy=step), parameters, memory
        )
    assert 4 <= actions[0] <= 9


def test_holt_winters_learns_what_a_part_of_the_season_adds() -> None:
    parameters = (0.0, 0.0, 0.0, math.inf, 0.0, 0.0, 100.0, 2000.0, 4800.0)
    memory = MEMORIES["holt-winters"]
    for step in range(4800 * 12 // 10):
        now_s = 10.0 * step
        busy = 40.0 if now_s % 4800 >= 2400 else 10.0
        actions, memory = ALL["holt-winters"](seen(now_s=now_s, busy=busy), parameters, memory)
    actions, _ = ALL["holt-winters"](seen(now_s=12 * 4800 + 2310, busy=10), parameters, memory)
    assert actions[0] > 10


def test_a_forecast_is_read_at_the_time_a_launch_would_be_ready() -> None:
    ask = asked("mtginf", (50.0, 0.0, 100.0, 3.0, 0.0, 10.0, 4.0), size=2)
    assert ask(now_s=0) == (7, 0)
    assert ask(now_s=50) == (12, 0)
    assert ask(now_s=1e6, idle=9) == (0, 3)
    assert ask(now_s=0, busy=20) == (2, 0)


def test_two_tiers_start_before_they_launch_and_stop_before_they_terminate() -> None:
    ask = asked("two-tier", (3.0,), size=2)
    assert ask() == (5, 0, 0, 0)
    assert ask(stopped=3) == (2, 0, 2, 0)
    assert ask(idle=2, stopped=1) == (2, 0, 0, 0)
    assert ask(idle=2, booting=2, stopped=1) == (0, 0, 0, 0)
    assert ask(idle=6, stopped=1) == (0, 2, 0, 2)
    assert ask(idle=4, stopped=3) == (0, 2, 0, 0)
    assert asked("two-tier", (3.0,), size=4, high=3)(stopped=2, busy=1) == (0, 0, 2, 0)


def test_of_several_policies_the_one_that_wants_most_workers_wins() -> None:
    memory = (0.0, 0.0)
    assert highest([((2.0, 0.0), memory), ((5.0, 0.0), memory)]) == (5, 0, 0, 0)
    assert highest([((0.0, 3.0), memory), ((1.0, 0.0), memory)]) == (1, 0, 0, 0)
    assert highest([((0.0, 3.0), memory), ((0.0, 1.0), memory)]) == (0, 1, 0, 0)
    assert highest([((0.0, 3.0), memory), ((0.0, 0.0, 0.0, 2.0), memory)]) == (0, 0, 0, 2)


def test_policies_together_ask_for_no_more_than_the_one_that_asks_for_most() -> None:
    memory = (0.0, 0.0)
    assert highest([((1.0, 0.0), memory), ((0.0, 0.0, 1.0, 0.0), memory)]) == (0, 0, 1, 0)
    assert highest([((3.0, 0.0), memory), ((0.0, 0.0, 1.0, 0.0), memory)]) == (2, 0, 1, 0)


def test_one_policy_alone_does_what_it_decides() -> None:
    assert highest([((3.0, 1.0, 0.0, 2.0), (0.0, 0.0))]) == (3, 1, 0, 2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ALL)
def test_compiled_policies_act_as_plain_ones(kind: str) -> None:
    """By the function that the fast engine asks, over a long time, with what they remember."""
    rng = random.Random(f"policy {kind}")
    memory: Numbers = MEMORIES[kind]
    compiled_memory = np.array(memory, dtype=np.float64)
    actions = np.zeros(4)
    now_s = 0.0
    parameters = fuzzed_parameters(kind, rng)
    acted: Counter[int] = Counter()
    for step in range(4000):
        now_s += rng.choice([0.0, 1.0, 10.0, 0.25])
        if step % 200 == 0:
            parameters = fuzzed_parameters(kind, rng)
        observed = (
            now_s,
            *(float(rng.randrange(8)) for _ in range(7)),
            float(rng.randrange(20)),
            float(rng.choice([1, 1, 2, 4])),
        )
        given = np.array(observed), np.array(parameters)
        compiled.decide(KINDS.index(kind), *given, compiled_memory, actions)
        expected, memory = ALL[kind](observed, parameters, memory)
        whole = (*expected, 0.0, 0.0)[:4]
        assert tuple(actions) == whole, (observed, parameters)
        assert tuple(compiled_memory) == tuple(memory), (observed, parameters)
        assert all(count >= 0 and count == int(count) for count in whole)
        acted.update(index for index, count in enumerate(whole) if count)
    assert set(acted) == set(range(4 if kind == "two-tier" else 2))


def fuzzed_parameters(kind: str, rng: random.Random) -> tuple[float, ...]:
    return (
        float(rng.randrange(6)),
        rng.choice([0.0, 0.1, 1 / 3]),
        float(rng.randrange(3)),
        rng.choice([5.0, 20.0, math.inf]),
        rng.choice([0.0, 0.0, 3.0]),
        rng.choice([0.0, 2.0]),
        *OWN.get(kind, ()),
    )
