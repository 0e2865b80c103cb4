"""What a scenario can say of viewers and providers with other manners than ours.

Each day is small enough to be worked out by hand, or has an exact answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from exact import erlang_b
from sim_days import day, policy
from simulated import case, days, steady

from sim import reference
from sim.fast import engine
from sim.figures import figure, of_sessions
from sim.from_scenario import Case
from sim.model import NEVER_US, SECOND_US, Day, Outcome, PoolModel
from sim.run import JOIN_ROUND_TRIPS, Engine, replicate, why_not_fast

pytestmark = pytest.mark.timeout(600)
"""The first use of the fast engine compiles it, which takes a quarter of a minute."""

EVENLY = (
    "{model: open, arrivals: {process: deterministic}, session: %s, %s"
    "stages: [{name: all, for: %s, rate: %s}]}"
)
ENGINES: tuple[Engine, ...] = ("fast", "simpy")


@pytest.mark.parametrize("name", ENGINES)
def test_who_is_turned_away_comes_again_and_may_be_served(name: Engine) -> None:
    """Arrivals at 5, 15 and 25 s stay for 12 s; who finds the one worker busy returns in 4 s."""
    load = EVENLY % ("12s", "patience: 0s, retry: {after: 4s, times: 2}, ", "30s", "0.1/s")
    found = replicate(case(load, "{policy: {kind: fixed, size: 1}}"), 0, name)
    assert found.left.tolist() == [0, 1, 2]
    assert found.outcome.tolist() == [0, 0, 2]
    assert found.wait_us.tolist() == [0, 0, 0]
    everybody = np.ones(3, dtype=bool)
    assert of_sessions("pool.wait", found, everybody).tolist() == [0, 1, 1]
    assert of_sessions("session.join_time", found, everybody).tolist() == [0, 4, math.inf]


def test_only_a_share_of_those_turned_away_comes_again() -> None:
    load = EVENLY % ("1h", "patience: 0s, retry: {after: 1s, share: 30%, times: 1}, ", "1h", "1/s")
    found = replicate(case(load, "{policy: {kind: fixed, size: 1}}"), 1)
    assert found.left[1:].min() == 1
    assert found.left[1:].mean() == pytest.approx(1.3, abs=0.03)


@pytest.mark.parametrize("name", ENGINES)
def test_an_orphan_holds_its_slot_until_the_lease_ends(name: Engine) -> None:
    """Every session is orphaned, so that a worker is held for 3 s + 4 s."""
    load = EVENLY % ("3s", "", "40s", "0.1/s")
    pool = "{orphans: {share: 100%, lease: 4s}, policy: {kind: fixed, size: 1}}"
    model = case(load, pool)
    found = replicate(model, 0, name)
    assert found.pools[0].areas[:, 2].sum() == (7 + 7 + 7 + 5) * 1_000_000


def test_orphans_load_a_pool_as_much_longer_sessions_would() -> None:
    """Blocking of Erlang only depends on the mean: 20 % of 60 s sessions hold on for 50 s more."""
    pool = "{orphans: {share: 20%, lease: 50s}, policy: {kind: fixed, size: 10, interval: 1h}}"
    model = case(steady("0.1/s", 60, "{dist: exponential, mean: 60s}", "0s"), pool, "{warmup: 1h}")
    found = figure(model, days(model, 20, first=1), "session.abandoned")
    assert found.covers(erlang_b(7.0, 10)), found


def per_request(pool: str = "", load: str = "") -> Case:
    return case(
        load or EVENLY % ("3s", "", "60s", "0.1/s"),
        f"{{boot: 2s, {pool} policy: {{kind: per-request, idle: 15s}}}}",
    )


@pytest.mark.parametrize("name", ENGINES)
def test_a_worker_per_request_is_kept_while_requests_come_in_time(name: Engine) -> None:
    found = replicate(per_request(), 0, name)
    assert found.wait_us.tolist() == [2_000_000, 0, 0, 0, 0, 0]
    assert found.pools[0].launches == 1
    rare = per_request(load=EVENLY % ("3s", "", "120s", "0.05/s"))
    cold = replicate(rare, 0, name)
    assert (cold.wait_us == 2_000_000).all()
    ready, booting, busy, _ = cold.pools[0].areas.sum(axis=0) / 1_000_000
    assert (ready, booting, busy) == (5 * 15 + 5, 6 * 2, 6 * 3)


@pytest.mark.parametrize("simulate", [engine.simulate, reference.simulate])
def test_of_idle_workers_per_request_the_newest_serves(
    simulate: Callable[[PoolModel, Day], Outcome],
) -> None:
    """The second worker is idle from 4 s on, the first one from 9 s: who comes at 10 s and 20 s
    gets the second, so that the first expires at 24 s."""
    at_s, hold_s = [0, 1, 10, 20], [9, 3, 3, 3]
    drawn = day(
        np.array(at_s) * SECOND_US,
        np.array(hold_s) * SECOND_US,
        end_us=30 * SECOND_US,
        edges_us=np.array([0, 23, 25, 30]) * SECOND_US,
    )
    passive = policy("buffer", size=1e9, high=0, interval_us=NEVER_US)
    pool = PoolModel(policy=passive, per_request=True, expiry_us=15 * SECOND_US)
    found = simulate(pool, drawn)
    assert found.launches == 2
    assert found.states[:, :3].sum(axis=1).tolist() == [0, 2, 1, 1]


@pytest.mark.parametrize("limit", ["max_workers: 1,", ""])
def test_a_ceiling_on_workers_per_request_makes_sessions_wait_for_each_other(limit: str) -> None:
    """One worker, ready 2 s after the first arrival at 5 s; then 15 s each, up to 60 s."""
    most = "" if limit else ", max: 1"
    pool = f"{{boot: 2s, {limit} policy: {{kind: per-request, idle: 15s{most}}}}}"
    model = case(EVENLY % ("15s", "", "60s", "0.1/s"), pool)
    waits_s = replicate(model, 0).wait_us / SECOND_US
    assert waits_s.tolist() == [2, 7, 12, 17, 15, 5]


REGIONS = """
regions:
  - {name: eu, rtt: 10ms, max_workers: 3}
  - {name: us, rtt: 100ms}
"""
LAYOUT = (
    "[{name: a, region: eu, share: 50%, boot: 1s, policy: {kind: fixed, size: 2, interval: 0s}}, "
    "{name: b, region: eu, share: 50%, boot: 1s, initial: 1, policy: {kind: fixed, size: 2, "
    "interval: 0s}}, "
    "{name: c, region: us, route: overflow, policy: {kind: fixed, size: 50}}]"
)


def test_pools_of_a_region_share_its_quota() -> None:
    load = steady("1/s", 0.1, "{dist: exponential, mean: 5s}")
    model = case(load, LAYOUT, more=REGIONS)
    assert "overflow" in why_not_fast(model)
    found = replicate(model, 1, "simpy")
    counts = sum(outcome.states[:, :3].sum(axis=1) for outcome in found.pools[:2])
    assert counts.max() == 3
    assert found.pools[0].launches == found.pools[1].launches == 0


def test_a_session_that_flows_over_joins_at_the_other_regions_distance() -> None:
    load = steady("1/s", 0.1, "{dist: exponential, mean: 5s}")
    found = replicate(case(load, LAYOUT, more=REGIONS), 1, "simpy")
    near, far = JOIN_ROUND_TRIPS * 10_000, JOIN_ROUND_TRIPS * 100_000
    assert (found.wait_us == 0).all()
    assert set(found.join_us.tolist()) == {near, far}


def test_a_freed_quota_goes_to_the_other_pool_of_the_region() -> None:
    """Pool a is killed empty at 10 s; b has lacked a worker and launches one at once."""
    kill = "faults: [{at: 10s, kind: worker_kill, pool: a, target: all}]\n"
    layout = LAYOUT.replace(
        "kind: fixed, size: 2, interval: 0s}}, {name: b",
        "kind: fixed, size: 2, interval: 1h}}, {name: b",
    )
    model = case(steady("1/h", 0.1, "5s"), layout, more=kill + REGIONS)
    found = replicate(model, 1, "simpy")
    assert found.pools[1].launches == 1


def test_the_only_pool_of_a_region_has_its_limits_and_stays_fast() -> None:
    one = "{region: eu, boot: 1s, policy: {kind: buffer, warm: 2, interval: 0s}}"
    limits = "regions: [{name: eu, max_workers: 3, outages: [{at: 10s, for: 50s}]}]"
    load = steady("1/s", 0.1, "{dist: exponential, mean: 5s}", "5s")
    model = case(load, one, more=limits)
    own = case(load, one.replace("region: eu", "max_workers: 3, outages: [{at: 10s, for: 50s}]"))
    assert why_not_fast(model) == ""
    assert replicate(model, 1).wait_us.tolist() == replicate(own, 1).wait_us.tolist()


def test_regions_that_pools_share_need_the_reference_engine() -> None:
    two = LAYOUT.replace(", route: overflow", ", share: 10%").replace("share: 50%", "share: 45%")
    model = case(steady("1/s", 0.1, "5s"), two, more=REGIONS)
    assert why_not_fast(model) == "a region whose limits several pools share"
