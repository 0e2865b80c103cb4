"""How a client gets a worker: asks the orchestrator, waits in its queue, takes the session.

It changes nothing for the client but the ``queued`` messages; what was
allocated and not taken over must be given back by the caller (``give_back``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from system.protocol.fields import Fence
from system.protocol.messages import Allocated, AllocateRequest, Queued, Ticket
from system.signaling.node import Node
from system.signaling.orchestrator_client import OrchestratorUnavailable

_POLL_MS: Final = 1000
_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Placement:
    """A session on a worker, as this node knows it."""

    session_id: str
    worker_id: str
    fence: Fence
    endpoint: str = ""
    lease_ms: int = 0


class Placing:
    """One attempt to place one client; the session's id is made here, so it can be given back."""

    def __init__(self, node: Node, user_id: str, project_id: str, gpu: str) -> None:
        self._node = node
        self._request = AllocateRequest(
            client_id=user_id,
            project_id=project_id,
            required_gpu=gpu,
            session_id=secrets.token_hex(16),
        )
        self._ticket: str | None = None

    async def place(self, tell: Callable[[Queued], None]) -> Placement:
        """Wait for a worker; ``tell`` hears every change of the place in the queue.

        Raises:
            AllocationRefused: there will be none.
            OrchestratorUnavailable: nobody to ask.
        """
        config = self._node.config
        orchestrator = self._node.orchestrator
        answer = await orchestrator.allocate(self._request, deadline_s=config.unavailable_s)
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
        return _placement(answer)

    async def give_back(self, reason: str) -> None:
        """The client is gone: free whatever this attempt holds or is about to get.

        Raises:
            StoreUnavailable: try again.
        """
        if self._ticket is not None and await self._node.orchestrator.abandon(self._ticket):
            self._ticket = None
        assert self._request.session_id is not None
        await self._node.ledger.release(self._request.session_id, fence=None, reason=reason)


def _placement(allocated: Allocated) -> Placement:
    return Placement(
        session_id=allocated.session_id,
        worker_id=allocated.worker_id,
        fence=allocated.fence,
        endpoint=allocated.endpoint,
        lease_ms=allocated.lease_ms,
    )
