"""Logs replay to the same actions; fits find what was drawn, censored or not."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from test_sim_policies import OWN

from sim.fit import Times, fit, kaplan_meier, quantile
from sim.model import BadModel
from sim.replay import BadLog, replay
from system.orchestrator.policy import ALL, MEMORIES, OBSERVATION_FIELDS


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


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "there is no policy.decided"),
        (['{"event": "policy.decided", "kind": "other"}'], "'other' is none of"),
        (['{"event": "policy.decided", "kind": "fixed"}'], "parameters of pool 'default'"),
        (['{"event": "policy.decided", }'], "not a JSON"),
    ],
)
def test_a_log_that_cannot_be_replayed_says_why(lines: list[str], words: str) -> None:
    with pytest.raises(BadLog, match=words):
        replay(lines)


def censored(drawn: np.ndarray, limits: np.ndarray) -> Times:
    return Times(np.minimum(drawn, limits), drawn <= limits)


def test_censoring_does_not_make_a_fit_shorter() -> None:
    rng = np.random.default_rng(1)
    times = censored(rng.exponential(60.0, 4000), rng.exponential(30.0, 4000))
    found = fit(times, "patience")
    assert found.written["dist"] == "exponential"
    assert float(found.written["mean"][:-1]) == pytest.approx(60.0, rel=0.06)
    assert found.median_s == pytest.approx(60 * np.log(2), rel=0.1)
    assert found.distance < 2 * found.noise


@pytest.mark.parametrize(
    ("drawn", "kind"),
    [
        (lambda rng: rng.lognormal(3.0, 0.5, 3000), "lognormal"),
        (lambda rng: 40.0 * rng.weibull(3.0, 3000), "weibull"),
    ],
)
def test_the_shape_that_was_drawn_is_found(drawn, kind: str) -> None:
    sample = drawn(np.random.default_rng(2))
    found = fit(censored(sample, np.full(3000, np.quantile(sample, 0.9))), "boot")
    assert found.written["dist"] == kind
    assert found.censored == 300


def test_kaplan_meier_is_the_textbook_table() -> None:
    """Freireich 1963, 6-MP arm: remission in weeks."""
    weeks = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    ended = np.array([True] * 9 + [False] * 12)
    at, survival = kaplan_meier(Times(np.array(weeks, dtype=np.float64), ended))
    assert at.tolist() == [6, 7, 10, 13, 16, 22, 23]
    expected = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert survival.round(3).tolist() == expected
    assert quantile((at, survival), 0.5) == 23


def test_too_little_to_fit_is_said() -> None:
    with pytest.raises(BadModel, match="only 1 were seen to their end"):
        fit(Times(np.array([1.0, 2.0]), np.array([True, False])), "boot")
