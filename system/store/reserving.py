"""Leases free slots to sessions: many claims at a time, first come first served, never twice."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from system.protocol.fields import Fence
from system.protocol.states import (
    Refusal,
    Session,
    SessionReserved,
    SessionState,
    SlotReserved,
    Worker,
    WorkerState,
    apply,
)
from system.store import schema
from system.store.base import ANY, Change, Record, StoreUnavailable
from system.store.transaction import LedgerBase

BATCH: Final = 64
"""Claims served by one compare-and-set."""


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
    """A pool at one moment.

    ``workers`` begin with the one that has been as it is for longest; ``waiting``
    are the queued sessions in order.
    """

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


@dataclass(slots=True)
class _Claim:
    session_id: str
    new: Session | None
    """The record of a session that the store does not know yet; None: it must know it."""
    answer: asyncio.Future[Reservation | None]


@dataclass(slots=True)
class _Desk:
    """Claims on one pool; whoever holds the lock serves them all."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    claims: list[_Claim] = field(default_factory=list)

    def fail(self, error: StoreUnavailable) -> None:
        """No claim waits for its turn at a store that is down."""
        claims, self.claims = self.claims, []
        for claim in claims:
            if not claim.answer.done():
                claim.answer.set_exception(StoreUnavailable(str(error)))
                claim.answer.exception()  # retrieved, should its owner be gone


class ReservingLedger(LedgerBase):
    """See system.store.ledger.Ledger."""

    async def reserve(
        self, session_id: str, client_id: str, project_id: str, pool: str
    ) -> Reservation | None:
        """Lease a free slot to the session; None where there is none for it.

        The fullest worker that still has room is taken, of several the one that
        became so last, so that others can empty and go. Nobody overtakes: a
        session gets a slot only when there are more free ones than sessions
        waiting before it. A session that is reserved already gets the same
        reservation again; one that has ended gets None.
        """
        new = Session(session_id, client_id, project_id, pool)
        return await self._claim(session_id, new, pool)

    async def reserve_queued(self, session_id: str, pool: str) -> Reservation | None:
        """As ``reserve``, for a session that waits; None if it does not exist (any more)."""
        return await self._claim(session_id, None, pool)

    async def _claim(self, session_id: str, new: Session | None, pool: str) -> Reservation | None:
        desk = self._desks[pool]
        claim = _Claim(session_id, new, asyncio.Future())
        desk.claims.append(claim)
        try:
            async with desk.lock:
                while not claim.answer.done():
                    await self._serve(pool, desk)
        except StoreUnavailable as error:
            desk.fail(error)
            raise
        finally:
            if claim in desk.claims:
                desk.claims.remove(claim)
        return claim.answer.result()

    async def reservation(self, session_id: str) -> Reservation | None:
        """The reservation that a session holds now and nobody has confirmed yet."""
        found = await self._session(session_id)
        if found is None or found[1].worker_id is None:
            return None
        worker = await self._worker(found[1].worker_id)
        if worker is None:
            return None
        return _standing(found[1], worker[1], await self.store.now_ms())

    async def queue_position(self, session_id: str, pool: str) -> tuple[int, int] | None:
        """(position from 1, sessions waiting); None where the session does not wait."""
        waiting = await self._queue(pool)
        if session_id not in waiting:
            return None
        return waiting.index(session_id) + 1, len(waiting)

    async def pool_view(self, pool: str) -> PoolSnapshot:
        """The pool's workers and queue."""
        snapshot, _ = await self._snapshot(pool)
        return snapshot

    @cached_property
    def _desks(self) -> defaultdict[str, _Desk]:
        return defaultdict(_Desk)

    async def _queue(self, pool: str) -> tuple[str, ...]:
        """Session ids in a pool's queue, first come first."""
        records = await self.store.list(schema.queue_of(pool))
        in_order = sorted(records, key=lambda r: (not r.value.get("moved"), r.version))
        return tuple(record.value["session_id"] for record in in_order)

    async def _snapshot(self, pool: str) -> tuple[PoolSnapshot, dict[str, Record]]:
        found = await self.store.list(schema.WORKERS)
        records = {
            record.value["worker_id"]: record
            for record in sorted(found, key=lambda record: record.version)
            if record.value["pool"] == pool
        }
        workers = tuple(schema.load(record, Worker) for record in records.values())
        waiting = await self._queue(pool)
        return PoolSnapshot(pool, await self.store.now_ms(), workers, waiting), records

    async def _serve(self, pool: str, desk: _Desk) -> None:
        """Answer the claims at hand with one compare-and-set, tried again after a conflict."""
        tries = self._tries()
        while True:
            await tries.pause()
            claims = {claim.session_id: claim for claim in desk.claims[:BATCH]}
            keys = [schema.EPOCH_KEY, *(schema.session_key(s) for s in claims)]
            found = await self.store.get_many(keys)
            known = found.get(schema.EPOCH_KEY)
            epoch = await self._epoch() if known is None else int(known.value["epoch"])
            snapshot, records = await self._snapshot(pool)
            plan = _Plan(snapshot, epoch, self.lease_ms, self._random, spread=tries.made > 1)
            for session_id in plan.in_order(claims):
                record = found.get(schema.session_key(session_id))
                session = _claimed(claims[session_id], record, snapshot.now_ms)
                plan.serve(session_id, record, session)
            if plan.torn:
                continue
            changes = plan.changes(records)
            if not changes or await self.store.compare_and_set(
                *changes, publish=schema.pool_channel(pool)
            ):
                break
        for claim in [c for c in desk.claims if c.session_id in plan.answers]:
            desk.claims.remove(claim)
            if not claim.answer.done():
                claim.answer.set_result(plan.answers[claim.session_id])


class _Plan:
    """Who of the claimants gets which slot of a snapshot, and the changes that say so."""

    def __init__(
        self,
        snapshot: PoolSnapshot,
        epoch: int,
        lease_ms: int,
        rng: random.Random,
        *,
        spread: bool,
    ) -> None:
        self.answers: dict[str, Reservation | None] = {}
        self._snapshot = snapshot
        self._epoch = epoch
        self._lease_ms = lease_ms
        self._random = rng
        self._spread = spread
        """After a conflict: take any worker with room, so that rivals part."""
        self._workers = {worker.worker_id: worker for worker in snapshot.workers}
        self._free = snapshot.free_slots
        self._place = {session_id: i for i, session_id in enumerate(snapshot.waiting)}
        self._served_waiting = 0
        self._roomy: defaultdict[int, list[str]] = defaultdict(list)
        for worker in snapshot.workers:
            self._offer(worker)
        self._sessions: list[Change] = []
        self._taken: dict[str, None] = {}
        """Workers of the reservations made, the last one last."""
        self.torn = False
        """The worker has a session that had none when its record was read: look again."""

    def in_order(self, session_ids: Iterable[str]) -> list[str]:
        """Those who wait by their places, then the newcomers."""
        last = len(self._place)
        return sorted(session_ids, key=lambda session_id: self._place.get(session_id, last))

    def serve(self, session_id: str, record: Record | None, session: Session | None) -> None:
        """Answer one claimant; call in order."""
        if session is None:
            self.answers[session_id] = None
            return
        if session.state is SessionState.RESERVED and session.worker_id in self._workers:
            worker = self._workers[session.worker_id]
            self.answers[session.session_id] = _standing(session, worker, self._snapshot.now_ms)
            return
        place = self._place.get(session.session_id, len(self._place))
        if self._free <= place - self._served_waiting:
            self.answers[session.session_id] = None
            return
        self.answers[session.session_id] = self._reserve(record, session)

    def changes(self, records: dict[str, Record]) -> list[Change]:
        """All writes, each on the version that the snapshot was read at."""
        return [
            *self._sessions,
            *(schema.worker_change(records[w], self._workers[w]) for w in self._taken),
        ]

    def _reserve(self, record: Record | None, session: Session) -> Reservation | None:
        worker = self._workers[self._choose()]
        now_ms = self._snapshot.now_ms
        taken = apply(worker, SlotReserved(session.session_id, now_ms, session.fence_n))
        if isinstance(taken, Refusal):
            self.torn = True
            self._offer(worker)
            return None
        fence = Fence(epoch=self._epoch, n=taken.fence_n)
        until_ms = now_ms + self._lease_ms
        reserved = apply(session, SessionReserved(worker.worker_id, fence, until_ms))
        if isinstance(reserved, Refusal):
            self._offer(worker)
            return None
        self._workers[worker.worker_id] = taken
        self._taken.pop(worker.worker_id, None)
        self._taken[worker.worker_id] = None
        self._offer(taken)
        self._free -= 1
        self._sessions.append(schema.session_change(record, reserved))
        if session.state is SessionState.QUEUED:
            key = schema.queue_key(session.pool, session.session_id)
            self._sessions.append(Change(key, ANY, None))
            self._served_waiting += session.session_id in self._place
        return Reservation(
            session.session_id, worker.worker_id, fence, self._lease_ms, taken.endpoint
        )

    def _offer(self, worker: Worker) -> None:
        if worker.free_slots > 0:
            self._roomy[len(worker.sessions)].append(worker.worker_id)

    def _choose(self) -> str:
        """Take a worker off the list: of the fullest the one that became so last.

        Those that have been idle for long stay so, and can go.
        """
        levels = [level for level, ids in self._roomy.items() if ids]
        if not self._spread:
            return self._roomy[max(levels)].pop()
        ids = self._roomy[self._random.choice(levels)]
        i = self._random.randrange(len(ids))
        ids[i], ids[-1] = ids[-1], ids[i]
        return ids.pop()


def _claimed(claim: _Claim, record: Record | None, now_ms: int) -> Session | None:
    """The session as it is, or as it begins."""
    if record is not None:
        return schema.load(record, Session)
    return None if claim.new is None else replace(claim.new, created_ms=now_ms)


def _standing(session: Session, worker: Worker, now_ms: int) -> Reservation | None:
    """The reservation of a reserved session; None once its lease is over."""
    left_ms = (session.lease_until_ms or 0) - now_ms
    if session.state is not SessionState.RESERVED or session.fence is None or left_ms <= 0:
        return None
    return Reservation(
        session.session_id, worker.worker_id, session.fence, left_ms, worker.endpoint
    )
