"""Judges, by the store's time, which leases, suspensions, tickets and workers are over.

A session that another worker can take on is not over with its lease or its
worker, nor one that was moved when nobody asks for it for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from system.protocol.states import (
    HELD,
    SERVING,
    Session,
    SessionState,
    SlotReleased,
    Worker,
    WorkerState,
    apply,
)
from system.store import schema
from system.store.base import Record
from system.store.moving import MovingLedger
from system.store.transaction import WORKER_LOST, lost

_ALIVE = SERVING | {WorkerState.DRAINING}
_PLACED = HELD | {SessionState.RESERVED}
_LEASE_EXPIRED: Final = "lease_expired"
_ABANDONED: Final = "abandoned"
_RESUME_TIMEOUT: Final = "resume_timeout"


@dataclass(frozen=True, slots=True)
class Expired:
    """What one sweep ended; ``moved`` sessions live on without their worker."""

    sessions: tuple[Session, ...] = ()
    moved: tuple[Session, ...] = ()
    workers: tuple[Worker, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sessions or self.moved or self.workers)


class ExpiryLedger(MovingLedger):
    """See system.store.ledger.Ledger."""

    async def expire(self, *, judge_presence: bool = True) -> Expired:
        """End or move what is overdue and free its slots; many processes may do so at once.

        Overdue are workers without a heartbeat, reservations not confirmed within
        the lease, suspended sessions whose client did not come back, queued
        sessions that nobody asks for, and sessions whose worker is gone.

        Args:
            judge_presence: False after the store was away: heartbeats and
                questions could not be written and say nothing.
        """
        now_ms = await self.store.now_ms()
        failed: list[Worker] = []
        found: list[Session] = []
        if judge_presence:
            failed, found = await self._lost_workers(now_ms)
        # Sessions before workers: a session read here and on no worker read later is not placed.
        sessions = [schema.load(r, Session) for r in await self.store.list(schema.SESSIONS)]
        workers = await self.store.list(schema.WORKERS)
        found += await self._overdue_sessions(now_ms, sessions, workers, judge_presence)
        await self._free_orphaned_slots(workers)
        return Expired(
            sessions=tuple(s for s in found if s.state is SessionState.ENDED),
            moved=tuple(s for s in found if s.state is not SessionState.ENDED),
            workers=tuple(failed),
        )

    async def _lost_workers(self, now_ms: int) -> tuple[list[Worker], list[Session]]:
        beating = {
            record.key.partition(":")[2] for record in await self.store.list(schema.HEARTBEATS)
        }
        silence_ms = 3 * self.heartbeat_ms
        workers = []
        sessions: list[Session] = []
        for record in await self.store.list(schema.WORKERS):
            worker = schema.load(record, Worker)
            if worker.worker_id in beating or worker.state not in _ALIVE:
                continue
            ready_ms = worker.ready_ms

            def still_silent(found: Worker, ready_ms: int = ready_ms) -> bool:
                return found.ready_ms == ready_ms and now_ms - found.ready_ms > silence_ms

            left = await self._end_worker(
                worker.worker_id,
                lost("no heartbeat"),
                WORKER_LOST,
                still_silent,
            )
            if left is not None:
                workers.append(worker)
                sessions += left
        return workers, sessions

    async def _overdue_sessions(
        self,
        now_ms: int,
        sessions: Sequence[Session],
        workers: Sequence[Record],
        judge_presence: bool,
    ) -> list[Session]:
        asking = {session.session_id for session in sessions}
        if judge_presence:
            records = await self.store.list(schema.WAITING)
            asking = {record.key.partition(":")[2] for record in records}
        placed = {
            (record.value["worker_id"], session_id)
            for record in workers
            for session_id in record.value["sessions"]
        }
        dealt_with = []
        for session in sessions:
            reason = _overdue(session, now_ms, asking, placed)
            if reason is not None:
                done = await self._dealt_with(session, reason)
                dealt_with += [done] if done is not None else []
        return dealt_with

    async def _dealt_with(self, session: Session, reason: str) -> Session | None:
        """The overdue session as it is now; None where it has changed meanwhile."""
        if session.movable and reason in (_LEASE_EXPIRED, WORKER_LOST):
            return await self._requeue(session.session_id, session.__eq__)
        if session.movable and reason == _ABANDONED:
            return await self._suspend(session.session_id, session.__eq__)
        return await self._end_session(session.session_id, reason, session.__eq__)

    async def _free_orphaned_slots(self, workers: Sequence[Record]) -> None:
        """Free slots whose session has ended, is forgotten, or is another worker's."""
        held = {s for record in workers for s in record.value["sessions"]}
        if not held:
            return
        found = await self.store.get_many(schema.session_key(s) for s in held)
        live = {
            (record.value["worker_id"], record.value["session_id"])
            for record in found.values()
            if record.value["state"] != SessionState.ENDED
        }
        for record in workers:
            worker = schema.load(record, Worker)
            freed = worker
            for session_id in worker.sessions:
                if (worker.worker_id, session_id) in live:
                    continue
                event = SlotReleased(
                    session_id, await self.store.now_ms(), await self._scrubs(worker.pool)
                )
                changed = apply(freed, event)
                freed = changed if isinstance(changed, Worker) else freed
            if freed is not worker:
                await self.store.compare_and_set(
                    schema.worker_change(record, freed), publish=schema.pool_channel(worker.pool)
                )


def _overdue(
    session: Session,
    now_ms: int,
    asking: set[str],
    placed: set[tuple[str | None, str]],
) -> str | None:
    """Why the session is over, or None."""
    match session.state:
        case SessionState.RESERVED if (session.lease_until_ms or 0) < now_ms:
            return _LEASE_EXPIRED
        case SessionState.SUSPENDED if (session.suspended_until_ms or 0) < now_ms:
            return _RESUME_TIMEOUT
        case SessionState.QUEUED if session.session_id not in asking:
            return _ABANDONED
    if session.state not in _PLACED or session.worker_id is None:
        return None
    return None if (session.worker_id, session.session_id) in placed else WORKER_LOST
