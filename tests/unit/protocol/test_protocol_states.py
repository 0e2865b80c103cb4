"""Transitions of sessions and workers."""

import random
from dataclasses import replace

import pytest

from system.protocol import states as s
from system.protocol.fields import Fence

FENCE = Fence(epoch=1, n=1)
SESSION = s.Session("sid", "client", "project", "default")
WORKER = s.Worker("w", "default")


def _session(*events: s.SessionEvent, record: s.Session = SESSION) -> s.Session:
    for event in events:
        changed = s.apply(record, event)
        assert isinstance(changed, s.Session), (record.state, event, changed)
        record = changed
    return record


def _worker(*events: s.WorkerEvent, record: s.Worker = WORKER) -> s.Worker:
    for event in events:
        changed = s.apply(record, event)
        assert isinstance(changed, s.Worker), (record.state, event, changed)
        record = changed
    return record


RESERVED = s.SessionReserved("w", FENCE, 5_000)
READY = s.WorkerReady(at_ms=10, generation=1, node="n", slots=2)


def test_a_session_goes_from_request_to_active() -> None:
    session = _session(
        s.SessionQueued(), RESERVED, s.SessionConfirmed(FENCE), s.SessionActivated(FENCE)
    )
    assert session.state is s.SessionState.ACTIVE
    assert session.worker_id == "w"
    assert session.lease_until_ms is None


@pytest.mark.parametrize("event", [s.SessionConfirmed, s.SessionActivated])
def test_a_stale_fence_changes_nothing(
    event: type[s.SessionConfirmed] | type[s.SessionActivated],
) -> None:
    session = _session(RESERVED)
    if event is s.SessionActivated:
        session = _session(s.SessionConfirmed(FENCE), record=session)
    assert s.apply(session, event(Fence(epoch=1, n=0))) == s.Refusal("stale fence")


def test_an_active_session_is_suspended_and_resumed() -> None:
    active = _session(RESERVED, s.SessionConfirmed(FENCE), s.SessionActivated(FENCE))
    suspended = _session(s.SessionSuspended(99), record=active)
    assert suspended.state is s.SessionState.SUSPENDED
    assert suspended.suspended_until_ms == 99
    resumed = _session(s.SessionResumed("node-2", "digest"), record=suspended)
    assert resumed.state is s.SessionState.ACTIVE
    assert (resumed.node, resumed.resume_digest) == ("node-2", "digest")
    assert resumed.suspended_until_ms is None


def test_a_session_without_its_worker_may_be_placed_again() -> None:
    session = _session(RESERVED, s.SessionConfirmed(FENCE), s.SessionUnplaced())
    assert session.worker_id is None
    assert session.fence is None
    assert session.negotiation == 2
    again = _session(s.SessionReserved("w2", Fence(epoch=1, n=4), 9), record=session)
    assert again.worker_id == "w2"


def _moving() -> s.Session:
    return _session(RESERVED, s.SessionConfirmed(FENCE), s.SessionActivated(FENCE))


def test_only_a_session_that_a_worker_had_and_whose_client_can_be_moved_is_movable() -> None:
    assert not _moving().movable
    able = replace(SESSION, moves=True)
    assert not _session(RESERVED, record=able).movable
    assert _session(RESERVED, s.SessionConfirmed(FENCE), record=able).movable
    assert replace(_moving(), moves=True).movable
    moved = _session(RESERVED, s.SessionConfirmed(FENCE), s.SessionUnplaced(), record=able)
    assert moved.movable
    assert _session(RESERVED, record=moved).movable


def test_fences_of_one_session_grow_from_worker_to_worker() -> None:
    session = _session(replace(RESERVED, fence=Fence(epoch=1, n=7)), s.SessionUnplaced())
    assert session.fence_n == 7
    worker = _worker(READY, s.SlotReserved("sid", 1, above=session.fence_n))
    assert worker.fence_n == 8
    assert _worker(s.SlotReserved("other", 2, above=3), record=worker).fence_n == 9


def test_a_suspended_session_that_loses_its_worker_waits_for_its_client() -> None:
    lost = _session(s.SessionSuspended(99), s.SessionUnplaced(), record=_moving())
    assert (lost.state, lost.suspended_until_ms) == (s.SessionState.SUSPENDED, 99)
    assert (lost.worker_id, lost.fence, lost.negotiation) == (None, None, 2)
    assert isinstance(s.apply(lost, RESERVED), s.Refusal)
    back = _session(s.SessionResumed("n2", "digest"), s.SessionQueued(), record=lost)
    assert (back.state, back.suspended_until_ms) == (s.SessionState.QUEUED, None)


def test_a_moved_session_without_a_worker_may_be_suspended_and_a_new_one_not() -> None:
    moved = _session(s.SessionUnplaced(), s.SessionQueued(), record=_moving())
    parked = _session(s.SessionSuspended(99), record=moved)
    assert (parked.state, parked.node) == (s.SessionState.SUSPENDED, "")
    assert isinstance(s.apply(_session(s.SessionQueued()), s.SessionSuspended(9)), s.Refusal)
    placed = _session(RESERVED, record=moved)
    assert isinstance(s.apply(placed, s.SessionSuspended(9)), s.Refusal)


def test_nothing_follows_the_end_of_a_session() -> None:
    ended = _session(s.SessionEnded("left"))
    for event in (RESERVED, s.SessionQueued(), s.SessionEnded("again"), s.SessionUnplaced()):
        assert isinstance(s.apply(ended, event), s.Refusal)


def test_slots_fill_and_free() -> None:
    worker = _worker(s.WorkerBooting(1), READY)
    assert worker.free_slots == 2
    worker = _worker(s.SlotReserved("a", 11), s.SlotReserved("b", 12), record=worker)
    assert worker.state is s.WorkerState.RESERVED
    assert worker.fence_n == 2
    assert s.apply(worker, s.SlotReserved("c", 13)) == s.Refusal("no free slot")
    worker = _worker(s.SlotConfirmed("a", 14), record=worker)
    assert worker.state is s.WorkerState.ACTIVE
    worker = _worker(s.SlotReleased("b", 15), s.SlotReleased("a", 16), record=worker)
    assert worker.state is s.WorkerState.READY
    assert worker.free_slots == 2


def test_one_session_never_takes_two_slots_of_a_worker() -> None:
    worker = _worker(READY, s.SlotReserved("a", 1))
    assert isinstance(s.apply(worker, s.SlotReserved("a", 2)), s.Refusal)


def test_a_released_worker_serves_again_after_its_scrub() -> None:
    worker = _worker(READY, s.SlotReserved("a", 1), s.SlotReleased("a", 2, scrub=True))
    assert worker.state is s.WorkerState.DRAINING
    assert worker.free_slots == 0
    assert _worker(s.WorkerScrubbed(3), record=worker).state is s.WorkerState.READY


def test_a_draining_worker_takes_nothing_and_never_becomes_ready_by_itself() -> None:
    worker = _worker(READY, s.SlotReserved("a", 1), s.WorkerDrains(2))
    assert worker.free_slots == 0
    worker = _worker(s.SlotReleased("a", 3), record=worker)
    assert worker.state is s.WorkerState.DRAINING
    assert isinstance(s.apply(worker, s.WorkerScrubbed(4)), s.Refusal)
    assert _worker(s.WorkerTerminates(5), s.WorkerGone(6), record=worker).state is (
        s.WorkerState.GONE
    )


def test_a_worker_with_sessions_is_not_terminated() -> None:
    worker = _worker(READY, s.SlotReserved("a", 1))
    assert isinstance(s.apply(worker, s.WorkerTerminates(2)), s.Refusal)


def test_the_newest_generation_of_a_worker_wins() -> None:
    worker = _worker(replace(READY, generation=3))
    assert isinstance(s.apply(worker, replace(READY, generation=2)), s.Refusal)
    assert _worker(replace(READY, generation=4), record=worker).generation == 4


def test_a_reconnecting_worker_keeps_its_sessions_and_a_restarted_one_loses_them() -> None:
    worker = _worker(READY, s.SlotReserved("a", 1), s.SlotConfirmed("a", 2))
    assert _worker(READY, record=worker).sessions == ("a",)
    restarted = _worker(replace(READY, generation=2), record=worker)
    assert restarted.sessions == ()
    assert restarted.state is s.WorkerState.READY


def test_a_failed_worker_has_no_sessions_and_comes_back_only_by_registering() -> None:
    failed = _worker(READY, s.SlotReserved("a", 1), s.WorkerFailed(2, "lost"))
    assert failed.state is s.WorkerState.FAILED
    assert failed.sessions == ()
    assert isinstance(s.apply(failed, s.SlotReserved("b", 3)), s.Refusal)
    assert _worker(READY, record=failed).state is s.WorkerState.READY


def test_stop_and_start() -> None:
    worker = _worker(READY, s.WorkerStops(1), s.WorkerStopped(2), s.WorkerStarts(3))
    assert worker.state in s.LAUNCHING
    assert _worker(replace(READY, generation=2), record=worker).state is s.WorkerState.READY


def test_random_events_never_break_the_invariants() -> None:
    seed = 20_261_123
    rng = random.Random(seed)
    for _ in range(300):
        worker = WORKER
        for at in range(60):
            name = rng.choice("abc")
            event = rng.choice(
                (
                    s.WorkerBooting(at),
                    replace(READY, at_ms=at, generation=rng.randint(1, 3)),
                    s.SlotReserved(name, at),
                    s.SlotConfirmed(name, at),
                    s.SlotReleased(name, at, rng.random() < 0.5),
                    s.WorkerScrubbed(at),
                    s.WorkerDrains(at),
                    s.WorkerStops(at),
                    s.WorkerStopped(at),
                    s.WorkerStarts(at),
                    s.WorkerTerminates(at),
                    s.WorkerFailed(at, "x"),
                    s.WorkerGone(at),
                )
            )
            changed = s.apply(worker, event)
            if isinstance(changed, s.Refusal):
                continue
            assert len(set(changed.sessions)) == len(changed.sessions) <= changed.slots, seed
            assert set(changed.active) <= set(changed.sessions), seed
            assert changed.fence_n >= worker.fence_n, seed
            if changed.state in s.FINAL or changed.state is s.WorkerState.READY:
                assert not changed.sessions, seed
            worker = changed
