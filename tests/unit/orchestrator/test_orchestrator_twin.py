"""One policy, two hosts: the real orchestrator and the simulator write the same event log.

``tests/validation`` has many more days of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import twin_days
from twin import live

from sim import journal as log
from system.orchestrator.policy import ALL

SEEDS = range(2)
COMBINED = ("buffer+two-tier", "schedule+ewma", "fixed+holt-winters+mtginf")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [*twin_days.TIMELESS, "buffer+target"])
def test_a_policy_on_every_event_does_the_same_in_both_hosts(kind: str, seed: int) -> None:
    assert twin_days.differences(twin_days.fuzzed(seed, kind)) == []


@pytest.mark.parametrize("kind", [*twin_days.ON_TICKS, *COMBINED])
def test_a_policy_on_ticks_does_the_same_in_both_hosts(kind: str) -> None:
    assert twin_days.differences(twin_days.fuzzed(3, kind, interval_s=10.0)) == []


def test_every_kind_of_policy_has_its_days() -> None:
    assert set(twin_days.ON_TICKS) == set(ALL)


def test_what_differs_is_found() -> None:
    case = twin_days.fuzzed(1, "buffer")
    later = case.day.arrival_us.copy()
    later[3] += 1000
    moved = replace(case, model=replace(case.model, initial=case.model.initial + 1))
    assert twin_days.differences(moved)
    lived = live(case.spec, replace(case.day, arrival_us=later))
    assert sorted(lived.journal.events) != sorted(twin_days.simulate(case)[1])


def test_a_day_is_lived_the_same_way_twice() -> None:
    case = twin_days.fuzzed(7, "buffer")
    first, second = (live(case.spec, case.day).journal.events for _ in range(2))
    assert first == second
    assert len(first) > 50


def test_the_days_reach_every_event() -> None:
    seen: Counter[str] = Counter()
    for seed in range(12):
        for interval_s in (0.0, 10.0):
            case = twin_days.fuzzed(seed, "buffer", interval_s=interval_s)
            seen.update(event.what for event in twin_days.simulate(case)[1])
    never = {log.STARTED, log.STOPPED}
    names = {value for name, value in vars(log).items() if name.isupper() and name != "NOBODY"}
    assert names - never <= set(seen), names - never - set(seen)
