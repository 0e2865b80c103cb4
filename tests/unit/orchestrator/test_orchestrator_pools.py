"""The pool file, boot delays and arrival estimates."""

from __future__ import annotations

import json
import math
import statistics

import pytest

from system.orchestrator import pools
from system.orchestrator.boots import BootTimes
from system.orchestrator.eta import Turnover, eta_ms
from system.orchestrator.openapi import DOCUMENT
from system.orchestrator.policy_spec import policy
from system.orchestrator.pools import BadPool
from system.protocol.states import Worker, WorkerState
from system.store.ledger import PoolSnapshot


def written(tmp_path, document) -> object:
    path = tmp_path / "pools.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_pool_file_is_read_with_defaults(tmp_path) -> None:
    path = written(tmp_path, {"pools": [{"name": "gpu", "policy": {"kind": "buffer", "warm": 2}}]})
    (pool,) = pools.load(path)
    assert (pool.name, pool.slots, pool.reuse, pool.scrubs) == ("gpu", 1, True, False)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{", "truncated"),
        ({"pools": []}, "length"),
        ({"pools": [{"nmae": "x"}]}, "nmae"),
        ({"pools": [{"name": "a b"}]}, "a b"),
        ({"pools": [{}, {}]}, "one name"),
        ({"pools": [{"slots": 0}]}, ">= 1"),
        ({"pools": [{"policy": {"kind": "fixd", "size": 1}}]}, "fixd"),
        ({"pools": [{"policy": {"kind": "fixed"}}]}, "needs size"),
        ({"pools": [{"policy": {"kind": "buffer"}}]}, "needs warm"),
        ({"pools": [{"policy": {"kind": "buffer", "warm": "a lot"}}]}, "a lot"),
        ({"pools": [{"policy": {"kind": "buffer", "warm": 1, "worm": 2}}]}, "worm"),
        ({"pools": [{"policy": {"kind": "buffer", "warm": 1, "cooldown": "soon"}}]}, "soon"),
        ({"pools": [{"policy": {"kind": "fixed", "size": 1, "min": 3, "max": 2}}]}, "above max"),
        ({"pools": [{"policy": {"kind": "fixed", "size": 1, "warm": 2}}]}, "takes no warm"),
        ({"pools": [{"policy": {"kind": "two-tier", "warm": 1}}]}, "needs stopped"),
        ({"pools": [{"policy": {"kind": "buffer", "warm": 1, "stopped": 1}}]}, "takes no stopped"),
        ({"pools": [{"policy": {"kind": "max"}}]}, "max takes of"),
        ({"pools": [{"policy": {"kind": "max", "of": []}}]}, "empty"),
        ({"pools": [{"policy": {"kind": "max", "of": [1]}}]}, "not a policy"),
        ({"pools": [{"policy": {"kind": "max", "of": [{"kind": "max", "of": []}]}}]}, "'max'"),
        ({"pools": [{"policy": {"kind": "max", "of": [{"kind": "fixed"}]}}]}, "needs size"),
        ({"pools": [{"start": {"dist": "exponential", "mean": 0}}]}, "start: mean"),
        ({"pools": [{"policy": {"kind": "schedule", "steps": []}}]}, "length"),
        ({"pools": [{"policy": {"kind": "schedule", "steps": [{"warm": 1}]}}]}, "at or at_s"),
        ({"pools": [{"policy": {"kind": "schedule", "steps": [{"at": "8", "warm": 1}]}}]}, "'8'"),
        (
            {"pools": [{"policy": {"kind": "schedule", "steps": [{"at_s": 1, "warm": 1}] * 2}}]},
            "in order",
        ),
        ({"pools": [{"policy": {"kind": "target"}}]}, "needs utilisation"),
        ({"pools": [{"policy": {"kind": "target", "utilisation": "0%"}}]}, "not above 0%"),
        ({"pools": [{"policy": {"kind": "predictive"}}]}, "needs method"),
        ({"pools": [{"policy": {"kind": "predictive", "method": "guess"}}]}, "guess"),
        ({"pools": [{"policy": {"kind": "predictive", "method": "mtginf"}}]}, "a forecast"),
        ({"pools": [{"boot": {"dist": "normal", "mean": 1}}]}, "normal"),
        ({"pools": [{"boot": {"dist": "lognormal", "mean": 1}}]}, "mean and cv"),
        ({"pools": [{"boot": {"dist": "exponential", "mean": 0}}]}, "above 0"),
        ({"pools": [{"boot": {"mean": [1]}}]}, "not a number"),
    ],
)
def test_a_wrong_pool_file_says_what_is_wrong(tmp_path, document, text: str) -> None:
    with pytest.raises(BadPool, match=text):
        pools.load(written(tmp_path, document))


def test_a_missing_pool_file_is_a_readable_error(tmp_path) -> None:
    with pytest.raises(BadPool, match=r"none\.json"):
        pools.load(tmp_path / "none.json")


def test_a_policy_takes_times_with_units_or_in_seconds() -> None:
    written_out = {"kind": "buffer", "warm": 4, "cooldown": "1min", "interval": "10s", "max": 9}
    in_seconds = {"kind": "buffer", "warm": 4, "cooldown_s": 60, "interval_s": 10.0, "max": 9}
    one, two = pools.policy(written_out, None), pools.policy(in_seconds, None)
    assert one.parts == two.parts
    assert numbers(one) == (4, 0, 0, 9, 60, 0)
    assert one.interval_s == two.interval_s == 10


@pytest.mark.parametrize("warm", ["20%", 0.2, "20.0 %"])
def test_a_buffer_may_be_a_share(warm) -> None:
    assert numbers(pools.policy({"kind": "buffer", "warm": warm}, None))[:2] == (0, 0.2)


def test_the_quota_caps_the_policy() -> None:
    assert numbers(pools.policy({"kind": "fixed", "size": 3, "max": 9}, 5))[3] == 5
    assert numbers(pools.policy({"kind": "fixed", "size": 3, "max": 4}, 5))[3] == 4
    assert numbers(pools.policy({"kind": "fixed", "size": 3}, None))[3] == math.inf


NOON = 1_700_000_000 // 86_400 * 86_400 + 43_200.0
"""A Unix time at 12:00 UTC."""


def spec(given, **times) -> pools.PolicySpec:
    return policy(given, None, clock=lambda: 100.0, wall=lambda: NOON, **times)


def numbers(found: pools.PolicySpec) -> tuple[float, ...]:
    """What the one policy is asked with."""
    (part,) = found.parts
    return tuple(part.parameters)


def decided(found: pools.PolicySpec, now_s: float, *, serving: int, sessions: int) -> tuple:
    """(launch, terminate) of a pool of idle and busy workers with one slot each."""
    idle = serving - sessions
    observation = (now_s, idle, sessions, 0, 0, 0, serving, 0, idle, 1)
    actions, _ = found.decide(observation, found.memories)
    return actions[0], actions[1]


def test_a_schedule_goes_by_the_time_of_day_in_utc() -> None:
    steps = [{"at": "08:00", "warm": 1}, {"at": "12:30", "warm": 4}]
    found = spec({"kind": "schedule", "steps": steps})
    assert decided(found, 100.0, serving=1, sessions=0) == (0, 0)
    assert decided(found, 100.0 + 1801, serving=1, sessions=0) == (3, 0)


def test_a_schedule_may_count_from_another_midnight() -> None:
    given = {"kind": "schedule", "steps": [{"at_s": 0.0, "warm": 1}, {"at_s": 10, "warm": 4}]}
    found = spec(given | {"midnight_s": NOON})
    assert decided(found, 109.0, serving=1, sessions=0) == (0, 0)
    assert decided(found, 111.0, serving=1, sessions=0) == (3, 0)


def test_a_target_follows_the_sessions() -> None:
    found = spec({"kind": "target", "utilisation": "50%"})
    assert decided(found, 100.0, serving=4, sessions=3) == (2, 0)
    assert spec({"kind": "target", "utilisation": 0.5}).parts == found.parts


def test_a_prediction_looks_as_far_ahead_as_a_launch_takes() -> None:
    given = {"kind": "predictive", "method": "ewma", "headroom": "10%", "half_life": "1min"}
    assert numbers(spec(given, lead_s=45.0))[6:] == (45.0, 60.0)
    assert numbers(spec(given))[:2] == (0, 0.1)
    assert spec(given).kind == "ewma"
    assert len(spec(given).memories[0]) > 2


def test_a_forecast_counts_from_its_unix_time() -> None:
    forecast = {"origin_s": NOON, "step_s": 10.0, "values": [0.0, 3.0, 3.0]}
    found = spec({"kind": "predictive", "method": "mtginf", "forecast": forecast})
    assert decided(found, 100.0, serving=1, sessions=0) == (0, 1)
    assert decided(found, 115.0, serving=1, sessions=0) == (2, 0)


@pytest.mark.parametrize(
    ("given", "mean_s"),
    [
        (None, 0.0),
        ({"mean_s": 2.0}, 2.0),
        ({"dist": "deterministic", "mean": "500ms"}, 0.5),
        ({"dist": "exponential", "mean": "2s"}, 2.0),
        ({"dist": "lognormal", "mean_s": 3.0, "cv": 0.5, "median_s": None}, 3.0),
        ({"dist": "weibull", "shape": 2, "scale": "1s"}, math.gamma(1.5)),
    ],
)
def test_boot_delays_have_the_mean_they_were_given(given, mean_s: float) -> None:
    boots = BootTimes(given, seed=1)
    assert boots.mean_s == pytest.approx(mean_s)
    assert statistics.fmean(boots.delay_s(i) for i in range(4000)) == pytest.approx(
        mean_s, rel=0.06
    )


def test_boot_delays_have_the_quantiles_they_were_given() -> None:
    boots = BootTimes({"dist": "lognormal", "median": "45s", "p95": "90s"}, seed=3)
    drawn = sorted(boots.delay_s(i) for i in range(4000))
    assert drawn[2000] == pytest.approx(45, rel=0.05)
    assert drawn[3800] == pytest.approx(90, rel=0.06)


def test_a_boot_delay_belongs_to_its_launch_and_seed() -> None:
    given = {"dist": "exponential", "mean": 2}
    first = BootTimes(given, seed=1)
    later = [BootTimes(given, seed=1).delay_s(i) for i in (2, 1, 0)]
    assert [first.delay_s(i) for i in (0, 1, 2)] == later[::-1]
    assert BootTimes(given, seed=2).delay_s(0) != first.delay_s(0)


@pytest.mark.parametrize(
    ("position", "boots_ms", "slots", "freed_per_ms", "expected"),
    [
        (1, [], 1, 0.0, None),
        (1, [800.0], 1, 0.0, 800),
        (2, [800.0], 1, 0.0, None),
        (2, [800.0, 300.0], 1, 0.0, 800),
        (2, [800.0], 2, 0.0, 800),
        (1, [], 1, 0.001, 1000),
        (2, [500.0], 1, 0.001, 1000),
        (1, [5000.0], 1, 0.001, 1000),
    ],
)
def test_the_estimate_counts_boots_and_turnover(
    position: int, boots_ms, slots: int, freed_per_ms: float, expected
) -> None:
    assert eta_ms(position, boots_ms, slots, freed_per_ms) == expected


def test_the_estimate_learns_from_what_it_sees() -> None:
    turnover = Turnover()
    booting = Worker("w1", "p", state=WorkerState.BOOTING, created_ms=1000)
    ready = Worker("w1", "p", state=WorkerState.READY, created_ms=1000, ready_ms=5000)
    turnover.see(PoolSnapshot("p", 1000, (booting,), ("s1",)))
    assert turnover.eta_ms(1, 1) is None
    turnover.see(PoolSnapshot("p", 5000, (ready,), ()))
    second = Worker("w2", "p", state=WorkerState.BOOTING, created_ms=6000)
    turnover.see(PoolSnapshot("p", 7000, (ready, second), ("s2",)))
    assert turnover.eta_ms(1, 1) == 3000
    turnover.see(PoolSnapshot("p", 20_000, (ready, second), ("s2",)))
    assert turnover.eta_ms(1, 1) == 400


def test_the_estimate_learns_how_often_sessions_end() -> None:
    turnover = Turnover()
    for second in range(11):
        held = Worker("w1", "p", state=WorkerState.ACTIVE, sessions=(f"s{second}",))
        turnover.see(PoolSnapshot("p", 1000 * second, (held,), ("waits",)))
    assert turnover.eta_ms(2, 1) == pytest.approx(2000, rel=0.15)


def test_the_api_description_names_every_route_and_resolves() -> None:
    assert set(DOCUMENT["paths"]) == {
        "/allocate",
        "/tickets/{ticket}",
        "/release",
        "/workers",
        "/workers/{worker_id}/drain",
        "/pools",
        "/pools/{name}",
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
        "/openapi.json",
    }
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in DOCUMENT["components"]["schemas"]
