"""A capacity search over a system that a test plays: it holds so many viewers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loadtest import _verdict
from loadtest._live import Live
from loadtest._pulse import Pulse
from loadtest._search import JOIN_S, Search
from reports.capacity import Capacity, Level
from reports.steps import Step
from scenarios.loader import loads
from system.client.histogram import LogHistogram

SCENARIO = """\
version: 1
name: search
load: {model: capacity, from: 2, step: 2, hold: 10s, max: 8}
gates:
  - {id: join, metric: session.join_time, stat: p95, "<=": 2s}
  - {id: i2f, metric: input.to_frame, stat: p95, "<=": 150ms}
"""


class System:
    """Viewers see pictures after a second; above ``holds`` they come late."""

    def __init__(self, *, holds: int = 100, admits: int = 100, max_users: int = 8) -> None:
        self.now_s = 0.0
        self.entered: list[str] = []
        self.blamed: list[str] = []
        self._holds = holds
        self._admits = admits
        self._stages: dict[str, int] = {}
        self.slow_at: set[int] = set()
        """Seconds in which everybody sees everything late."""
        scenario = loads(SCENARIO.replace("max: 8", f"max: {max_users}"))
        live = Live(clock=lambda: self.now_s)
        self.live = live
        load: Any = scenario.load
        self.search = Search(
            load,
            scenario.gates,
            live,
            enter=self.entered.append,
            elapsed_s=lambda: self.now_s,
            sleep=self.sleep,
            blame=self.blame,
        )

    def blame(self, step: Step, metric: str) -> str:
        self.blamed.append(metric)
        return "worker CPU"

    def sleep(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s = min(until_s, self.now_s + 1.0)
            self.second()

    def second(self) -> None:
        """A second of all viewers: those that are new join."""
        there = sum(self._stages.values())
        new = min(self.search.users, self._admits) - there
        by_stage = {}
        stage = self.entered[-1]
        if new > 0:
            self._stages[stage] = new
            by_stage = {stage: {"session.join_time": histogram([0.2] * new)}}
            there += new
        slow = there > self._holds or int(self.now_s) in self.slow_at
        pulse = Pulse(
            "locust-0",
            seconds={"input.to_frame": histogram([0.3 if slow else 0.05] * 10 * max(there, 1))},
            by_stage=by_stage,
            watching=dict(self._stages),
            pending={stage: self.search.users - there} if there < self.search.users else {},
        )
        self.live.add(pulse)
        self.search.pulse(pulse)


def histogram(values: list[float]) -> dict[str, Any]:
    made = LogHistogram()
    for value in values:
        made.add(value)
    return made.to_json()


def outcome(system: System) -> list[tuple[int, bool, str]]:
    system.search.run()
    assert system.search.over
    return [(step.users, step.held, step.gate) for step in system.search.steps]


def test_viewers_are_raised_until_a_gate_is_missed() -> None:
    system = System(holds=5)
    assert outcome(system) == [(2, True, ""), (4, True, ""), (6, False, "i2f")]
    broke = system.search.steps[-1]
    assert broke.reason == "input.to_frame p95 300 ms > 150 ms"
    assert (broke.component, system.blamed) == ("worker CPU", ["input.to_frame"])
    assert system.entered == ["viewers-2", "viewers-4", "viewers-6"]


def test_what_is_judged_begins_when_all_have_joined_and_lasts_as_asked() -> None:
    system = System(holds=5)
    outcome(system)
    *held, broke = system.search.steps
    for step in held:
        assert step.to_s - step.from_s == pytest.approx(10.0)
    assert broke.to_s - broke.from_s == pytest.approx(20.0)
    assert system.search.steps[0].from_s >= 1.0


def test_a_hiccup_is_no_limit_and_what_was_before_the_step_does_not_count() -> None:
    system = System(max_users=4)
    system.slow_at = {3, *range(20, 23)}  # while it settles; 3 s of 20
    assert outcome(system)[-1] == (4, False, "i2f")
    again = System(max_users=4)
    again.slow_at = {3, 20}  # 1 s of 20 is no p95 yet, of 10 it is
    assert outcome(again) == [(2, True, ""), (4, True, "")]
    assert again.search.steps[-1].to_s - again.search.steps[-1].from_s == pytest.approx(20.0)


def test_a_search_ends_at_its_maximum_when_nothing_fails() -> None:
    assert outcome(System(max_users=5)) == [(2, True, ""), (4, True, ""), (5, True, "")]


def test_viewers_that_cannot_join_fail_the_step_as_joins_that_never_came() -> None:
    system = System(admits=3)
    assert outcome(system) == [(2, True, ""), (4, False, "join")]
    assert system.now_s > JOIN_S


def test_a_step_that_lacks_viewers_is_not_held_whatever_the_gates_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = System(admits=3)
    monkeypatch.setattr(system.search, "_gates", system.search._gates[1:])
    assert outcome(system) == [(2, True, ""), (4, False, "")]
    assert system.search.steps[-1].reason == "3 of 4 viewers had pictures"


def test_a_slow_second_before_the_step_is_judged_does_not_fail_it() -> None:
    system = System(holds=2)
    slow = {"input.to_frame": histogram([9.0] * 1000)}
    system.search.pulse(Pulse("locust-0", seconds=slow))
    assert outcome(system)[0] == (2, True, "")


def capacity(**changes: Any) -> Capacity:
    level = Level(Step(2, 0.0, 10.0, held=True), {})
    settings: dict[str, Any] = {
        "held": 8,
        "broke_at": 10,
        "first_gate": "i2f",
        "component": "worker CPU",
        "reason": "",
        "levels": (level,),
    }
    return Capacity(**settings | changes)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({}, "held 8 viewers; at 10 input.to_frame p95 failed first (worker CPU)"),
        ({"component": None}, "held 8 viewers; at 10 input.to_frame p95 failed first"),
        (
            {"held": None, "broke_at": 2},
            "held not even the first step; at 2 input.to_frame p95 failed first (worker CPU)",
        ),
        (
            {"first_gate": None, "reason": "9 of 10 viewers had pictures", "component": "pool"},
            "held 8 viewers; at 10 9 of 10 viewers had pictures (pool)",
        ),
        ({"broke_at": None}, "held 8 viewers, the most that were tried; no gate failed"),
        ({"levels": ()}, "the search did not finish a step"),
    ],
)
def test_the_answer_is_one_plain_line(found: dict[str, Any], line: str) -> None:
    gates = loads(SCENARIO).gates
    answer: Callable[..., str] = _verdict.answer
    assert answer(capacity(**found), gates) == line
