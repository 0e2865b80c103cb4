"""Answers the calls about sessions: allocate at once or queue, wait with a ticket, release."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from typing import Final

from system.orchestrator.clock import Clock
from system.orchestrator.metrics import Metrics
from system.orchestrator.reconciler import Reconciler
from system.protocol.errors import ErrorCode
from system.protocol.messages import Allocated, AllocateRequest, ReleaseRequest, Ticket
from system.protocol.states import SessionState
from system.store.ledger import Ledger, Reservation
from system.telemetry import logs
from system.telemetry.http import HttpRefusal

ANY_POOL: Final = "any"
MAX_WAIT_S: Final = 20.0
"""A ticket's long poll lasts at most so long."""

_log = logs.get(__name__)


class Allocator:
    """The pools' front desk.

    Args:
        pools: by name; the first is the default one.
    """

    def __init__(
        self,
        pools: Mapping[str, Reconciler],
        ledger: Ledger,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._pools = pools
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock

    async def allocate(self, request: AllocateRequest) -> Allocated | Ticket:
        """A reserved worker, or a place in the queue.

        Asking again with the same session id is harmless.

        Raises:
            HttpRefusal: no such pool, no worker can ever come, or the queue is full.
        """
        began_s = self._clock.monotonic()
        pool = self._pool(request.required_gpu)
        try:
            answer = await self._allocate(request, pool)
        except HttpRefusal as refusal:
            self._metrics.allocations.labels(pool.spec.name, refusal.code.value).inc()
            raise
        result = "allocated" if isinstance(answer, Allocated) else "queued"
        self._metrics.allocations.labels(pool.spec.name, result).inc()
        self._metrics.allocate.observe(self._clock.monotonic() - began_s)
        return answer

    async def wait(self, ticket: str, wait_s: float, position: int | None) -> Allocated | Ticket:
        """The ticket's worker; or its place, once that differs from ``position`` or in time.

        Raises:
            HttpRefusal: the ticket is unknown, served and taken, or over.
        """
        session = await self._ledger.get_session(ticket)
        pool = None if session is None else self._pools.get(session.pool)
        if pool is None:
            raise _unknown_ticket()
        deadline_s = self._clock.monotonic() + min(wait_s, MAX_WAIT_S)
        await self._ledger.still_waiting(ticket)
        while (place := await self._place(pool, ticket)) is not None:
            left_s = deadline_s - self._clock.monotonic()
            if place != position or left_s <= 0:
                return self._ticket(pool, ticket, place)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await pool.changed()
        reservation = await self._ledger.reservation(ticket)
        if reservation is None:
            raise _unknown_ticket()
        return _allocated(reservation)

    async def abandon(self, ticket: str) -> None:
        """The ticket's client is gone; what was reserved for it in the meantime is freed.

        Raises:
            HttpRefusal: the ticket is unknown, or its session has been taken over.
        """
        session = await self._ledger.get_session(ticket)
        if session is None or session.state not in (
            SessionState.QUEUED,
            SessionState.RESERVED,
            SessionState.ENDED,
        ):
            raise _unknown_ticket()
        await self._ledger.release(ticket, fence=session.fence, reason="abandoned")

    async def release(self, request: ReleaseRequest) -> None:
        """End a session and free its slot.

        Raises:
            HttpRefusal: unknown session, or another fence's by now.
        """
        if await self._ledger.release(
            request.session_id, fence=request.fence, reason=request.reason[:100]
        ):
            return
        if await self._ledger.get_session(request.session_id) is None:
            raise HttpRefusal(ErrorCode.NOT_FOUND, "no such session")
        raise HttpRefusal(ErrorCode.STALE_FENCE, "the session is another reservation's by now")

    async def _allocate(self, request: AllocateRequest, pool: Reconciler) -> Allocated | Ticket:
        session_id = request.session_id or uuid.uuid4().hex
        name = pool.spec.name
        pool.arrivals += not request.moved
        reservation = await self._ledger.reserve(
            session_id, request.client_id, request.project_id, name
        )
        if reservation is not None:
            return _allocated(reservation)
        if pool.max_workers == 0 and not pool.snapshot.workers:
            raise HttpRefusal(ErrorCode.NO_CAPACITY, "the pool may have no worker")
        place = await self._ledger.enqueue(
            session_id, request.client_id, request.project_id, name, limit=pool.spec.max_queue
        )
        if place is not None:
            _log.info("session.queued", session_id=session_id, pool=name, position=place[0])
            return self._ticket(pool, session_id, place[0])
        reservation = await self._ledger.reservation(session_id)
        if reservation is not None:  # the queue was served in between
            return _allocated(reservation)
        if await self._ledger.get_session(session_id) is not None:
            raise HttpRefusal(ErrorCode.CONFLICT, "the session has begun or ended")
        raise HttpRefusal(ErrorCode.QUEUE_FULL, "the queue is full")

    async def _place(self, pool: Reconciler, ticket: str) -> int | None:
        """Position in the queue as it was last seen; asks the store about unseen tickets only."""
        waiting = pool.snapshot.waiting
        if ticket in waiting:
            return waiting.index(ticket) + 1
        place = await self._ledger.queue_position(ticket, pool.spec.name)
        return None if place is None else place[0]

    def _pool(self, required_gpu: str) -> Reconciler:
        if required_gpu == ANY_POOL:
            return next(iter(self._pools.values()))
        pool = self._pools.get(required_gpu)
        if pool is None:
            raise HttpRefusal(ErrorCode.NO_CAPACITY, "no pool has that name")
        return pool

    @staticmethod
    def _ticket(pool: Reconciler, ticket: str, position: int) -> Ticket:
        return Ticket(ticket=ticket, position=position, eta_ms=pool.eta_ms(position))


def _allocated(reservation: Reservation) -> Allocated:
    return Allocated(
        worker_id=reservation.worker_id,
        endpoint=reservation.endpoint,
        session_id=reservation.session_id,
        fence=reservation.fence,
        lease_ms=reservation.lease_ms,
    )


def _unknown_ticket() -> HttpRefusal:
    return HttpRefusal(ErrorCode.NOT_FOUND, "no such ticket")
