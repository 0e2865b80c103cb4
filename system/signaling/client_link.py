"""One client's socket: the session it is attached to, and what passes between it and the worker.

The connection is the identity: what a client says about session ids is never
read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from system.protocol import messages as m
from system.protocol.errors import CloseCode, ErrorCode, ProtocolError
from system.signaling import replies
from system.signaling.connection import Connection
from system.signaling.negotiation import Direction, Part, check_description
from system.signaling.node import Node
from system.signaling.placement import Placement
from system.signaling.sessions import ForClient
from system.telemetry import logs

log = logs.get(__name__)


class ClientLink:
    """A client on this node, and at most one placement of its session."""

    def __init__(self, node: Node, connection: Connection[m.FromClient]) -> None:
        self._node = node
        self._connection = connection
        self._up = Direction(closed=True)
        self._down = Direction()
        self._sending = asyncio.Lock()
        self._placement: Placement | None = None
        """Where the session is, or was until a moment ago."""
        self._over = False
        """Somebody else has ended the session, or has it now: there is nothing to release."""
        self._leaving = ""
        """Why it is to be released although it may be active; empty: it may come back."""

    @property
    def session_id(self) -> str | None:
        return None if self._placement is None else self._placement.session_id

    def supersede(self) -> None:
        """The same client has resumed the session on another socket."""
        self._over = True
        self._connection.close(CloseCode.REPLACED, "resumed_elsewhere")

    def close(self) -> None:
        """The node goes away; the session does not."""
        self._connection.close(CloseCode.GOING_AWAY, "restarting")

    # --- the end ---------------------------------------------------------------

    def end(self, reason: str) -> None:
        """The session is over and its slot is free: tell the client, and close."""
        if self._over:
            return
        self._over = True
        shown = replies.reason(reason)
        log.info("session.ended", session_id=self.session_id, reason=shown)
        self._node.metrics.sessions.labels("ended").inc()
        if shown == ErrorCode.WORKER_LOST.value:
            self._error(ErrorCode.WORKER_LOST)
        self._connection.send(m.SessionEnded(session_id=self.session_id, reason=shown))
        self._connection.close(CloseCode.SESSION_ENDED, shown)

    def _fail(self, code: ErrorCode) -> None:
        """The session cannot be: say why, close, and release what it holds."""
        if self._over or self._connection.ended:
            return
        log.info("session.failed", session_id=self.session_id, code=code.value)
        self._node.metrics.sessions.labels("failed").inc()
        self._leaving = code.value
        self._error(code)
        if self._placement is not None:
            self._connection.send(m.SessionEnded(session_id=self.session_id, reason=code.value))
        self._connection.close(replies.CLOSE.get(code, CloseCode.UNAVAILABLE), code.value)

    # --- whose client it is ----------------------------------------------------

    def _adopt(self, placement: Placement) -> None:
        """Be the client of this session on this node, instead of whoever was."""
        clients = self._node.attached.clients
        older = clients.get(placement.session_id)
        if isinstance(older, ClientLink) and older is not self:
            older.supersede()
        clients[placement.session_id] = self
        self._placement = placement

    def _detach(self) -> Placement | None:
        """No longer be the client of the session; None where another one is."""
        placement, self._placement = self._placement, None
        clients = self._node.attached.clients
        if placement is None or clients.get(placement.session_id) is not self:
            return None
        del clients[placement.session_id]
        return placement

    def deliver(self, message: ForClient) -> None:
        """Take a message about the session; never waits."""
        raise NotImplementedError

    # --- descriptions and candidates -------------------------------------------

    async def _up_to_worker(self, message: Part) -> None:
        try:
            if not isinstance(message, m.IceCandidate):
                check_description(message, str(message.__struct_config__.tag))
            ready = self._up.accept(message)
        except ProtocolError as error:
            self._connection.refuse(error)
            return
        self._down.advance(self._up.current)
        if ready:
            async with self._sending:
                await self._forward(ready)

    async def _forward(self, parts: Sequence[Part]) -> None:
        """Send to the worker, in order; the caller holds the lock."""
        placement = self._placement
        assert placement is not None
        for part in parts:
            addressed = msgspec.structs.replace(part, session_id=placement.session_id)
            if not await self._node.relay.to_worker(placement.worker_id, addressed):
                self._error(ErrorCode.UNAVAILABLE)
                return

    def _down_to_client(self, message: Part) -> None:
        try:
            for part in self._down.accept(message):
                self._connection.send(msgspec.structs.replace(part, session_id=self.session_id))
        except ProtocolError as error:
            log.warning("worker.excess", session_id=self.session_id, code=error.code.value)

    def _error(self, code: ErrorCode) -> None:
        self._connection.send_error(code, replies.text(code))
