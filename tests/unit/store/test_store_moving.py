"""Sessions that lose their worker, on a memory store with a clock of our own."""

from __future__ import annotations

import pytest

from system.protocol.fields import Fence
from system.protocol.messages import Register
from system.protocol.states import Session, SessionState
from system.protocol.tokens import digest
from system.store.ledger import Ledger, Reservation
from system.store.memory import MemoryStore


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(MemoryStore(clock))


async def worker(ledger: Ledger, name: str, slots: int = 1) -> None:
    await ledger.register(Register(worker_id=name, generation=1, slots=slots), "n1")


async def reserve(ledger: Ledger, session_id: str) -> Reservation | None:
    return await ledger.reserve(session_id, "client", "project", "default")


async def active(ledger: Ledger, session_id: str = "s1", *, moves: bool = True) -> Reservation:
    """A session on a worker, its client at node n1 with the token ``token-<id>``."""
    reservation = await reserve(ledger, session_id)
    assert reservation is not None
    await ledger.attach_client(session_id, "n1", digest(f"token-{session_id}"), moves=moves)
    assert await ledger.confirm(session_id, reservation.fence)
    assert await ledger.activate(session_id, reservation.fence)
    return reservation


async def session(ledger: Ledger, session_id: str = "s1") -> Session:
    found = await ledger.get_session(session_id)
    assert found is not None
    return found


async def lost(ledger: Ledger, name: str = "w1") -> list[SessionState]:
    return [s.state for s in await ledger.worker_lost(name, 1, "socket closed")]


async def test_a_session_that_can_be_moved_is_queued_before_all_newcomers(ledger: Ledger) -> None:
    await worker(ledger, "w1")
    before = await active(ledger)
    await ledger.enqueue("newcomer", "c", "p", "default", limit=9)
    assert await lost(ledger) == [SessionState.QUEUED]
    assert (await ledger.pool_view("default")).waiting == ("s1", "newcomer")
    await worker(ledger, "w2")
    assert await reserve(ledger, "newcomer") is None
    after = await reserve(ledger, "s1")
    assert after is not None
    assert (after.session_id, after.worker_id) == ("s1", "w2")
    assert after.fence != before.fence
    moved = await session(ledger)
    assert (moved.negotiation, moved.node) == (2, "n1")
    assert moved.resume_digest == digest("token-s1")


async def test_sessions_of_clients_that_know_no_moves_end_with_their_worker(
    ledger: Ledger,
) -> None:
    await worker(ledger, "w1", slots=2)
    await active(ledger, moves=False)
    await ledger.reserve("unconfirmed", "client", "project", "default")
    await ledger.attach_client("unconfirmed", "n1", digest("t"), moves=True)
    assert await lost(ledger) == [SessionState.ENDED, SessionState.ENDED]


async def test_an_unconfirmed_lease_of_a_moved_session_sends_it_back_to_the_queue(
    ledger: Ledger, clock: Clock
) -> None:
    await worker(ledger, "w1")
    await active(ledger)
    await lost(ledger)
    await worker(ledger, "w2")
    assert await reserve(ledger, "s1") is not None
    clock.now_s += 5.1
    await ledger.heartbeat("w2", 1)
    await ledger.still_waiting("s1")
    expired = await ledger.expire()
    assert (expired.sessions, [s.session_id for s in expired.moved]) == ((), ["s1"])
    assert (await ledger.pool_view("default")).free_slots == 1
    assert (await session(ledger)).negotiation == 3


async def test_a_moved_session_nobody_asks_for_gives_its_place_up_and_waits_suspended(
    ledger: Ledger, clock: Clock
) -> None:
    await worker(ledger, "w1")
    await active(ledger)
    await lost(ledger)
    clock.now_s += 10.1
    assert [s.state for s in (await ledger.expire()).moved] == [SessionState.SUSPENDED]
    assert (await ledger.pool_view("default")).waiting == ()
    await worker(ledger, "w2")
    assert await reserve(ledger, "s1") is None
    clock.now_s += 119
    resumed = await ledger.resume("token-s1", "client", "n2")
    assert resumed is not None
    assert (resumed.session.state, resumed.session.node) == (SessionState.QUEUED, "n2")
    assert (await ledger.pool_view("default")).waiting == ("s1",)


async def test_a_moved_session_whose_client_stays_away_ends_after_the_grace_time(
    ledger: Ledger, clock: Clock
) -> None:
    await worker(ledger, "w1")
    await active(ledger)
    await ledger.suspend("s1")
    assert await lost(ledger) == [SessionState.SUSPENDED]
    clock.now_s += 119
    assert not await ledger.expire()
    clock.now_s += 2
    assert [s.reason for s in (await ledger.expire()).sessions] == ["resume_timeout"]


async def test_a_session_is_unplaced_once_however_many_say_that_its_worker_is_lost(
    ledger: Ledger,
) -> None:
    await worker(ledger, "w1")
    before = await active(ledger)
    await worker(ledger, "w2")
    first = await ledger.requeue("s1", lost=before.fence, node="n1")
    assert first is not None
    assert first.state is SessionState.QUEUED
    assert (await ledger.pool_view("default")).free_slots == 2
    placed = await reserve(ledger, "s1")
    assert placed is not None
    again = await ledger.requeue("s1", lost=before.fence, node="n1")
    assert again is not None
    assert (again.state, again.fence) == (SessionState.RESERVED, placed.fence)
    assert await ledger.requeue("s1", lost=placed.fence, node="elsewhere") is None
    assert not await ledger.release("s1", fence=before.fence, reason="bye", node="elsewhere")
    assert await ledger.release("s1", fence=before.fence, reason="bye", node="n1")
    assert (await ledger.pool_view("default")).free_slots == 2


async def test_a_client_that_resumes_while_it_is_moved_takes_no_slot_along(
    ledger: Ledger,
) -> None:
    await worker(ledger, "w1")
    await active(ledger)
    await lost(ledger)
    await worker(ledger, "w2")
    placed = await reserve(ledger, "s1")
    assert placed is not None
    resumed = await ledger.resume("token-s1", "client", "n2")
    assert resumed is not None
    assert resumed.before.fence == placed.fence
    assert resumed.session.state is SessionState.QUEUED
    assert not await ledger.confirm("s1", placed.fence)
    assert (await ledger.pool_view("default")).free_slots == 1


async def test_a_slot_of_a_session_that_is_elsewhere_is_freed_by_the_sweep(
    ledger: Ledger,
) -> None:
    await worker(ledger, "w1")
    await active(ledger)
    record = await ledger.store.get("session:s1")
    assert record is not None
    await worker(ledger, "w2")
    await ledger.store.put("worker:w1", (await _value(ledger, "worker:w1")), 60_000)
    await ledger.requeue("s1", lost=Fence(**record.value["fence"]), node="n1")
    stale = {**(await _value(ledger, "worker:w1")), "sessions": ["s1"], "active": ["s1"]}
    await ledger.store.put("worker:w1", stale, 60_000)
    await ledger.expire()
    assert (await ledger.pool_view("default")).free_slots == 2


async def _value(ledger: Ledger, key: str) -> dict:
    record = await ledger.store.get(key)
    assert record is not None
    return record.value
