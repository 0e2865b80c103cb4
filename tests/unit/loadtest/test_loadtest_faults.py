"""Faults injected into a stack that a test plays: its signals are written down, not sent."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any, cast

import gevent
import pytest

from loadtest import _faults
from loadtest._faults import TARGET_S, Faults
from scenarios.loader import loads
from system.protocol.messages import WorkerView
from system.stack import EmbeddedStack
from system.stack.errors import StackError

SCENARIO = """\
version: 1
name: faulty
load: {{model: closed, users: 1, for: 60s}}
faults: [{}]
"""


class Stack:
    """Three workers, the first one busy; one that a signal has hit is replaced in time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.signals: list[tuple[float, int, signal.Signals]] = []
        self.busy = True
        self.silent_from_s = 1000.0
        self.replaced_after_s = 4.0
        self._lost: dict[str, float] = {}

    def workers(self) -> list[WorkerView]:
        if self.now_s > self.silent_from_s:
            raise StackError("orchestrator: GET /workers answered 503")
        found = []
        for name in ("w1", "w2", "w3"):
            lost_s = self._lost.get(name)
            found.append(self._view(name, "ready" if lost_s is None else "failed"))
            if lost_s is not None and self.now_s >= lost_s + self.replaced_after_s:
                found.append(self._view(f"{name}-again", "ready"))
        return found

    def _view(self, name: str, state: str) -> WorkerView:
        sessions = ("s1",) if name == "w1" and self.busy and state != "failed" else ()
        return WorkerView(worker_id=name, pool="default", state=state, slots=4, sessions=sessions)

    def worker_pids(self) -> dict[str, int]:
        return {"w1": 101, "w2": 102, "w3": 103}

    def kill(self, pid: int, number: signal.Signals) -> None:
        self.signals.append((round(self.now_s, 1), pid, number))
        if number is not signal.SIGCONT:
            self._lost[f"w{pid - 100}"] = self.now_s


TURNS = 8
"""So often all others have their turn before time goes on."""


class Bench:
    """The faults of a scenario, and how time passes."""

    def __init__(self, stack: Stack, faults: str) -> None:
        scenario = loads(SCENARIO.format(faults))
        self.problems: list[str] = []
        self.stack = stack
        self.faults = Faults(
            scenario.faults,
            7,
            cast(EmbeddedStack, stack),
            stalled=lambda: 0,
            elapsed_s=lambda: stack.now_s,
            problem=self.problems.append,
        )

    def run(self, until_s: float) -> list[dict[str, Any]]:
        greenlet = gevent.spawn(self.faults.run)
        while self.stack.now_s < until_s:
            for _ in range(TURNS):
                gevent.idle()
            self.stack.now_s += 0.25
        greenlet.kill()
        self.faults.stop()
        return [dict(row) for row in self.faults.rows()]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    stack = Stack()

    def sleep(seconds: float) -> None:
        until_s = stack.now_s + seconds
        while stack.now_s < until_s:
            gevent.idle()

    monkeypatch.setattr(_faults.gevent, "sleep", sleep)
    monkeypatch.setattr(_faults.os, "kill", stack.kill)
    return stack


def test_a_busy_worker_is_killed_at_its_time_and_its_replacement_timed(stack: Stack) -> None:
    (row,) = Bench(stack, "{at: 5s, kind: worker_kill, target: busy}").run(20.0)
    assert stack.signals == [(5.0, 101, signal.SIGKILL)]
    assert (row["event"], row["node"], row["t_us"]) == ("fault.worker_kill", "w1", 5_000_000)
    assert row["value"] == pytest.approx(4.0, abs=0.5)
    assert json.loads(row["attrs"])["target"] == "busy"


def test_a_hanging_worker_is_woken_when_its_time_is_over(stack: Stack) -> None:
    (row,) = Bench(stack, "{at: 2s, kind: worker_hang, target: busy, for: 3s}").run(20.0)
    assert [number for _, _, number in stack.signals] == [signal.SIGSTOP, signal.SIGCONT]
    assert stack.signals[1][0] == pytest.approx(5.0, abs=0.5)
    assert json.loads(row["attrs"])["for_s"] == 3.0


def test_what_hangs_for_good_is_woken_at_the_end_so_that_it_can_leave(stack: Stack) -> None:
    Bench(stack, "{at: 2s, kind: worker_hang, target: all}").run(10.0)
    assert [pid for _, pid, number in stack.signals if number is signal.SIGCONT] == [101, 102, 103]


def test_a_fault_that_finds_no_such_worker_makes_the_run_another_one(stack: Stack) -> None:
    stack.busy = False
    bench = Bench(stack, "{at: 1s, kind: worker_kill, target: busy}")
    assert bench.run(1.0 + TARGET_S + 2.0) == []
    assert bench.problems == ["worker_kill at 1 s: there was no busy worker"]
    assert stack.signals == []


def test_without_an_answer_of_the_orchestrator_there_is_no_time_to_recovery(stack: Stack) -> None:
    stack.silent_from_s = 3.0
    (row,) = Bench(stack, "{at: 1s, kind: worker_kill}").run(30.0)
    assert row["value"] is None


def test_the_same_seed_hits_the_same_worker(stack: Stack) -> None:
    hits = set()
    for _ in range(3):
        stack.__dict__.update(Stack().__dict__)
        (row,) = Bench(stack, "{at: 1s, kind: worker_kill}").run(3.0)
        hits.add(row["node"])
    assert len(hits) == 1
