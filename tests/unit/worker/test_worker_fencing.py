from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from system.protocol.errors import ErrorCode
from system.protocol.fields import Fence, ProjectState
from system.protocol.messages import SessionAssigned
from system.worker.fencing import Assignment, FenceGuard, commands
from system.worker.session import WorkerSession
from system.worker.slots import Admission, Slots


def test_fences_are_admitted_in_growing_order_only() -> None:
    guard = FenceGuard()
    assert guard.admit(Fence(5, 2), None) is Assignment.NEW
    assert guard.admit(Fence(5, 1), None) is Assignment.STALE
    assert guard.admit(Fence(5, 2), None) is Assignment.STALE
    assert guard.admit(Fence(5, 3), None) is Assignment.NEW


def test_a_later_epoch_beats_every_number_of_an_earlier_one() -> None:
    guard = FenceGuard()
    guard.admit(Fence(5, 900), None)
    assert guard.admit(Fence(6, 1), None) is Assignment.NEW
    assert guard.admit(Fence(5, 901), None) is Assignment.STALE


def test_the_assignment_of_a_session_that_is_here_may_be_repeated() -> None:
    guard = FenceGuard()
    guard.admit(Fence(1, 1), None)
    assert guard.admit(Fence(1, 1), Fence(1, 1)) is Assignment.REPEATED


def test_a_command_needs_exactly_the_fence_of_its_session() -> None:
    assert commands(Fence(1, 2), Fence(1, 2))
    assert not commands(Fence(1, 2), Fence(1, 3))
    assert not commands(Fence(1, 2), Fence(1, 1))
    assert not commands(Fence(1, 2), None)


def assigned(session_id: str, n: int) -> SessionAssigned:
    return SessionAssigned(
        session_id=session_id, fence=Fence(1, n), project=ProjectState(project_id="p")
    )


def session(session_id: str, n: int) -> WorkerSession:
    return cast(WorkerSession, SimpleNamespace(session_id=session_id, fence=Fence(1, n)))


def test_slots_take_no_more_sessions_than_there_are() -> None:
    slots = Slots(1)
    assert slots.judge(assigned("a", 1)) is Admission.TAKE
    slots.put(session("a", 1))
    assert slots.judge(assigned("b", 2)).refusal is ErrorCode.NO_CAPACITY
    slots.free(slots.sessions[0])
    assert slots.judge(assigned("b", 3)) is Admission.TAKE


def test_a_newer_assignment_of_a_session_takes_its_own_slot() -> None:
    slots = Slots(1)
    slots.judge(assigned("a", 1))
    slots.put(session("a", 1))
    assert slots.judge(assigned("a", 1)) is Admission.CONFIRM_AGAIN
    assert slots.judge(assigned("a", 2)) is Admission.TAKE


def test_freeing_a_session_does_not_free_the_one_that_replaced_it() -> None:
    slots = Slots(1)
    old, new = session("a", 1), session("a", 2)
    slots.put(old)
    slots.put(new)
    slots.free(old)
    assert slots.sessions == (new,)


def test_a_draining_worker_takes_nothing() -> None:
    slots = Slots(2)
    slots.draining = True
    assert slots.judge(assigned("a", 1)).refusal is ErrorCode.NO_CAPACITY


def test_a_stale_assignment_is_refused_as_such() -> None:
    slots = Slots(2)
    slots.judge(assigned("a", 7))
    assert slots.judge(assigned("b", 6)).refusal is ErrorCode.STALE_FENCE


@pytest.mark.parametrize("admission", [Admission.TAKE, Admission.CONFIRM_AGAIN])
def test_what_is_taken_has_no_refusal(admission: Admission) -> None:
    assert admission.refusal is None
