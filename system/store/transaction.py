"""What the parts of the ledger share: the store, its times, bounded retries, endings and losses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Final

from system.protocol.states import (
    Refusal,
    Session,
    SessionEnded,
    SessionQueued,
    SessionState,
    SessionUnplaced,
    SlotReleased,
    Worker,
    WorkerEvent,
    WorkerFailed,
    WorkerGone,
    WorkerState,
    WorkerStopped,
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
        """End a worker, and move or end its sessions, in one step.

        Returns:
            The sessions as they are now; None where the worker had ended or does not fit.
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
            left, changes = await self._leaving(worker.worker_id, worker.sessions, reason)
            if await self.store.compare_and_set(
                schema.worker_change(record, changed),
                *changes,
                publish=schema.pool_channel(worker.pool),
            ):
                return left

    async def _leaving(
        self, worker_id: str, session_ids: Iterable[str], reason: str, *, move: bool = True
    ) -> tuple[list[Session], list[Change]]:
        """The sessions without the worker, and the changes for it; its slots are left alone.

        Those that can be moved wait for another worker; ``reason`` is why the others end.
        """
        sessions = []
        changes: list[Change] = []
        found = await self.store.get_many(schema.session_key(s) for s in session_ids)
        for record in found.values():
            session = schema.load(record, Session)
            if session.worker_id != worker_id:
                continue
            if move and session.movable:
                waiting, added = self._unplaced(record, session)
                sessions.append(waiting)
                changes += added
                continue
            ended = apply(session, SessionEnded(reason))
            if isinstance(ended, Session):
                sessions.append(ended)
                changes += [schema.session_change(record, ended), *forget(session)]
        return sessions, changes

    def _unplaced(
        self, record: Record, session: Session, *, asked: bool = True
    ) -> tuple[Session, list[Change]]:
        """A placed session as it waits for another worker; its slot is left alone.

        ``asked``: its client is there, or was a moment ago.
        """
        unplaced = apply(session, SessionUnplaced())
        assert isinstance(unplaced, Session)
        return self._first_in_queue(record, unplaced, asked=asked)

    def _first_in_queue(
        self, record: Record, session: Session, *, asked: bool = True
    ) -> tuple[Session, list[Change]]:
        """A moved session in the queue before all newcomers; a suspended one waits for its client.

        Args:
            record: what the session was read from.
            session: as it is to be, without a worker.
            asked: it may wait as long as a session that somebody asks for.
        """
        if session.state is SessionState.SUSPENDED:
            return session, [schema.session_change(record, session)]
        queued = apply(session, SessionQueued())
        assert isinstance(queued, Session)
        session_id = queued.session_id
        place = {"session_id": session_id, "moved": True}
        changes = [
            schema.session_change(record, queued),
            Change(schema.queue_key(queued.pool, session_id), ANY, place),
        ]
        if asked:
            changes.append(Change(schema.waiting_key(session_id), ANY, {}, self.waiting_ms))
        return queued, changes


def lost(reason: str) -> WorkerEventAt:
    """The end of a worker: a failure, unless it was told to go and nobody misses it.

    One that was told to stop has stopped.
    """

    def event(worker: Worker, at_ms: int) -> WorkerEvent:
        if worker.state is WorkerState.STOPPING:
            return WorkerStopped(at_ms)
        leaving = worker.state is WorkerState.TERMINATING or (
            worker.draining and not worker.sessions
        )
        return WorkerGone(at_ms) if leaving else WorkerFailed(at_ms, reason)

    return event


def forget(session: Session) -> list[Change]:
    """Deletes what points to a session."""
    changes = unqueue(session)
    if session.resume_digest:
        changes.append(Change(schema.resume_key(session.resume_digest), ANY, None))
    return changes


def unqueue(session: Session) -> list[Change]:
    """Deletes a session's place in the queue."""
    keys = (
        schema.queue_key(session.pool, session.session_id),
        schema.waiting_key(session.session_id),
    )
    return [Change(key, ANY, None) for key in keys]
