"""A worker's WebSocket, its only control connection: who may open one, and what replaces it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from system.protocol import codec
from system.protocol import messages as m
from system.protocol.errors import CloseCode, ErrorCode, Unauthorized
from system.protocol.states import Refusal, Worker
from system.signaling import departure
from system.signaling.auth import credentials
from system.signaling.client_endpoint import upgrade
from system.signaling.connection import Connection, Liveness
from system.signaling.node import Node
from system.signaling.sessions import Superseded
from system.signaling.worker_link import WorkerLink
from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)


class WorkerEndpoint:
    """Serves workers of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One worker's socket, from the upgrade to the worker's loss."""
        config = self._node.config
        brought = credentials(request.headers)
        ws = upgrade(brought.protocol, config.bounds.close_deadline_s)
        await ws.prepare(request)
        connection: Connection[m.FromWorker] = Connection(
            ws,
            request.transport,
            codec.from_worker,
            role="worker",
            bounds=config.bounds,
            liveness=Liveness.of_worker(config.heartbeat_s),
            metrics=self._node.metrics,
            queue_bytes=config.bounds.worker_queue_bytes,
        )
        try:
            await self._serve(connection, brought.token)
        finally:
            await connection.finish()
        return ws

    def close(self) -> None:
        """Say goodbye to every worker; they come back elsewhere with their sessions."""
        for link in tuple(self._node.attached.workers.values()):
            if isinstance(link, WorkerLink):
                link.close()

    async def _serve(self, connection: Connection[m.FromWorker], token: str) -> None:
        node = self._node
        try:
            async with asyncio.timeout(node.config.bounds.first_message_s):
                register = await connection.receive()
        except TimeoutError:
            connection.close(CloseCode.POLICY, "no_register_in_time")
            return
        if register is None:
            return
        if not isinstance(register, m.Register):
            connection.send_error(ErrorCode.BAD_MESSAGE, "register first")
            connection.close(CloseCode.POLICY, "register_first")
            return
        try:
            node.gate.worker(token, register.worker_id)
        except Unauthorized as error:
            connection.send_error(ErrorCode.UNAUTHORIZED, str(error))
            connection.close(CloseCode.UNAUTHORIZED, "unauthorized")
            return
        link = WorkerLink(node, connection, register)
        try:
            worker = await self._admit(link, register)
            if isinstance(worker, Refusal):
                connection.send_error(ErrorCode.CONFLICT, "a newer process of this worker is here")
                connection.close(CloseCode.REPLACED, "replaced")
                return
            await link.run(worker)
        except StoreUnavailable:
            connection.send_error(ErrorCode.UNAVAILABLE, "the store is not available")
            connection.close(CloseCode.UNAVAILABLE, "unavailable")
        finally:
            self._depart(link, connection)

    async def _admit(self, link: WorkerLink, register: m.Register) -> Worker | Refusal:
        """Register, and end what an older socket of the same worker is still doing."""
        node = self._node
        before = await node.ledger.get_worker(register.worker_id)
        worker = await node.ledger.register(register, node.name)
        if isinstance(worker, Refusal):
            return worker
        older = node.attached.workers.get(register.worker_id)
        if isinstance(older, WorkerLink):
            if older.generation > link.generation:
                return Refusal("an older generation of this worker")
            older.supersede()
        node.attached.workers[register.worker_id] = link
        if before is not None and before.node != node.name:
            await node.relay.to_node(
                before.node, "worker", register.worker_id, Superseded(generation=link.generation)
            )
        if before is not None and (lost := set(before.sessions) - set(worker.sessions)):
            node.tasks.errand(
                lambda: self._tell_lost(lost), name="lost", patience_s=node.config.orphan_s
            )
        log.info(
            "worker.registered",
            worker_id=register.worker_id,
            generation=register.generation,
            pool=worker.pool,
            slots=worker.slots,
            sessions=len(worker.sessions),
        )
        return worker

    async def _tell_lost(self, session_ids: Iterable[str]) -> None:
        """Sessions that the worker had before it came back, and has no more."""
        for session_id in session_ids:
            session = await self._node.ledger.get_session(session_id)
            if session is not None:
                await departure.tell_client(self._node, session)

    def _depart(self, link: WorkerLink, connection: Connection[m.FromWorker]) -> None:
        node = self._node
        link.forget_all()
        if node.attached.workers.get(link.worker_id) is not link:
            return
        del node.attached.workers[link.worker_id]
        log.info("worker.disconnected", worker_id=link.worker_id, why=connection.ended)
        if not node.closing:
            node.tasks.errand(link.lost, name="worker-lost", patience_s=node.config.orphan_s)
