"""Several processes' ledgers on one store, their steps interleaved at random: nothing is lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from system.protocol.fields import Fence, HeldSession
from system.protocol.messages import Register
from system.protocol.states import FINAL, SERVING, Session, SessionState
from system.protocol.tokens import digest
from system.store import transaction
from system.store.base import StoreUnavailable
from system.store.ledger import Ledger, Reservation
from system.store.memory import MemoryStore

SCHEDULES = 300
WORKERS = 3
SLOTS = 2
PLACED = {
    SessionState.RESERVED,
    SessionState.CONNECTING,
    SessionState.ACTIVE,
    SessionState.SUSPENDED,
}
ENDED = SessionState.ENDED
WITHOUT_WORKER = {SessionState.QUEUED, SessionState.ENDED}


class ShuffledStore(MemoryStore):
    """Every operation takes a random number of turns of the loop before it happens."""

    def __init__(self, rng: random.Random) -> None:
        self.now_s = 1_700_000_000.0
        super().__init__(lambda: self.now_s)
        self._rng = rng

    async def _turns(self) -> None:
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)

    async def get(self, key):
        await self._turns()
        return await super().get(key)

    async def get_many(self, keys):
        await self._turns()
        return await super().get_many(keys)

    async def list(self, collection):
        await self._turns()
        return await super().list(collection)

    async def compare_and_set(self, *changes, publish=None):
        await self._turns()
        return await super().compare_and_set(*changes, publish=publish)

    async def put(self, key, value, ttl_ms):
        await self._turns()
        await super().put(key, value, ttl_ms)

    async def now_ms(self):
        await self._turns()
        return await super().now_ms()


class Run:
    """Random users of a few ledgers; remembers every reservation ever handed out."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.store = ShuffledStore(self.rng)
        self.ledgers = [Ledger(self.store, rng=self.rng) for _ in range(3)]
        self.reservations: dict[str, Reservation] = {}
        self.fences: dict[tuple[str, Fence], str] = {}
        self.placements: dict[tuple[str, Fence], str] = {}

    async def play(self) -> None:
        for i in range(WORKERS):
            await self.ledgers[0].register(self.registration(i), "n1")
        await asyncio.gather(*(self.actor(ledger, i) for i, ledger in enumerate(self.ledgers * 3)))

    def registration(self, i: int, generation: int = 1) -> Register:
        return Register(worker_id=f"w{i}", generation=generation, slots=SLOTS)

    async def actor(self, ledger: Ledger, number: int) -> None:
        for step in range(5):
            try:
                await self.step(ledger, f"s{number}-{step}")
            except StoreUnavailable:
                continue

    async def step(self, ledger: Ledger, session_id: str) -> None:
        action = self.rng.random()
        worker = self.rng.randrange(WORKERS)
        if action < 0.6:
            await self.view(ledger, session_id)
        elif action < 0.7:
            self.store.now_s += self.rng.choice([0.1, 1.0, 6.0])
        elif action < 0.8:
            await ledger.expire()
        elif action < 0.85:
            await ledger.worker_lost(f"w{worker}", 1, "test")
        elif action < 0.9:
            await ledger.register(self.registration(worker, self.rng.randrange(1, 4)), "n2")
        elif action < 0.94:
            await ledger.heartbeat(f"w{worker}", 1)
        elif action < 0.97:
            await self.serve_queue(ledger)
        else:
            await ledger.drain(f"w{worker}")

    async def serve_queue(self, ledger: Ledger) -> None:
        """As the orchestrator does."""
        snapshot = await ledger.pool_view("default")
        for session_id in snapshot.waiting:
            self.note(await ledger.reserve_queued(session_id, "default"))

    def note(self, reservation: Reservation | None) -> None:
        if reservation is None:
            return
        key = (reservation.worker_id, reservation.fence)
        session_id = reservation.session_id
        assert self.fences.setdefault(key, session_id) == session_id, "a fence was used twice"
        placement = (session_id, reservation.fence)
        worker_id = self.placements.setdefault(placement, reservation.worker_id)
        assert worker_id == reservation.worker_id, "two workers have one fence of a session"
        self.reservations[session_id] = reservation

    async def view(self, ledger: Ledger, session_id: str) -> None:
        reservation = await ledger.reserve(session_id, "c", "p", "default")
        if reservation is None:
            await ledger.enqueue(session_id, "c", "p", "default", limit=5)
            other = self.rng.choice(self.ledgers)
            reservation = await other.reserve(session_id, "c", "p", "default")
        if reservation is None:
            return
        self.note(reservation)
        token = f"token-{session_id}"
        await ledger.attach_client(session_id, "n1", digest(token), moves=self.rng.random() < 0.8)
        await self.run_on(ledger, reservation)
        for _ in range(self.rng.randrange(4)):
            ledger = self.rng.choice(self.ledgers)
            token, reservation = await self.mishap(ledger, reservation, token)
        if self.rng.random() < 0.5:
            fence = reservation.fence if self.rng.random() < 0.5 else None
            await ledger.release(session_id, fence=fence, reason="bye")

    async def run_on(self, ledger: Ledger, reservation: Reservation) -> None:
        if self.rng.random() < 0.8:
            confirmed = await ledger.confirm(reservation.session_id, reservation.fence)
            if confirmed and self.rng.random() < 0.8:
                await ledger.activate(reservation.session_id, reservation.fence)

    async def mishap(
        self, ledger: Ledger, reservation: Reservation, token: str
    ) -> tuple[str, Reservation]:
        """The worker, or the client's socket, is lost; the client's node does what it does then."""
        session_id = reservation.session_id
        action = self.rng.random()
        if action < 0.3:
            await ledger.worker_lost(reservation.worker_id, self.rng.randrange(1, 4), "test")
        elif action < 0.45:
            await ledger.fail(reservation.worker_id, "test")
        if action < 0.7:
            await ledger.requeue(session_id, lost=reservation.fence, node="n1")
        elif action < 0.85:
            await ledger.suspend(session_id)
        if action > 0.6:
            resumed = await ledger.resume(token, "c", "n1")
            token = token if resumed is None else resumed.token
        again = await ledger.reserve(session_id, "c", "p", "default")
        if again is not None:
            self.note(again)
            reservation = again
            await self.run_on(ledger, reservation)
        return token, reservation


async def check(run: Run) -> None:
    """No slot is taken twice, and records of sessions and workers agree."""
    ledger = run.ledgers[0]
    sessions = {session.session_id: session for session in await ledger.sessions()}
    seen: set[str] = set()
    for worker in await ledger.workers():
        assert len(worker.sessions) <= worker.slots
        assert set(worker.active) <= set(worker.sessions)
        assert not worker.sessions or worker.state not in FINAL, "a dead worker has a session"
        for session_id in worker.sessions:
            assert session_id not in seen, "a session has two slots"
            seen.add(session_id)
            assert sessions[session_id].worker_id == worker.worker_id
            assert sessions[session_id].state in PLACED, "a slot has leaked"
    placed = {s.session_id for s in sessions.values() if s.state in PLACED and s.worker_id}
    assert placed == seen, "a session believes in a slot it does not have"
    for session in sessions.values():
        assert (session.worker_id is None) == (session.fence is None)
        if session.worker_id is None:
            waits = session.state is SessionState.SUSPENDED and session.moved
            assert waits or session.state in WITHOUT_WORKER, session.state
    waiting = (await ledger.pool_view("default")).waiting
    queued = {s.session_id for s in sessions.values() if s.state is SessionState.QUEUED}
    assert set(waiting) == queued, "the queue and its sessions differ"
    moved = [sessions[session_id].moved for session_id in waiting]
    assert moved == sorted(moved, reverse=True), "a newcomer has overtaken a moved session"


@pytest.mark.parametrize("block", range(10))
async def test_no_interleaving_double_allocates_or_leaks(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "MAX_PAUSE_S", 0.0)
    served = moved = 0
    for seed in range(block * SCHEDULES // 10, (block + 1) * SCHEDULES // 10):
        run = Run(seed)
        try:
            await run.play()
            await check(run)
            moved += sum(session.moved for session in await run.ledgers[0].sessions())
            for _ in range(3):  # workers fall silent; then nobody asks; then nobody resumes
                run.store.now_s += 3600
                await run.ledgers[0].expire()
                await run.ledgers[1].expire()
                await check(run)
            left = [w for w in await run.ledgers[0].workers() if w.state in SERVING]
            assert left == [], "a silent worker is still in the pool"
            live = [s for s in await run.ledgers[0].sessions() if s.state is not ENDED]
            assert live == [], "a session goes on for ever"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        served += len(run.reservations)
    assert served > SCHEDULES / 10
    assert moved > SCHEDULES / 20


async def test_the_check_itself_notices_a_leaked_slot() -> None:
    run = Run(0)
    ledger = run.ledgers[0]
    await ledger.register(run.registration(0), "n1")
    await ledger.reserve("s1", "c", "p", "default")
    record = await run.store.get("session:s1")
    assert record is not None
    value = {**record.value, "state": "ended"}
    run.store._write("session:s1", value, None)
    with pytest.raises(AssertionError, match="leaked"):
        await check(run)


async def test_an_orphaned_slot_is_freed_by_the_sweep() -> None:
    run = Run(0)
    ledger = run.ledgers[0]
    await ledger.register(
        Register(
            worker_id="w0",
            generation=1,
            slots=1,
            sessions=(HeldSession(session_id="s1", fence=Fence(epoch=1, n=1)),),
        ),
        "n1",
    )
    run.store._drop("session:s1")
    await ledger.expire()
    worker = await ledger.get_worker("w0")
    assert worker is not None
    assert worker.sessions == ()
    assert isinstance(await ledger.reserve("s2", "c", "p", "default"), Reservation)
    assert isinstance(await ledger.get_session("s2"), Session)
