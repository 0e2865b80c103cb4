"""The orchestrator's side of the ledger: launching, reserving, queueing, expiring workers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from system.protocol.fields import Fence
from system.protocol.states import (
    FINAL,
    Refusal,
    Session,
    SessionQueued,
    SessionReserved,
    SessionState,
    SlotReserved,
    Worker,
    WorkerBooting,
    WorkerDrains,
    WorkerFailed,
    WorkerGone,
    WorkerScrubbed,
    WorkerState,
    WorkerTerminates,
    apply,
)
from system.store import schema
from system.store.base import ANY, Change, Record
from system.store.transaction import LedgerBase, WorkerEventAt


@dataclass(frozen=True, slots=True)
class Reservation:
    """A slot of a worker, leased to a session."""

    session_id: str
    worker_id: str
    fence: Fence
    lease_ms: int
    """What is left of the lease."""
    endpoint: str


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """A pool at one moment; ``waiting`` are the queued sessions in order."""

    pool: str
    now_ms: int
    workers: tuple[Worker, ...]
    waiting: tuple[str, ...]

    @property
    def free_slots(self) -> int:
        return sum(max(worker.free_slots, 0) for worker in self.workers)

    def count(self, *states: WorkerState) -> int:
        """Workers in any of the states."""
        return sum(worker.state in states for worker in self.workers)


class PoolLedger(LedgerBase):
    """See system.store.ledger.Ledger."""

    async def launch(self, worker_id: str, pool: str) -> Worker:
        """The booting record of a new worker, written before its process starts.

        An id whose worker is booting or serving already keeps its record.
        """
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._worker(worker_id)
            if found is not None and found[1].state not in FINAL:
                return found[1]
            now_ms = await self.store.now_ms()
            requested = Worker(
                worker_id=worker_id,
                pool=pool,
                fence_n=await self._first_fence(now_ms),
                created_ms=now_ms,
            )
            booting = apply(requested, WorkerBooting(now_ms))
            assert isinstance(booting, Worker)
            change = schema.worker_change(found[0] if found else None, booting)
            if await self.store.compare_and_set(change, publish=schema.pool_channel(pool)):
                return booting

    async def reserve(
        self, session_id: str, client_id: str, project_id: str, pool: str
    ) -> Reservation | None:
        """Lease a free slot to the session; None where there is none for it.

        The fullest worker that still has room is taken, so that others can
        empty. Nobody overtakes: a session gets a slot only when there are more
        free ones than sessions waiting before it. A session that is reserved
        already gets the same reservation again; one that has ended gets None.
        """
        # Only one reservation of this process at a time: conflicts with oneself are pure loss.
        async with self._reserving[pool]:
            tries = self._tries()
            while True:
                await tries.pause()
                found = await self._session(session_id)
                if found is not None and found[1].state is SessionState.RESERVED:
                    return await self.reservation(session_id)
                snapshot, records = await self._snapshot(pool)
                session = (
                    found[1]
                    if found
                    else self._new_session(session_id, client_id, project_id, snapshot)
                )
                ahead = _ahead(session_id, snapshot.waiting)
                worker = self._choose(snapshot, ahead, spread=tries.made > 1)
                if worker is None:
                    return None
                plan = await self._plan(found, session, (records[worker.worker_id], worker))
                if plan is None:
                    return None
                reservation, changes = plan
                if await self.store.compare_and_set(*changes, publish=schema.pool_channel(pool)):
                    return reservation

    async def reservation(self, session_id: str) -> Reservation | None:
        """The reservation that a session holds now and nobody has confirmed yet."""
        found = await self._session(session_id)
        if found is None or found[1].state is not SessionState.RESERVED:
            return None
        session = found[1]
        assert session.worker_id is not None
        assert session.fence is not None
        worker = await self._worker(session.worker_id)
        left_ms = (session.lease_until_ms or 0) - await self.store.now_ms()
        if worker is None or left_ms <= 0:
            return None
        return Reservation(
            session_id, session.worker_id, session.fence, left_ms, worker[1].endpoint
        )

    async def enqueue(
        self, session_id: str, client_id: str, project_id: str, pool: str, *, limit: int
    ) -> tuple[int, int] | None:
        """Put a session at the end of the queue: (position, waiting); None where it is full.

        A session that waits already keeps its place.
        """
        tries = self._tries()
        while True:
            await tries.pause()
            await self.still_waiting(session_id)
            found = await self._session(session_id)
            if found is not None and found[1].state is not SessionState.REQUESTED:
                return await self.queue_position(session_id, pool)
            snapshot, _ = await self._snapshot(pool)
            if len(snapshot.waiting) >= limit:
                return None
            session = (
                found[1]
                if found
                else self._new_session(session_id, client_id, project_id, snapshot)
            )
            queued = apply(session, SessionQueued())
            assert isinstance(queued, Session)
            if await self.store.compare_and_set(
                schema.session_change(found[0] if found else None, queued),
                Change(schema.queue_key(pool, session_id), 0, {"session_id": session_id}),
                publish=schema.pool_channel(pool),
            ):
                return len(snapshot.waiting) + 1, len(snapshot.waiting) + 1

    async def still_waiting(self, session_id: str) -> None:
        """Somebody asked for this queued session: it may wait on."""
        await self.store.put(schema.waiting_key(session_id), {}, self.waiting_ms)

    async def queue_position(self, session_id: str, pool: str) -> tuple[int, int] | None:
        """(position from 1, sessions waiting); None where the session does not wait."""
        waiting = _ordered(await self.store.list(schema.queue_of(pool)))
        if session_id not in waiting:
            return None
        return waiting.index(session_id) + 1, len(waiting)

    async def pool_view(self, pool: str) -> PoolSnapshot:
        """The pool's workers and queue."""
        snapshot, _ = await self._snapshot(pool)
        return snapshot

    async def pool_settings(self, pool: str) -> schema.PoolSettings | None:
        record = await self.store.get(schema.pool_key(pool))
        return None if record is None else schema.load(record, schema.PoolSettings)

    async def set_pool(self, pool: str, settings: schema.PoolSettings) -> None:
        """Write a pool's settings for every process to see."""
        change = Change(schema.pool_key(pool), ANY, schema.dump(settings))
        await self.store.compare_and_set(change, publish=schema.pool_channel(pool))

    # --- workers ---------------------------------------------------------------

    async def drain(self, worker_id: str, reason: str = "") -> Worker | None:
        """No further session for this worker; None where it is not serving."""
        return await self._to_worker(worker_id, WorkerDrains, reason)

    async def terminate(self, worker_id: str, reason: str = "") -> Worker | None:
        """The worker is about to be stopped; None where it has a session or is gone."""
        return await self._to_worker(worker_id, WorkerTerminates, reason)

    async def scrubbed(self, worker_id: str) -> Worker | None:
        """A resting worker serves again; None where it does not rest."""
        return await self._to_worker(worker_id, WorkerScrubbed, "")

    async def gone(self, worker_id: str, reason: str = "") -> list[Session]:
        """The worker's process has ended as it was told; its sessions, now ended."""
        return await self._end_worker(worker_id, WorkerGone, reason) or []

    async def fail(self, worker_id: str, reason: str) -> list[Session]:
        """The worker is lost; its sessions, now ended."""
        ended = await self._end_worker(worker_id, lambda now: WorkerFailed(now, reason), reason)
        return ended or []

    # --- inside ----------------------------------------------------------------

    async def _snapshot(self, pool: str) -> tuple[PoolSnapshot, dict[str, Record]]:
        records = {}
        workers = []
        for record in await self.store.list(schema.WORKERS):
            if record.value.get("pool") == pool:
                worker = schema.load(record, Worker)
                workers.append(worker)
                records[worker.worker_id] = record
        waiting = _ordered(await self.store.list(schema.queue_of(pool)))
        now_ms = await self.store.now_ms()
        return PoolSnapshot(pool, now_ms, tuple(workers), waiting), records

    @staticmethod
    def _new_session(
        session_id: str, client_id: str, project_id: str, snapshot: PoolSnapshot
    ) -> Session:
        return Session(session_id, client_id, project_id, snapshot.pool, created_ms=snapshot.now_ms)

    def _choose(self, snapshot: PoolSnapshot, ahead: int, *, spread: bool) -> Worker | None:
        """The fullest worker with room, ties at random; after a conflict any with room."""
        if snapshot.free_slots <= ahead:
            return None
        roomy = [worker for worker in snapshot.workers if worker.free_slots > 0]
        if not spread:
            most = max(len(worker.sessions) for worker in roomy)
            roomy = [worker for worker in roomy if len(worker.sessions) == most]
        return self._random.choice(roomy)

    async def _plan(
        self,
        found: tuple[Record, Session] | None,
        session: Session,
        worker: tuple[Record, Worker],
    ) -> tuple[Reservation, list[Change]] | None:
        epoch = await self._epoch()
        now_ms = await self.store.now_ms()
        taken = apply(worker[1], SlotReserved(session.session_id, now_ms))
        if isinstance(taken, Refusal):
            return None
        fence = Fence(epoch=epoch, n=taken.fence_n)
        reserved = apply(session, SessionReserved(taken.worker_id, fence, now_ms + self.lease_ms))
        if isinstance(reserved, Refusal):
            return None
        changes = [
            schema.session_change(found[0] if found else None, reserved),
            schema.worker_change(worker[0], taken),
        ]
        if session.state is SessionState.QUEUED:
            changes.append(Change(schema.queue_key(session.pool, session.session_id), ANY, None))
        return (
            Reservation(session.session_id, taken.worker_id, fence, self.lease_ms, taken.endpoint),
            changes,
        )

    async def _to_worker(self, worker_id: str, event: WorkerEventAt, reason: str) -> Worker | None:
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._worker(worker_id)
            if found is None:
                return None
            changed = apply(found[1], event(await self.store.now_ms()))
            if isinstance(changed, Refusal):
                return None
            if reason:
                changed = replace(changed, reason=reason)
            change = schema.worker_change(found[0], changed)
            if await self.store.compare_and_set(change, publish=schema.pool_channel(changed.pool)):
                return changed


def _ordered(queue: list[Record]) -> tuple[str, ...]:
    """Session ids of a queue's records, first come first."""
    return tuple(r.value["session_id"] for r in sorted(queue, key=lambda r: r.version))


def _ahead(session_id: str, waiting: tuple[str, ...]) -> int:
    """Sessions that wait before this one."""
    return waiting.index(session_id) if session_id in waiting else len(waiting)
