"""The search space of a planner: ranges, combinations, defaults."""

from __future__ import annotations

import pytest

from scenarios.loader import loads
from scenarios.model import Scenario
from scenarios.plan import Plan
from scenarios.policies import Buffer, Highest, Schedule, Target, TwoTier
from scenarios.search import most_workers, search

GATES = (
    'gates:\n  - {id: wait, metric: pool.wait_time, stat: p95, "<=": 2s}\n'
    '  - {id: fps, metric: video.fps, stat: p50, ">=": 3/s}\n'
)
LOAD = (
    "load:\n  model: open\n  session: 60s\n"
    "  stages: [{name: hold, for: 1h, rate: 0.5/s, to: 1/s}]\n"
)
POOL = "pool: {max_workers: 80, policy: {kind: buffer, warm: 2, interval: 5s}}\n"


def scenario(plan: str = "", pool: str = POOL, load: str = LOAD) -> Scenario:
    return loads(f"version: 1\nname: a\n{plan}{pool}{load}{GATES}", host=None)


def plan(policies: str) -> Plan:
    found = scenario(f"plan:\n  policies:\n    - {policies}\n").plan
    assert found is not None
    return found


def test_a_range_of_whole_numbers_includes_both_ends() -> None:
    policies = list(plan("{kind: buffer, warm: {from: 1, to: 5}}").candidates())
    assert [policy.warm for policy in policies if isinstance(policy, Buffer)] == [1, 2, 3, 4, 5]
    assert policies[0] == Buffer(kind="buffer", warm=1)


def test_a_range_of_shares_has_ten_steps_unless_it_says() -> None:
    tenths = list(plan("{kind: target, utilisation: {from: 50%, to: 100%}}").candidates())
    assert [policy.utilisation for policy in tenths if isinstance(policy, Target)] == [
        pytest.approx(0.5 + 0.05 * step) for step in range(11)
    ]
    coarse = list(plan("{kind: buffer, warm: {from: 10%, to: 50%, step: 20%}}").candidates())
    assert [policy.warm_ratio for policy in coarse if isinstance(policy, Buffer)] == [0.1, 0.3, 0.5]


def test_values_are_combined() -> None:
    found = plan(
        "{kind: two-tier, warm: [1, 10%], stopped: {from: 0, to: 10, step: 5},"
        " scale_in_delay: [0s, 5min]}"
    )
    policies = list(found.candidates())
    assert len(policies) == sum(space.count for space in found.policies) == 2 * 3 * 2
    assert len(set(policies)) == 12
    assert {policy.scale_in_delay_s for policy in policies if isinstance(policy, TwoTier)} == {
        0.0,
        300.0,
    }


def test_steps_of_a_schedule_are_combined() -> None:
    found = plan(
        '{kind: schedule, steps: [{at: "08:00", warm: [5, 10]}, {at: "18:00", warm: [1, 2, 3]}],'
        " min: [0, 1]}"
    )
    policies = list(found.candidates())
    assert len(policies) == sum(space.count for space in found.policies) == 12
    assert all(isinstance(policy, Schedule) and len(policy.steps) == 2 for policy in policies)
    assert len(set(policies)) == 12


def test_a_list_of_policies_is_searched_as_the_highest_of_them() -> None:
    found = plan("[{kind: fixed, size: [1, 2]}, {kind: buffer, warm: [10%, 20%, 30%]}]")
    policies = list(found.candidates())
    assert len(policies) == sum(space.count for space in found.policies) == 6
    assert all(isinstance(policy, Highest) for policy in policies)


def test_a_scenario_without_a_plan_has_a_default_one() -> None:
    found = search(scenario())
    assert (found.gates, found.pool, found.budget_s) == (("wait",), "default", 60.0)
    kinds = {policy.kind for policy in found.candidates()}
    assert kinds == {"fixed", "buffer", "target"}
    policies = list(found.candidates())
    assert len(policies) == len(set(policies)) > 40
    assert {policy.interval_s for policy in policies} == {5.0}
    assert not list(found.above_quota(80))


def test_a_default_search_has_stopped_workers_where_they_have_a_price() -> None:
    pool = POOL.replace("max_workers: 80", "price: {running: 1 USD/h, stopped: 0.01 USD/h}")
    assert "two-tier" in {policy.kind for policy in search(scenario(pool=pool)).candidates()}


def test_a_plan_keeps_what_it_says() -> None:
    found = search(
        scenario("plan: {budget: 5s, gates: [wait], policies: [{kind: fixed, size: 3}]}\n")
    )
    assert (found.budget_s, found.gates, found.pool) == (5.0, ("wait",), "default")
    assert len(list(found.candidates())) == 1


def test_enough_workers_are_those_for_the_peak_and_a_margin() -> None:
    endless = POOL.replace("max_workers: 80, ", "")
    found = scenario(pool=endless)
    assert most_workers(found, found.pool) == 84
    assert most_workers(scenario(), scenario().pool) == 80


def test_a_default_search_needs_something_to_hold() -> None:
    found = loads(f"version: 1\nname: a\n{LOAD}")
    with pytest.raises(ValueError, match="needs a gate"):
        search(found)
