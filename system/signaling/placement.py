"""How a client gets a worker: asks the orchestrator, waits in its queue, takes the session.

It changes nothing for the client but the ``queued`` messages; what was
allocated and not taken over must be given back by the caller (``give_back``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from system.protocol.fields import Fence
from system.protocol.messages import Allocated, AllocateRequest, Queued, Ticket
from system.protocol.states import Session
from system.signaling.node import Node
from system.signaling.orchestrator_client import OrchestratorUnavailable
from system.store.ledger import Reservation

_POLL_MS: Final = 1000
_PAUSE_S: Final = 0.25

NOWHERE: Final = Fence(epoch=0, n=0)
"""Fence of a session that no worker has."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A session on a worker, as this node knows it."""

    session_id: str
    worker_id: str
    fence: Fence
    endpoint: str = ""
    lease_ms: int = 0

    @classmethod
    def reserved(cls, found: Allocated | Reservation) -> Placement:
        return cls(
            session_id=found.session_id,
            worker_id=found.worker_id,
            fence=found.fence,
            endpoint=found.endpoint,
            lease_ms=found.lease_ms,
        )

    @classmethod
    def of(cls, session: Session) -> Placement:
        """Where the session's record says that it is."""
        return cls(session.session_id, session.worker_id or "", session.fence or NOWHERE)


class Placing:
    """One attempt to place one client."""

    def __init__(self, node: Node, request: AllocateRequest) -> None:
        self._node = node
        self._request = request
        self._ticket: str | None = None
        self._asking: asyncio.Task[Allocated | Ticket] | None = None

    @classmethod
    def first(cls, node: Node, user_id: str, project_id: str, gpu: str) -> Self:
        """For a new session; its id is made here, so that it can be given back."""
        request = AllocateRequest(
            client_id=user_id,
            project_id=project_id,
            required_gpu=gpu,
            session_id=secrets.token_hex(16),
        )
        return cls(node, request)

    @classmethod
    def again(cls, node: Node, user_id: str, project_id: str, pool: str, session_id: str) -> Self:
        """For a session that has lost its worker and is in its pool's queue."""
        request = AllocateRequest(
            client_id=user_id,
            project_id=project_id,
            required_gpu=pool,
            session_id=session_id,
            moved=True,
        )
        return cls(node, request)

    async def place(self, tell: Callable[[Queued], None]) -> Placement:
        """Wait for a worker; ``tell`` hears every change of the place in the queue.

        Raises:
            AllocationRefused: there will be none.
            OrchestratorUnavailable: nobody to ask.
        """
        config = self._node.config
        orchestrator = self._node.orchestrator
        asking = orchestrator.allocate(self._request, deadline_s=config.unavailable_s)
        self._asking = asyncio.create_task(asking, name="allocate")
        self._asking.add_done_callback(_hear)
        answer = await asyncio.shield(self._asking)
        told: Queued | None = None
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while isinstance(answer, Ticket):
            self._ticket = answer.ticket
            queued = Queued(position=answer.position, eta_ms=answer.eta_ms)
            if queued != told:
                tell(queued)
                told = queued
            try:
                answer = await orchestrator.wait(answer, wait_ms=_POLL_MS)
                heard = loop.time()
            except OrchestratorUnavailable:
                if loop.time() - heard > config.queue_patience_s:
                    raise
                await asyncio.sleep(_PAUSE_S)
        self._ticket = None
        return Placement.reserved(answer)

    async def give_back(self, reason: str) -> None:
        """The client is gone: free whatever this attempt holds or is about to get.

        A request that is on its way is answered first, within its deadline: what
        is freed before it is reserved would stay reserved until its lease ends.

        Raises:
            StoreUnavailable: try again.
        """
        if self._asking is not None:
            await asyncio.wait([self._asking])
            if _hear(self._asking) is None and isinstance(answer := self._asking.result(), Ticket):
                self._ticket = answer.ticket
            self._asking = None
        if self._ticket is not None and await self._node.orchestrator.abandon(self._ticket):
            self._ticket = None
        assert self._request.session_id is not None
        await self._node.ledger.release(self._request.session_id, fence=None, reason=reason)


def _hear(asked: asyncio.Task[Allocated | Ticket]) -> BaseException | None:
    """Why there was no answer; who asked may have gone."""
    return asyncio.CancelledError() if asked.cancelled() else asked.exception()
