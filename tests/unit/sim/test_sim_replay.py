"""Logs replay to the same actions."""

from __future__ import annotations

import json
import random

import pytest
from test_sim_policies import OWN

from sim.replay import BadLog, replay
from system.orchestrator.policy import ALL, MEMORIES, OBSERVATION_FIELDS
from system.orchestrator.policy.combined import highest


def log_of(kind: str, decisions: int = 200) -> list[str]:
    """What the orchestrator logs; decisions without an action are left out, as at level info."""
    rng = random.Random(kind)
    memory = MEMORIES[kind]
    parameters = (2.0, 0.0, 0.0, float("inf"), 5.0, 20.0, *OWN.get(kind, ()))
    lines = ['{"event": "worker.ready", "boot_s": 1.0}', "not json at all"]
    for number in range(decisions):
        seen = (10.0 * number, *(float(rng.randrange(6)) for _ in range(8)), 1.0)
        actions, after = ALL[kind](seen, parameters, memory)
        if any(actions):
            lines.append(
                json.dumps(
                    {
                        "event": "policy.decided",
                        "pool": "default",
                        "kind": kind,
                        "observation": dict(zip(OBSERVATION_FIELDS, seen, strict=True)),
                        "parameters": [None if v == float("inf") else v for v in parameters],
                        "memory": list(memory),
                        "launch": int(actions[0]),
                        "terminate": int(actions[1]),
                    }
                )
            )
        memory = after
    return lines


@pytest.mark.parametrize("kind", ALL)
def test_a_log_replays_to_identical_actions(kind: str) -> None:
    found = replay(log_of(kind))
    assert found.decisions > 20
    assert found.different == []


def test_a_changed_action_is_found() -> None:
    lines = [line.replace('"launch": 2', '"launch": 3') for line in log_of("buffer")]
    assert replay(lines).different


def combined(change: int = 0) -> str:
    """A decision of two policies: each has its own parameters and memory."""
    seen = (10.0, 1.0, 2.0, 0.0, 0.0, 3.0, 3.0, 3.0, 1.0, 1.0)
    kinds = ("buffer", "target")
    parameters = [(2.0, 0.0, 0.0, 9.0, 0.0, 0.0, *OWN.get(kind, ())) for kind in kinds]
    asked = list(zip(kinds, parameters, strict=True))
    actions = highest([ALL[kind](seen, given, MEMORIES[kind]) for kind, given in asked])
    record = {
        "event": "policy.decided",
        "kind": "max",
        "observation": dict(zip(OBSERVATION_FIELDS, seen, strict=True)),
        "parts": [
            {"kind": kind, "parameters": given, "memory": MEMORIES[kind]} for kind, given in asked
        ],
        "launch": int(actions[0]) + change,
        "terminate": int(actions[1]),
    }
    return json.dumps(record)


def test_policies_that_decide_together_are_asked_together() -> None:
    assert replay([combined()]).different == []
    assert replay([combined(1)]).different


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "there is no policy.decided"),
        (['{"event": "policy.decided", "kind": "other"}'], "'other' is none of"),
        (['{"event": "policy.decided", "kind": "fixed"}'], "parameters of pool 'default'"),
        (['{"event": "policy.decided", }'], "not a JSON"),
        (['{"event": "policy.decided", "kind": "schedule"}'], "counts from when"),
        (['{"event": "policy.decided", "parts": 3}'], "parts is not a list"),
        (['{"event": "policy.decided", "parts": []}'], "parts is empty"),
        ([combined().replace('"parameters": [2.0, ', '"parameters": [')], "cannot be asked"),
        ([combined().replace('"waiting": 3.0', '"waiting": "x"')], "not one of this version"),
    ],
)
def test_a_log_that_cannot_be_replayed_says_why(lines: list[str], words: str) -> None:
    with pytest.raises(BadLog, match=words):
        replay(lines)
