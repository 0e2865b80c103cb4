"""A worker of the reference model goes the ways of the orchestrator's, and no other."""

from __future__ import annotations

from itertools import product

import pytest

from sim import worker as model
from sim.worker import Worker, comes_to
from system.protocol import states
from system.protocol.states import FINAL, WorkerState


def test_a_worker_fails_from_anywhere_and_comes_back_from_nowhere() -> None:
    for before, after in product(WorkerState, WorkerState):
        if before in FINAL:
            assert not comes_to(before, after)
        elif after is WorkerState.FAILED:
            assert comes_to(before, after)


def test_a_way_that_the_orchestrator_does_not_know_is_refused() -> None:
    worker = Worker(0, 1)
    worker.state = WorkerState.BOOTING
    with pytest.raises(AssertionError):
        worker.state = WorkerState.ACTIVE
    worker.state = WorkerState.READY
    with pytest.raises(AssertionError):
        worker.state = WorkerState.BOOTING


def test_it_is_the_orchestrators_function_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(comes_to(before, after) for before, after in model._WAYS)
    comes_to.cache_clear()
    monkeypatch.setattr(states, "apply", lambda record, event: states.Refusal("no"))
    assert not any(comes_to(before, after) for before, after in model._WAYS)
    comes_to.cache_clear()
