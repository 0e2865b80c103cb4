"""The embedded stack that a scenario describes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loadtest import _target
from loadtest._refusal import Refusal
from scenarios.loader import load, loads
from sim import policies
from system.orchestrator import policy_spec

ROOT = Path(__file__).resolve().parents[3]
BASE = "version: 1\nname: base\nload: {model: closed, users: 1, for: 5s}\n"


def test_the_demo_becomes_its_stack() -> None:
    scenario = load(ROOT / "scenarios" / "demo.yaml")
    config = _target.stack_config(scenario)
    (pool,) = config.pools
    assert (pool.initial, pool.slots, pool.max_workers) == (2, 4, 3)
    assert dict(pool.effective_policy) == {"kind": "fixed", "size": 2}, "until the load begins"
    policy = _target.policy_from(scenario, 0.0)
    assert (policy["kind"], policy["interval_s"]) == ("buffer", 1.0)
    assert pool.boot is not None
    assert dict(pool.boot) == {"dist": "deterministic", "mean_s": 1.0}
    assert (config.stream.width, config.stream.height, config.stream.fps) == (640, 360, 30)
    assert config.stream.bitrate_bps == 1_200_000
    assert config.stream.codecs[0] == "h264"
    assert config.ready_target == 2


def test_what_happens_to_a_worker_between_sessions_reaches_the_stack() -> None:
    pool = "pool: {policy: {kind: fixed, size: 1}, scrub: 2s, reuse: false}\n"
    (found,) = _target.stack_config(loads(BASE + pool)).pools
    assert (found.scrub_s, found.reuse) == (2.0, False)


@pytest.mark.parametrize(("users", "workers"), [(1, 1), (4, 1), (5, 2), (0, 1)])
def test_viewers_without_a_scenario_get_enough_workers(users: int, workers: int) -> None:
    scenario = loads(_target.viewers_scenario(users, 2.0, 60.0, embedded=True))
    config = _target.stack_config(scenario)
    assert config.pools[0].initial == workers
    assert config.stream.width == 640
    assert scenario.load.model == "closed"
    assert scenario.load.users == max(users, 1)


def test_another_host_decides_on_its_stream_itself() -> None:
    scenario = loads(_target.viewers_scenario(3, 1.0, 60.0, embedded=False))
    assert scenario.stream == loads(BASE).stream


def test_a_name_that_cannot_be_known_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise _target.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(_target.socket, "create_connection", unknown)
    with pytest.raises(Refusal, match=r"the name staging\.example is not known"):
        _target.preflight("wss://staging.example")


def test_a_host_that_does_not_answer_is_given_up_within_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(address: object, timeout: float) -> None:
        assert timeout == _target.PREFLIGHT_S
        raise TimeoutError

    monkeypatch.setattr(_target.socket, "create_connection", silent)
    with pytest.raises(Refusal, match="port 443 did not answer within 5 s"):
        _target.preflight("wss://staging.example")


POLICIES = {
    "fixed": "{kind: fixed, size: 3, cooldown: 5s}",
    "buffer": "{kind: buffer, warm: 20%, min: 2, scale_in_delay: 1min}",
    "schedule": '{kind: schedule, steps: [{at: "08:00", warm: 1}, {at: "08:01", warm: 50%}]}',
    "target": "{kind: target, utilisation: 80%, max: 5}",
    "two-tier": "{kind: two-tier, warm: 1, stopped: 3}",
    "max": '[{kind: buffer, warm: 1}, {kind: schedule, steps: [{at: "08:00", warm: 1}]}]',
    "ewma": "{kind: predictive, method: ewma, headroom: 2, half_life: 30s}",
    "holt-winters": "{kind: predictive, method: holt-winters, headroom: 20%, season: 1h}",
}


@pytest.mark.parametrize("kind", POLICIES)
def test_the_orchestrator_asks_a_policy_with_the_same_numbers_as_the_simulator(kind: str) -> None:
    text = f"{BASE}pool: {{boot: 45s, max_workers: 6, policy: {POLICIES[kind]}}}\n"
    scenario = loads(text + 'sim: {start: "08:00"}\n')
    epoch = 1_700_000_000.0
    simulated = policies.model(scenario.pool.policy, scenario.pool, scenario)
    asked = policy_spec.policy(
        msgspec.json.decode(msgspec.json.encode(_target.policy_from(scenario, epoch))),
        scenario.pool.max_workers,
        lead_s=scenario.pool.boot.mean,
        clock=lambda: 0.0,
        wall=lambda: epoch,
    )
    assert [part.kind for part in asked.parts] == [part.kind for part in simulated.parts]
    for own, other in zip(asked.parts, simulated.parts, strict=True):
        assert own.parameters == pytest.approx(other.parameters)
    assert asked.kind == kind
    assert asked.interval_s == simulated.interval_us / 1e6


def test_a_system_tells_its_metrics_beside_its_socket() -> None:
    assert _target.metrics_urls("wss://host:8443/room") == ("https://host:8443/metrics",)
    assert _target.metrics_urls("ws://127.0.0.1:1") == ("http://127.0.0.1:1/metrics",)
