"""Carries messages to whoever is attached to this node, or to the node where they are.

Routes are looked up in the store each time: they change when somebody
reconnects, and signaling messages are few. What is published to a node that
is gone is lost; deadlines, not deliveries, are what sessions rely on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from system.protocol import limits
from system.protocol.codec import Decoder, encode
from system.protocol.errors import ProtocolError
from system.protocol.fields import Id
from system.signaling.metrics import Metrics
from system.signaling.sessions import Attached, ForClient, ForWorker
from system.store.base import Store, StoreUnavailable
from system.store.ledger import Ledger
from system.store.schema import node_channel
from system.telemetry import logs

log = logs.get(__name__)

_RETRY_S: Final = 0.25


class Envelope(msgspec.Struct, frozen=True):
    """A message on its way to another node; ``id`` is a worker's or a session's."""

    to: Literal["worker", "client"]
    id: Id
    message: msgspec.Raw


_envelope = msgspec.json.Decoder(Envelope)
_for_worker: Decoder[ForWorker] = Decoder(ForWorker, max_bytes=limits.MAX_CONTROL_BYTES)
_for_client: Decoder[ForClient] = Decoder(ForClient)


class Relay:
    """Routing of one node."""

    def __init__(
        self, node: str, store: Store, ledger: Ledger, attached: Attached, metrics: Metrics
    ) -> None:
        self._node = node
        self._store = store
        self._ledger = ledger
        self._attached = attached
        self._metrics = metrics
        self.listening = asyncio.Event()

    async def to_worker(self, worker_id: str, message: ForWorker) -> bool:
        """Pass on; False where the worker is nowhere, or the store is away."""
        if (port := self._attached.workers.get(worker_id)) is not None:
            port.deliver(message)
            return True
        try:
            worker = await self._ledger.get_worker(worker_id)
            if worker is None:
                return False
            return await self.to_node(worker.node, "worker", worker_id, message)
        except StoreUnavailable:
            return False

    async def to_client(self, session_id: str, message: ForClient) -> bool:
        """Pass on; False where nobody is attached to the session, or the store is away."""
        if (port := self._attached.clients.get(session_id)) is not None:
            port.deliver(message)
            return True
        try:
            session = await self._ledger.get_session(session_id)
            if session is None:
                return False
            return await self.to_node(session.node, "client", session_id, message)
        except StoreUnavailable:
            return False

    async def to_node(
        self, node: str, to: Literal["worker", "client"], peer: str, message: ForWorker | ForClient
    ) -> bool:
        """Publish to another node; False where there is none. Raises StoreUnavailable."""
        if not node or node == self._node:
            return False
        self._metrics.routed.labels(to).inc()
        envelope = Envelope(to=to, id=peer, message=msgspec.Raw(encode(message).encode()))
        await self._store.publish(node_channel(node), encode(envelope))
        return True

    async def listen(self, on_gap: Callable[[], None]) -> None:
        """Deliver what other nodes send here, for ever.

        ``on_gap`` is called when messages may have been lost.
        """
        while True:
            try:
                async with self._store.subscribe(node_channel(self._node)) as messages:
                    self.listening.set()
                    on_gap()
                    async for _, text in messages:
                        self._deliver(text)
            except StoreUnavailable:
                log.warning("relay.interrupted")
            self.listening.clear()
            await asyncio.sleep(_RETRY_S)

    def _deliver(self, text: str) -> None:
        try:
            envelope = _envelope.decode(text)
            if envelope.to == "worker":
                if (worker := self._attached.workers.get(envelope.id)) is not None:
                    worker.deliver(_for_worker.decode(bytes(envelope.message)))
            elif (client := self._attached.clients.get(envelope.id)) is not None:
                client.deliver(_for_client.decode(bytes(envelope.message)))
        except (msgspec.DecodeError, ProtocolError) as error:
            log.warning("relay.undecodable", error=type(error).__name__)
        except Exception as error:
            log.exception("relay.failed", error)
