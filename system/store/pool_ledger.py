"""The orchestrator's side of the ledger: workers that come and go, the queue, pool settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from system.protocol.states import (
    FINAL,
    Refusal,
    Session,
    SessionQueued,
    SessionState,
    Worker,
    WorkerBooting,
    WorkerDrains,
    WorkerFailed,
    WorkerGone,
    WorkerScrubbed,
    WorkerStarts,
    WorkerStopped,
    WorkerStops,
    WorkerTerminates,
    apply,
)
from system.store import schema
from system.store.base import ANY, Change
from system.store.reserving import ReservingLedger
from system.store.transaction import WORKER_LOST, WorkerEventAt

LEADER_MS: Final = 3000
"""An orchestrator that has not led for so long leaves it to another."""


class PoolLedger(ReservingLedger):
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
            waiting = len(await self._queue(pool))
            if waiting >= limit:
                return None
            now_ms = await self.store.now_ms()
            session = (
                found[1]
                if found
                else Session(session_id, client_id, project_id, pool, created_ms=now_ms)
            )
            queued = apply(session, SessionQueued())
            assert isinstance(queued, Session)
            if await self.store.compare_and_set(
                schema.session_change(found[0] if found else None, queued),
                Change(schema.queue_key(pool, session_id), 0, {"session_id": session_id}),
                publish=schema.pool_channel(pool),
            ):
                return waiting + 1, waiting + 1

    async def still_waiting(self, session_id: str) -> None:
        """Somebody asked for this queued session: it may wait on."""
        await self.store.put(schema.waiting_key(session_id), {}, self.waiting_ms)

    async def pool_settings(self, pool: str) -> schema.PoolSettings | None:
        record = await self.store.get(schema.pool_key(pool))
        return None if record is None else schema.load(record, schema.PoolSettings)

    async def set_pool(self, pool: str, settings: schema.PoolSettings) -> None:
        """Write a pool's settings for every process to see."""
        change = Change(schema.pool_key(pool), ANY, schema.dump(settings))
        await self.store.compare_and_set(change, publish=schema.pool_channel(pool))

    # --- who decides -----------------------------------------------------------

    async def lead(self, pool: str, name: str) -> bool:
        """Whether ``name`` decides for the pool now: until it resigns, or is not heard of.

        A leader asks again well within LEADER_MS; the store's own expiry
        is the only clock in it.
        """
        key = schema.leader_key(pool)
        record = await self.store.get(key)
        if record is not None and record.value["name"] != name:
            return False
        change = Change(key, 0 if record is None else record.version, {"name": name}, LEADER_MS)
        return await self.store.compare_and_set(change)

    async def resign(self, pool: str, name: str) -> None:
        """Let another decide for the pool at once."""
        record = await self.store.get(schema.leader_key(pool))
        if record is not None and record.value["name"] == name:
            await self.store.compare_and_set(
                Change(schema.leader_key(pool), record.version, None),
                publish=schema.pool_channel(pool),
            )

    # --- workers ---------------------------------------------------------------

    async def drain(self, worker_id: str, reason: str = "") -> Worker | None:
        """No further session for this worker; None where it is not serving."""
        return await self._to_worker(worker_id, lambda _, now: WorkerDrains(now), reason)

    async def terminate(self, worker_id: str, reason: str = "") -> Worker | None:
        """The worker is about to be stopped; None where it has a session or is gone."""
        return await self._to_worker(worker_id, lambda _, now: WorkerTerminates(now), reason)

    async def stop(self, worker_id: str) -> Worker | None:
        """The worker is about to be stopped, to be started again; None where it is not idle."""
        return await self._to_worker(worker_id, lambda _, now: WorkerStops(now), "")

    async def stopped(self, worker_id: str) -> Worker | None:
        """Its process has ended as it was told; None where it was not told to stop."""
        return await self._to_worker(worker_id, lambda _, now: WorkerStopped(now), "")

    async def start(self, worker_id: str) -> Worker | None:
        """A stopped worker is about to be started; None where it is not stopped."""
        return await self._to_worker(worker_id, lambda _, now: WorkerStarts(now), "")

    async def scrubbed(self, worker_id: str) -> Worker | None:
        """A resting worker serves again; None where it does not rest."""
        return await self._to_worker(worker_id, lambda _, now: WorkerScrubbed(now), "")

    async def gone(self, worker_id: str) -> list[Session]:
        """The worker's process has ended as it was told; its sessions, now moved or ended."""
        left = await self._end_worker(worker_id, lambda _, now: WorkerGone(now), WORKER_LOST)
        return left or []

    async def fail(self, worker_id: str, reason: str) -> list[Session]:
        """The worker is lost; its sessions, now moved or ended."""
        left = await self._end_worker(
            worker_id, lambda _, now: WorkerFailed(now, reason), WORKER_LOST
        )
        return left or []

    # --- inside ----------------------------------------------------------------

    async def _to_worker(self, worker_id: str, event: WorkerEventAt, reason: str) -> Worker | None:
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._worker(worker_id)
            if found is None:
                return None
            changed = apply(found[1], event(found[1], await self.store.now_ms()))
            if isinstance(changed, Refusal):
                return None
            if reason:
                changed = replace(changed, reason=reason)
            change = schema.worker_change(found[0], changed)
            if await self.store.compare_and_set(change, publish=schema.pool_channel(changed.pool)):
                return changed
