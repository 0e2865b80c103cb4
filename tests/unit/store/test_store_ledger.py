"""The ledger on a memory store with a clock of our own."""

from __future__ import annotations

import pytest

from system.protocol.fields import Edit, Fence, HeldSession
from system.protocol.messages import Register
from system.protocol.states import Refusal, SessionState, Worker, WorkerState
from system.protocol.tokens import digest
from system.store.ledger import Ledger, Reservation
from system.store.memory import MemoryStore
from system.store.schema import PoolSettings


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


def registration(worker_id: str = "w1", **fields) -> Register:
    return Register(**{"worker_id": worker_id, "generation": 1, "slots": 1, **fields})


async def reserve(ledger: Ledger, session_id: str) -> Reservation | None:
    return await ledger.reserve(session_id, f"client-{session_id}", "project", "default")


async def active_session(ledger: Ledger, session_id: str = "s1") -> Reservation:
    reservation = await reserve(ledger, session_id)
    assert reservation is not None
    assert await ledger.confirm(session_id, reservation.fence)
    assert await ledger.activate(session_id, reservation.fence)
    return reservation


async def state_of(ledger: Ledger, session_id: str) -> SessionState:
    session = await ledger.get_session(session_id)
    assert session is not None
    return session.state


# --- reserving -----------------------------------------------------------------


async def test_a_launched_worker_serves_only_after_it_has_registered(ledger: Ledger) -> None:
    worker = await ledger.launch("w1", "default")
    assert worker.state is WorkerState.BOOTING
    assert await reserve(ledger, "s1") is None
    ready = await ledger.register(registration(), "n1")
    assert isinstance(ready, Worker)
    assert ready.state is WorkerState.READY
    assert await reserve(ledger, "s1") is not None


async def test_launching_a_worker_that_serves_leaves_it_alone(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    assert (await ledger.launch("w1", "default")).state is WorkerState.READY


async def test_a_repeated_reserve_returns_the_same_reservation(ledger: Ledger) -> None:
    await ledger.register(registration(slots=2), "n1")
    first = await reserve(ledger, "s1")
    second = await reserve(ledger, "s1")
    assert first == second
    assert (await ledger.pool_view("default")).free_slots == 1


async def test_the_fullest_worker_with_room_is_taken_first(ledger: Ledger) -> None:
    for name in ("w1", "w2", "w3"):
        await ledger.register(registration(name, slots=2), "n1")
    first = await reserve(ledger, "s1")
    second = await reserve(ledger, "s2")
    third = await reserve(ledger, "s3")
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.worker_id == second.worker_id != third.worker_id


async def test_fences_of_a_worker_only_grow(ledger: Ledger, clock: Clock) -> None:
    await ledger.register(registration(), "n1")
    seen: list[Fence] = []
    for i in range(5):
        reservation = await reserve(ledger, f"s{i}")
        assert reservation is not None
        seen.append(reservation.fence)
        await ledger.release(f"s{i}", fence=reservation.fence, reason="bye")
    await ledger.fail("w1", "killed")
    clock.now_s += 100  # the tombstone goes
    assert await ledger.get_worker("w1") is None
    await ledger.register(registration(), "n1")
    last = await reserve(ledger, "last")
    assert last is not None
    assert [*seen, last.fence] == sorted({*seen, last.fence})


async def test_an_ended_session_gets_no_slot(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    await reserve(ledger, "s1")
    await ledger.release("s1", fence=None, reason="bye")
    assert await reserve(ledger, "s1") is None


async def test_another_pools_workers_are_not_taken(ledger: Ledger) -> None:
    await ledger.register(registration(pool="gpu"), "n1")
    assert await reserve(ledger, "s1") is None


# --- queue ---------------------------------------------------------------------


async def test_the_queue_is_first_in_first_out_and_nobody_overtakes(ledger: Ledger) -> None:
    assert await ledger.enqueue("s1", "c", "p", "default", limit=9) == (1, 1)
    assert await ledger.enqueue("s2", "c", "p", "default", limit=9) == (2, 2)
    assert await ledger.enqueue("s1", "c", "p", "default", limit=9) == (1, 2)
    await ledger.register(registration(), "n1")
    assert await reserve(ledger, "newcomer") is None
    assert await reserve(ledger, "s2") is None
    assert await reserve(ledger, "s1") is not None
    assert await ledger.queue_position("s1", "default") is None
    assert await ledger.queue_position("s2", "default") == (1, 1)


async def test_a_newcomer_is_served_when_there_is_a_slot_for_everybody(ledger: Ledger) -> None:
    await ledger.enqueue("s1", "c", "p", "default", limit=9)
    await ledger.register(registration(slots=2), "n1")
    assert await reserve(ledger, "newcomer") is not None
    assert await reserve(ledger, "another") is None
    assert await reserve(ledger, "s1") is not None


async def test_a_full_queue_takes_no_more(ledger: Ledger) -> None:
    await ledger.enqueue("s1", "c", "p", "default", limit=1)
    assert await ledger.enqueue("s2", "c", "p", "default", limit=1) is None
    assert await ledger.get_session("s2") is None


async def test_a_queued_session_nobody_asks_for_is_ended(ledger: Ledger, clock: Clock) -> None:
    await ledger.enqueue("s1", "c", "p", "default", limit=9)
    await ledger.enqueue("s2", "c", "p", "default", limit=9)
    clock.now_s += 9
    await ledger.still_waiting("s2")
    clock.now_s += 2
    expired = await ledger.expire()
    assert [(s.session_id, s.reason) for s in expired.sessions] == [("s1", "abandoned")]
    assert await ledger.queue_position("s2", "default") == (1, 1)


async def test_releasing_a_queued_session_takes_it_out_of_the_queue(ledger: Ledger) -> None:
    await ledger.enqueue("s1", "c", "p", "default", limit=9)
    assert await ledger.release("s1", fence=None, reason="bye")
    assert (await ledger.pool_view("default")).waiting == ()


# --- confirm, activate, release ------------------------------------------------


async def test_only_the_reservations_fence_confirms(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    reservation = await reserve(ledger, "s1")
    assert reservation is not None
    stale = Fence(epoch=reservation.fence.epoch, n=reservation.fence.n - 1)
    assert not await ledger.confirm("s1", stale)
    assert not await ledger.activate("s1", reservation.fence)
    assert await ledger.confirm("s1", reservation.fence)
    assert await ledger.confirm("s1", reservation.fence)
    assert not await ledger.activate("s1", stale)
    assert await ledger.activate("s1", reservation.fence)
    worker = await ledger.get_worker("w1")
    assert worker is not None
    assert worker.state is WorkerState.ACTIVE


async def test_an_unconfirmed_lease_ends_and_gives_the_slot_back(
    ledger: Ledger, clock: Clock
) -> None:
    await ledger.register(registration(), "n1")
    reservation = await reserve(ledger, "s1")
    assert reservation is not None
    clock.now_s += 4.9
    await ledger.heartbeat("w1", 1)
    assert not await ledger.expire()
    clock.now_s += 0.2
    assert not await ledger.confirm("s1", reservation.fence)
    expired = await ledger.expire()
    assert [(s.session_id, s.reason) for s in expired.sessions] == [("s1", "lease_expired")]
    assert (await ledger.pool_view("default")).free_slots == 1


async def test_release_is_idempotent_and_needs_the_right_fence(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    reservation = await active_session(ledger)
    stale = Fence(epoch=reservation.fence.epoch, n=reservation.fence.n - 1)
    assert not await ledger.release("s1", fence=stale, reason="bye")
    assert await ledger.release("s1", fence=reservation.fence, reason="bye")
    assert await ledger.release("s1", fence=reservation.fence, reason="again")
    session = await ledger.get_session("s1")
    assert session is not None
    assert (session.state, session.reason) == (SessionState.ENDED, "bye")
    assert not await ledger.release("unknown", fence=None, reason="bye")


async def test_ended_sessions_and_failed_workers_are_forgotten_after_a_minute(
    ledger: Ledger, clock: Clock
) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    await ledger.fail("w1", "killed")
    assert await state_of(ledger, "s1") is SessionState.ENDED
    clock.now_s += 61
    assert await ledger.sessions() == []
    assert await ledger.workers() == []


async def test_a_freed_worker_of_a_scrubbing_pool_rests_until_scrubbed(ledger: Ledger) -> None:
    await ledger.set_pool("default", PoolSettings(scrub=True, max_workers=1))
    await ledger.register(registration(), "n1")
    reservation = await active_session(ledger)
    await ledger.release("s1", fence=reservation.fence, reason="bye")
    worker = await ledger.get_worker("w1")
    assert worker is not None
    assert worker.state is WorkerState.DRAINING
    assert await reserve(ledger, "s2") is None
    scrubbed = await ledger.scrubbed("w1")
    assert scrubbed is not None
    assert scrubbed.state is WorkerState.READY
    assert await reserve(ledger, "s2") is not None


# --- suspend and resume --------------------------------------------------------


async def test_a_suspended_session_resumes_once_with_its_token(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    await ledger.attach_client("s1", "n1", digest("first"))
    suspended = await ledger.suspend("s1")
    assert suspended is not None
    assert suspended.state is SessionState.SUSPENDED
    assert await ledger.resume("first", "somebody-else", "n2") is None
    assert await ledger.resume("guess", "client-s1", "n2") is None
    resumed = await ledger.resume("first", "client-s1", "n2")
    assert resumed is not None
    session, token = resumed.session, resumed.token
    assert (session.state, session.node) == (SessionState.ACTIVE, "n2")
    assert await ledger.resume("first", "client-s1", "n2") is None
    assert await ledger.resume(token, "client-s1", "n3") is not None


async def test_a_suspended_session_ends_after_the_grace_time(ledger: Ledger, clock: Clock) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    await ledger.attach_client("s1", "n1", digest("token"))
    await ledger.suspend("s1")
    clock.now_s += 121
    await ledger.register(registration(sessions=held(await reservation_of(ledger))), "n1")
    assert await ledger.resume("token", "client-s1", "n2") is None
    expired = await ledger.expire()
    assert [s.reason for s in expired.sessions] == ["resume_timeout"]
    assert (await ledger.pool_view("default")).free_slots == 1


async def reservation_of(ledger: Ledger, session_id: str = "s1") -> Reservation:
    session = await ledger.get_session(session_id)
    assert session is not None
    assert session.worker_id is not None
    assert session.fence is not None
    return Reservation(session_id, session.worker_id, session.fence, 0, "")


def held(reservation: Reservation) -> tuple[HeldSession, ...]:
    return (HeldSession(session_id=reservation.session_id, fence=reservation.fence),)


async def test_an_ended_session_cannot_be_resumed_or_attached(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    await ledger.attach_client("s1", "n1", digest("token"))
    await ledger.release("s1", fence=None, reason="bye")
    assert await ledger.resume("token", "client-s1", "n1") is None
    assert await ledger.attach_client("s1", "n1", "digest") is None
    assert await ledger.suspend("s1") is None


# --- workers -------------------------------------------------------------------


async def test_a_lost_worker_ends_its_sessions_once(ledger: Ledger) -> None:
    await ledger.register(registration(slots=2), "n1")
    await active_session(ledger, "s1")
    await reserve(ledger, "s2")
    ended = await ledger.worker_lost("w1", 1, "socket closed", node="n1")
    assert {s.session_id for s in ended} == {"s1", "s2"}
    assert {s.state for s in ended} == {SessionState.ENDED}
    assert await ledger.worker_lost("w1", 1, "socket closed", node="n1") == []
    assert not await ledger.heartbeat("w1", 1)


async def test_an_old_loss_does_not_touch_a_newer_registration(ledger: Ledger) -> None:
    await ledger.register(registration(generation=1), "n1")
    await ledger.register(registration(generation=2), "n1")
    assert await ledger.worker_lost("w1", 1, "socket closed") == []
    await ledger.register(registration(generation=2), "n2")
    assert await ledger.worker_lost("w1", 2, "socket closed", node="n1") == []
    worker = await ledger.get_worker("w1")
    assert worker is not None
    assert worker.state is WorkerState.READY
    assert isinstance(await ledger.register(registration(generation=1), "n1"), Refusal)


async def test_a_heartbeat_says_how_the_worker_is_until_it_is_silent(
    ledger: Ledger, clock: Clock
) -> None:
    await ledger.register(registration(), "n1")
    assert await ledger.vitals(["w1", "w2"]) == {"w1": {}}
    await ledger.heartbeat("w1", 1, vitals={"cpu": 0.7, "encode_s": 0.004})
    assert await ledger.vitals(["w1"]) == {"w1": {"cpu": 0.7, "encode_s": 0.004}}
    clock.now_s += 7
    assert await ledger.vitals(["w1"]) == {}


async def test_a_worker_without_heartbeat_is_lost(ledger: Ledger, clock: Clock) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    clock.now_s += 5
    assert await ledger.heartbeat("w1", 1)
    clock.now_s += 5
    assert not await ledger.expire()
    clock.now_s += 2
    expired = await ledger.expire()
    assert [w.worker_id for w in expired.workers] == ["w1"]
    assert [s.reason for s in expired.sessions] == ["worker_lost"]


async def test_a_new_generation_ends_what_the_old_process_had(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    worker = await ledger.register(registration(generation=2), "n1")
    assert isinstance(worker, Worker)
    assert worker.sessions == ()
    assert await state_of(ledger, "s1") is SessionState.ENDED


async def test_a_worker_that_reconnects_keeps_what_it_still_has(ledger: Ledger) -> None:
    await ledger.register(registration(slots=3), "n1")
    kept = await active_session(ledger, "kept")
    await active_session(ledger, "dropped")
    await reserve(ledger, "reserved")
    worker = await ledger.register(registration(slots=3, sessions=held(kept)), "n2")
    assert isinstance(worker, Worker)
    assert set(worker.sessions) == {"kept", "reserved"}
    assert await state_of(ledger, "dropped") is SessionState.ENDED
    assert await state_of(ledger, "kept") is SessionState.ACTIVE


async def test_a_wiped_store_is_rebuilt_from_what_workers_report(
    ledger: Ledger, clock: Clock
) -> None:
    await ledger.register(registration(), "n1")
    before = await active_session(ledger)
    clock.now_s += 1
    wiped = Ledger(MemoryStore(clock))
    assert not await wiped.heartbeat("w1", 1)
    worker = await wiped.register(registration(sessions=held(before)), "n1")
    assert isinstance(worker, Worker)
    assert worker.sessions == ("s1",)
    assert worker.state is WorkerState.ACTIVE
    assert await reserve(wiped, "s2") is None
    assert not await wiped.expire()
    assert await wiped.release("s1", fence=before.fence, reason="bye")
    after = await reserve(wiped, "s2")
    assert after is not None
    assert after.fence > before.fence


async def test_a_worker_with_a_session_is_not_terminated(ledger: Ledger) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    assert await ledger.terminate("w1") is None
    drained = await ledger.drain("w1")
    assert drained is not None
    assert drained.state is WorkerState.DRAINING
    await ledger.release("s1", fence=None, reason="bye")
    assert await ledger.terminate("w1") is not None
    assert await ledger.gone("w1") == []
    assert isinstance(await ledger.register(registration(), "n1"), Refusal)


async def test_a_worker_that_was_told_to_go_has_not_failed(ledger: Ledger) -> None:
    for name in ("told", "drained", "busy"):
        await ledger.register(registration(name), "n1")
    reservation = await reserve(ledger, "s1")
    assert reservation is not None
    busy = reservation.worker_id
    told, drained = sorted({"told", "drained", "busy"} - {busy})
    await ledger.terminate(told)
    await ledger.drain(drained)
    await ledger.drain(busy)
    for name in (told, drained, busy):
        await ledger.worker_lost(name, 1, "socket closed")
    states = {worker.worker_id: worker.state for worker in await ledger.workers()}
    assert states == {
        told: WorkerState.GONE,
        drained: WorkerState.GONE,
        busy: WorkerState.FAILED,
    }


async def test_after_an_outage_silence_says_nothing(ledger: Ledger, clock: Clock) -> None:
    await ledger.register(registration(), "n1")
    await active_session(ledger)
    await ledger.enqueue("waits", "c", "p", "default", limit=9)
    clock.now_s += 3600
    assert not await ledger.expire(judge_presence=False)
    assert await ledger.heartbeat("w1", 1)
    await ledger.still_waiting("waits")
    assert not await ledger.expire()


async def test_a_change_of_a_pool_is_announced(ledger: Ledger) -> None:
    async with ledger.store.subscribe("pool:default") as messages:
        await ledger.register(registration(), "n1")
        await reserve(ledger, "s1")
        await ledger.release("s1", fence=None, reason="bye")
        for _ in range(3):
            assert await anext(messages) == ("pool:default", "{}")


# --- projects ------------------------------------------------------------------


async def test_a_projects_edits_are_kept_in_order_and_once(ledger: Ledger) -> None:
    one = Edit(edit_id="e1", type="device:drag", data={"deviceId": "d"})
    two = Edit(edit_id="e2", type="connection:create", data={})
    async with ledger.store.subscribe("project:p") as messages:
        assert await ledger.append_edit("p", one) == (1, True)
        assert await ledger.append_edit("p", two) == (2, True)
        assert await ledger.append_edit("p", one) == (1, False)
        channel, text = await anext(messages)
    assert channel == "project:p"
    assert '"index":1' in text
    state = await ledger.project("p")
    assert [(logged.index, logged.edit) for logged in state.log] == [(1, one), (2, two)]
    assert state.snapshot is None


async def test_a_long_log_is_read_whole(ledger: Ledger) -> None:
    for i in range(2001):
        await ledger.append_edit("p", Edit(edit_id=f"e{i}", type="device:drag", data={}))
    state = await ledger.project("p")
    assert [logged.index for logged in state.log] == list(range(1, 2002))
