"""Tells signaling's nodes what the orchestrator has ended, so that clients and workers learn it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from system.protocol.codec import encode
from system.protocol.messages import Drain, Message, SessionEnded, SessionMoved
from system.protocol.states import Session, SessionState, Worker
from system.store.base import Store, StoreUnavailable
from system.store.ledger import Expired, Ledger
from system.store.schema import node_channel
from system.telemetry import logs

MAX_PENDING: Final = 10_000
"""With more, the oldest are dropped: signaling finds out by itself, only later."""

_log = logs.get(__name__)


class _Envelope(msgspec.Struct, frozen=True):
    to: Literal["worker", "client"]
    id: str
    message: msgspec.Raw


class Notices:
    """Messages to peers that are attached to signaling nodes; sent in order by ``run``."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._pending: deque[tuple[str, Literal["worker", "client"], str, Message]] = deque(
            maxlen=MAX_PENDING
        )
        self._wake = asyncio.Event()

    def worker_ended(self, sessions: Iterable[Session]) -> None:
        """Sessions that lost their worker: some have ended with it."""
        for session in sessions:
            self._to_client(session)

    def expired(self, expired: Expired) -> None:
        """What a sweep has ended."""
        for session in expired.moved:
            self._to_client(session)
        for session in expired.sessions:
            self._to_client(session)
            if session.worker_id is not None and session.fence is not None:
                message = SessionEnded(
                    session_id=session.session_id, reason=session.reason, fence=session.fence
                )
                self._add("", "worker", session.worker_id, message)

    def drain(self, worker: Worker, deadline_ms: int = 0) -> None:
        """A worker that is not this provider's to stop."""
        self._add(worker.node, "worker", worker.worker_id, Drain(deadline_ms=deadline_ms))

    async def run(self) -> None:
        """Send what is pending, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                node, to, peer, message = self._pending.popleft()
                try:
                    await self._send(node, to, peer, message)
                except StoreUnavailable:
                    _log.warning("notice.lost", to=to, id=peer)

    async def _send(
        self, node: str, to: Literal["worker", "client"], peer: str, message: Message
    ) -> None:
        if not node:
            worker = await self._ledger.get_worker(peer)
            node = "" if worker is None else worker.node
        if node:
            envelope = _Envelope(to, peer, msgspec.Raw(encode(message).encode()))
            await self._store.publish(node_channel(node), encode(envelope))

    def _to_client(self, session: Session) -> None:
        if session.node:
            message: Message = SessionMoved(session_id=session.session_id)
            if session.state is SessionState.ENDED:
                message = SessionEnded(session_id=session.session_id, reason=session.reason)
            self._add(session.node, "client", session.session_id, message)

    def _add(self, node: str, to: Literal["worker", "client"], peer: str, message: Message) -> None:
        self._pending.append((node, to, peer, message))
        self._wake.set()
