"""The client's WebSocket: who may open one, and what it is told before it has a session."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from system.protocol import codec, limits
from system.protocol import messages as m
from system.protocol.errors import CloseCode, ErrorCode, Unauthorized
from system.protocol.states import Session
from system.signaling.auth import credentials
from system.signaling.client_session import ClientSession
from system.signaling.connection import Connection, Liveness
from system.signaling.limits import Bucket
from system.signaling.node import Node
from system.store import schema
from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)

_MISSING_HEARTBEATS: Final = 8
"""A session whose record is missing for so long is over."""

_HARD_LIMIT_BYTES: Final = 2 * limits.MAX_MESSAGE_BYTES
"""What aiohttp cuts off by itself: beyond our own bound, so that we can say why first."""


class ClientEndpoint:
    """Serves clients of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._all: set[ClientSession] = set()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One client, from the upgrade to its clean-up."""
        node = self._node
        brought = credentials(request.headers)
        ws = upgrade(brought.protocol, node.config.bounds.close_deadline_s)
        await ws.prepare(request)
        connection = self._connection(request, ws)
        query = request.query
        user_id, project_id = query.get("userId", ""), query.get("projectId", "")
        gpu = query.get("gpu", "any")
        if not user_id or not project_id:
            await _end(connection, CloseCode.POLICY, "Missing userId or projectId")
            return ws
        if any(len(value) > limits.MAX_ID_CHARS for value in (user_id, project_id, gpu)):
            await _end(connection, CloseCode.POLICY, "userId or projectId too long")
            return ws
        resumes = query.get("resume") == "1"
        may_join = True
        try:
            node.gate.client(brought.token, user_id, project_id)
        except Unauthorized as error:
            # Join tokens live for a minute, sessions for hours: who comes back
            # shows the resume token, and gets that session or nothing.
            may_join = False
            if not (resumes or brought.resume):
                connection.send_error(ErrorCode.UNAUTHORIZED, str(error))
                await _end(connection, CloseCode.UNAUTHORIZED, "unauthorized")
                return ws
        session = ClientSession(
            node, connection, user_id=user_id, project_id=project_id, gpu=gpu or "any"
        )
        self._all.add(session)
        try:
            await session.run(resume_token=brought.resume, resumes=resumes, may_join=may_join)
        finally:
            self._all.discard(session)
            log.info("client.left", why=connection.ended)
        return ws

    async def review(self, wake: asyncio.Event) -> None:
        """Compare attached sessions with the store: every heartbeat, and when woken; for ever."""
        node = self._node
        heartbeat_s = node.config.heartbeat_s
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(heartbeat_s):
                    await wake.wait()
            except TimeoutError:
                pass
            wake.clear()
            keys = {s: schema.session_key(s) for s in node.attached.clients}
            if not keys:
                continue
            try:
                records = await node.store.get_many(keys.values())
                for session_id, key in keys.items():
                    client = node.attached.clients.get(session_id)
                    if not isinstance(client, ClientSession):
                        continue
                    record = records.get(key)
                    session = None if record is None else schema.load(record, Session)
                    await client.review(session, loop.time(), _MISSING_HEARTBEATS * heartbeat_s)
            except (StoreUnavailable, msgspec.ValidationError) as error:
                log.warning("review.failed", error=type(error).__name__)

    def close(self) -> None:
        """Say goodbye to everybody; their sessions stay."""
        for session in tuple(self._all):
            session.close()

    def _connection(
        self, request: web.Request, ws: web.WebSocketResponse
    ) -> Connection[m.FromClient]:
        bounds = self._node.config.bounds
        now = asyncio.get_running_loop().time()
        return Connection(
            ws,
            request.transport,
            codec.from_client,
            role="client",
            bounds=bounds,
            liveness=Liveness.of_client(self._node.config.heartbeat_s),
            metrics=self._node.metrics,
            queue_bytes=bounds.client_queue_bytes,
            rate=Bucket(bounds.client_rate, bounds.client_burst, now),
        )


def upgrade(protocol: str | None, close_deadline_s: float) -> web.WebSocketResponse:
    """A WebSocket without compression, whose pings and pongs are ours to see."""
    return web.WebSocketResponse(
        timeout=close_deadline_s,
        autoping=False,
        compress=False,
        max_msg_size=_HARD_LIMIT_BYTES,
        protocols=() if protocol is None else (protocol,),
        writer_limit=0,
    )


async def _end(connection: Connection[m.FromClient], code: CloseCode, reason: str) -> None:
    connection.close(code, reason)
    await connection.finish()
