"""What the parts of the ledger share: the store, its times, bounded retries, and endings."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from system.protocol.states import (
    Refusal,
    Session,
    SessionEnded,
    SlotReleased,
    Worker,
    WorkerEvent,
    WorkerFailed,
    WorkerGone,
    WorkerState,
    apply,
)
from system.store import schema
from system.store.base import ANY, Change, Record, Store, StoreUnavailable

MAX_ATTEMPTS: Final = 24
MAX_PAUSE_S: Final = 0.05

WORKER_LOST: Final = "worker_lost"
"""Reason of the sessions that end with their worker."""

WorkerEventAt = Callable[[Worker, int], WorkerEvent]
"""Makes a worker's event from the worker as it is and the store's time."""


class Tries:
    """Counts the attempts at one change; ``while True: await tries.pause()`` is bounded."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self.made = 0

    async def pause(self) -> None:
        """Before every attempt: nothing before the first, then a growing random pause.

        Raises:
            StoreUnavailable: too many attempts.
        """
        if self.made >= MAX_ATTEMPTS:
            raise StoreUnavailable("too many conflicting changes")
        if self.made:
            bound = min(MAX_PAUSE_S, 0.0005 * 2**self.made)
            await asyncio.sleep(self._random.uniform(0, bound))
        self.made += 1


class LedgerBase:
    """A store, the ledger's times, and what all its parts do with them."""

    def __init__(
        self,
        store: Store,
        *,
        lease_ms: int = 5000,
        heartbeat_ms: int = 2000,
        resume_grace_ms: int = 120_000,
        waiting_ms: int = 10_000,
        scrub: bool = False,
        rng: random.Random | None = None,
    ) -> None:
        self.store = store
        self.lease_ms = lease_ms
        self.heartbeat_ms = heartbeat_ms
        self.resume_grace_ms = resume_grace_ms
        self.waiting_ms = waiting_ms
        self.scrub = scrub
        self._random = rng or random.Random()

    def _tries(self) -> Tries:
        return Tries(self._random)

    async def _session(self, session_id: str) -> tuple[Record, Session] | None:
        record = await self.store.get(schema.session_key(session_id))
        return None if record is None else (record, schema.load(record, Session))

    async def _worker(self, worker_id: str) -> tuple[Record, Worker] | None:
        record = await self.store.get(schema.worker_key(worker_id))
        return None if record is None else (record, schema.load(record, Worker))

    async def _epoch(self) -> int:
        """The store's epoch: the time at which its first fence was asked for."""
        tries = self._tries()
        while True:
            await tries.pause()
            record = await self.store.get(schema.EPOCH_KEY)
            if record is not None:
                return int(record.value["epoch"])
            now_ms = await self.store.now_ms()
            if await self.store.compare_and_set(Change(schema.EPOCH_KEY, 0, {"epoch": now_ms})):
                return now_ms

    async def _first_fence(self, now_ms: int) -> int:
        """``fence_n`` of a new worker record: above whatever the same id had before.

        A worker may outlive its record (tombstones go after a minute), and it
        refuses fences that are not above the last it has seen.
        """
        return max(0, now_ms - await self._epoch())

    async def _scrubs(self, pool: str) -> bool:
        record = await self.store.get(schema.pool_key(pool))
        if record is None:
            return self.scrub
        return schema.load(record, schema.PoolSettings).scrub

    async def _end_session(
        self, session_id: str, reason: str, fits: Callable[[Session], bool]
    ) -> Session | None:
        """End a session and free its slot in one step; None where it has ended or does not fit."""
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None or not fits(found[1]):
                return None
            record, session = found
            ended = apply(session, SessionEnded(reason))
            if isinstance(ended, Refusal):
                return None
            changes = [schema.session_change(record, ended), *forget(session)]
            if session.worker_id is not None:
                changes += await self._freeing(session.worker_id, session_id, session.pool)
            if await self.store.compare_and_set(
                *changes, publish=schema.pool_channel(session.pool)
            ):
                return ended

    async def _freeing(self, worker_id: str, session_id: str, pool: str) -> list[Change]:
        worker = await self._worker(worker_id)
        if worker is None:
            return []
        event = SlotReleased(session_id, await self.store.now_ms(), await self._scrubs(pool))
        freed = apply(worker[1], event)
        return [] if isinstance(freed, Refusal) else [schema.worker_change(worker[0], freed)]

    async def _end_worker(
        self,
        worker_id: str,
        event: WorkerEventAt,
        reason: str,
        fits: Callable[[Worker], bool] = lambda worker: True,
    ) -> list[Session] | None:
        """End a worker and its sessions in one step.

        Returns:
            The sessions, now ended; None where the worker had ended or does not fit.
        """
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._worker(worker_id)
            if found is None or not fits(found[1]):
                return None
            record, worker = found
            changed = apply(worker, event(worker, await self.store.now_ms()))
            if isinstance(changed, Refusal):
                return None
            ended, changes = await self._ending_all(worker.sessions, reason)
            if await self.store.compare_and_set(
                schema.worker_change(record, changed),
                *changes,
                publish=schema.pool_channel(worker.pool),
            ):
                return ended

    async def _ending_all(
        self, session_ids: tuple[str, ...], reason: str
    ) -> tuple[list[Session], list[Change]]:
        """The sessions as ended, and the changes that end them; slots are left alone."""
        sessions = []
        changes: list[Change] = []
        found = await self.store.get_many(schema.session_key(s) for s in session_ids)
        for record in found.values():
            session = schema.load(record, Session)
            ended = apply(session, SessionEnded(reason))
            if isinstance(ended, Session):
                sessions.append(ended)
                changes += [schema.session_change(record, ended), *forget(session)]
        return sessions, changes


def lost(reason: str) -> WorkerEventAt:
    """The end of a worker: a failure, unless it was told to go and nobody misses it."""

    def event(worker: Worker, at_ms: int) -> WorkerEvent:
        leaving = worker.state is WorkerState.TERMINATING or (
            worker.draining and not worker.sessions
        )
        return WorkerGone(at_ms) if leaving else WorkerFailed(at_ms, reason)

    return event


def forget(session: Session) -> list[Change]:
    """Deletes what points to a session."""
    keys = [
        schema.queue_key(session.pool, session.session_id),
        schema.waiting_key(session.session_id),
    ]
    if session.resume_digest:
        keys.append(schema.resume_key(session.resume_digest))
    return [Change(key, ANY, None) for key in keys]
