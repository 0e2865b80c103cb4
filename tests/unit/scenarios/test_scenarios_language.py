"""What the sections of a scenario become once they are loaded."""

from __future__ import annotations

import pytest

from scenarios.faults import Network, NetworkFault, Partition, SignalingRestart, WorkerKill
from scenarios.load import CapacityLoad
from scenarios.loader import ScenarioError, loads
from scenarios.model import Scenario
from scenarios.policies import Buffer, Highest, Predictive, Schedule, TwoTier, singles

LOAD = "load: {model: closed, users: 1, for: 60s}\n"
GATE = 'gates: [{id: wait, metric: pool.wait_time, stat: p95, "<=": 2s}]\n'


def scenario(text: str, load: str = LOAD) -> Scenario:
    return loads(f"version: 1\nname: a\n{load}{text}", host=None)


def test_a_network_is_in_base_units() -> None:
    found = scenario("network: {rtt: 40ms, jitter: 8ms, loss: 0.5%}\n").network
    assert found == Network(rtt="40ms", jitter="8ms", loss="0.5%")  # type: ignore[arg-type]
    assert (found.rtt_s, found.jitter_s, found.loss) == (0.04, 0.008, 0.005)


def test_faults_have_sensible_defaults() -> None:
    kill, restart, cut = scenario(
        "faults:\n  - {at: 5s, kind: worker_kill}\n  - {at: 6s, kind: signaling_restart}\n"
        "  - {at: 7s, kind: partition, for: 3s}\n"
    ).faults
    assert isinstance(kill, WorkerKill)
    assert (kill.at_s, kill.target, kill.pool) == (5.0, "random", None)
    assert isinstance(restart, SignalingRestart)
    assert restart.for_s == 0.0
    assert isinstance(cut, Partition)
    assert (cut.target, cut.for_s) == ("worker", 3.0)


def test_a_network_fault_changes_only_what_it_names() -> None:
    text = "network: {rtt: 40ms}\nfaults: [{at: 5s, kind: network, for: 5s, loss: 20%}]\n"
    found = scenario(text)
    assert found.network is not None
    (fault,) = found.faults
    assert isinstance(fault, NetworkFault)
    assert fault.over(found.network).rtt_s == 0.04
    assert fault.over(found.network).loss == 0.2


def test_a_simulation_has_defaults_and_a_time_of_day() -> None:
    assert scenario("").sim.replications == 20
    assert scenario("").sim.warmup_s == 0.0
    assert scenario('sim: {start: "08:30", warmup: 10min}\n').sim.start_s == 30_600.0


def test_a_schedule_holds_the_step_of_the_time_of_day_at_the_start() -> None:
    policy = (
        "pool: {policy: {kind: schedule, steps: "
        '[{at: "08:00", warm: 10}, {at: "18:30", warm: 3}]}}\n'
    )
    for start, warm in (("07:59", 3), ("08:00", 10), ("18:29", 10), ("23:00", 3)):
        found = scenario(f'sim: {{start: "{start}"}}\n{policy}')
        assert isinstance(found.pool.policy, Schedule)
        assert found.pool.at_start == warm


def test_a_list_of_policies_is_the_highest_of_them() -> None:
    found = scenario(
        "pool: {policy: [{kind: buffer, warm: 3, interval: 5s}, {kind: fixed, size: 8}]}\n"
    )
    assert isinstance(found.pool.policy, Highest)
    assert [place for place, _ in singles(found.pool.policy)] == [(0,), (1,)]
    assert found.pool.policy.interval_s == 5.0
    assert found.pool.at_start == 8


def test_a_single_policy_is_made_of_itself() -> None:
    policy = scenario("pool: {policy: {kind: buffer, warm: 3}}\n").pool.policy
    assert isinstance(policy, Buffer)
    assert singles(policy) == [((), policy)]


def test_two_tiers_start_with_both() -> None:
    pool = scenario("pool: {policy: {kind: two-tier, warm: 3, stopped: 7}}\n").pool
    assert isinstance(pool.policy, TwoTier)
    assert (pool.at_start, pool.stopped_at_start) == (3, 7)


def test_a_predictive_policy_may_take_a_share_as_headroom() -> None:
    policy = scenario(
        "pool: {policy: {kind: predictive, method: holt-winters, headroom: 20%, season: 7d}}\n"
    ).pool.policy
    assert isinstance(policy, Predictive)
    assert (policy.headroom, policy.season_s, policy.half_life_s) == (0.2, 604_800.0, 300.0)


def test_a_pool_has_every_limit_of_its_provider() -> None:
    pool = scenario(
        "pool:\n  name: eu\n  region: eu-central-1\n  gpu: A10G\n"
        "  launch_bucket: {burst: 1000, refill: 2/s}\n  boot_failure: 1%\n  mtbf: 500h\n"
        "  spot: {kill_rate: 0.1/h}\n  outages: [{at: 1h, for: 30min}, {at: 2h, for: 1min}]\n"
        "  release: false\n  reap: 10min\n  policy: {kind: fixed, size: 1}\n"
    ).pool
    assert pool.launch_bucket is not None
    assert (pool.launch_bucket.burst, pool.launch_bucket.refill_per_s) == (1000, 2.0)
    assert (pool.boot_failure, pool.mtbf_s) == (0.01, 1_800_000.0)
    assert pool.spot is not None
    assert (pool.spot.kill_rate_per_s, pool.spot.notice_s) == (0.1 / 3600, 120.0)
    assert [(outage.at_s, outage.for_s) for outage in pool.outages] == [
        (3600.0, 1800.0),
        (7200.0, 60.0),
    ]
    assert (pool.release, pool.reap_s) == (False, 600.0)


def test_several_pools_are_a_list_and_have_no_one_pool() -> None:
    found = scenario(
        "pool:\n  - {name: eu, share: 60%, policy: {kind: fixed, size: 2}}\n"
        "  - {name: us, share: 40%, policy: {kind: fixed, size: 1}}\n"
        "  - {name: spare, route: overflow, policy: {kind: buffer, warm: 1}}\n"
    )
    assert [pool.name for pool in found.pools] == ["eu", "us", "spare"]
    with pytest.raises(ValueError, match="has 3 pools"):
        assert found.pool


def test_one_pool_may_be_a_list_or_a_mapping() -> None:
    as_list = scenario("pool: [{policy: {kind: fixed, size: 2}}]\n")
    assert as_list.pool == scenario("pool: {policy: {kind: fixed, size: 2}}\n").pool
    assert as_list.pool.name == "default"


def test_a_scenario_without_a_pool_has_its_own_default() -> None:
    morning = scenario('sim: {start: "08:00"}\n')
    assert morning.pool == scenario('sim: {start: "08:00"}\n').pool
    assert morning.pool.at_start == scenario("").pool.at_start == 1


def test_patience_of_nothing_is_a_loss_system() -> None:
    pool = "pool: {policy: {kind: fixed, size: 1}}\n"
    assert scenario(pool, "load: {model: closed, users: 1, for: 9s, patience: 0s}\n").is_loss
    assert not scenario(pool).is_loss


def test_a_capacity_search_ends_with_its_max() -> None:
    load = scenario(GATE, "load: {model: capacity, from: 2, step: 3, hold: 20s, max: 9}\n").load
    assert isinstance(load, CapacityLoad)
    assert load.users == (2, 5, 8, 9)


def test_gates_have_kinds() -> None:
    limit, drift, model = scenario(
        "gates:\n"
        '  - {id: a, metric: pool.wait, stat: mean, "<=": 1%, strict: true, abort: {after: 5s}}\n'
        "  - {id: b, metric: pool.wait, stat: mean, regression: {margin: 10%}, mode: ab}\n"
        "  - {id: c, metric: pool.wait, stat: mean, agrees_with: sim, within: 20%}\n"
    ).gates
    assert (limit.kind, limit.limit, limit.strict) == ("limit", 0.01, True)
    assert limit.abort is not None
    assert limit.abort.after_s == 5.0
    assert drift.regression is not None
    assert (drift.kind, drift.regression.margin, drift.mode) == ("regression", 0.1, "ab")
    assert (model.kind, model.within) == ("agreement", 0.2)
    with pytest.raises(ValueError, match="has no limit"):
        assert drift.limit


def test_a_problem_found_later_is_told_where_the_file_has_it() -> None:
    text = "version: 1\nname: a\nload: {model: closed, users: 1, for: 60s}\npool:\n  reuse: true\n"
    found = loads(text + "  policy: {kind: fixed, size: 1}\n", "a.yaml")
    assert str(found.problem(("pool", 0, "reuse"), "no")) == "a.yaml:5:3: pool.reuse: no"
    assert str(ScenarioError([found.problem((), "no")])) == "a.yaml:1:1: no"
