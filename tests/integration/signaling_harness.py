"""A signaling node on a real port with a scripted orchestrator, workers and clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from system.protocol import codec
from system.protocol.errors import ErrorCode
from system.protocol.messages import Allocated, Ticket
from system.signaling.app import NODE, create_app
from system.signaling.config import SignalingConfig
from system.signaling.node import Node
from system.store.base import Store
from system.store.ledger import Ledger
from system.telemetry.http import json_response, refused

PATIENCE_S = 5.0
OFFER = {"type": "offer", "sdp": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"}
ANSWER = {"type": "answer", "sdp": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"}


def candidate(n: int) -> dict[str, Any]:
    return {"candidate": f"candidate:{n} 1 udp 1 127.0.0.1 {9000 + n} typ host", "sdpMid": "0"}


class Peer:
    """One WebSocket and everything that came over it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.messages: list[dict[str, Any]] = []
        self._taken = 0
        self._news = asyncio.Event()
        self.closed = asyncio.Event()
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in self.ws:
            if frame.type is aiohttp.WSMsgType.TEXT:
                message = msgspec.json.decode(frame.data)
                self.messages.append(message)
                await self.received(message)
                self._news.set()
        self.closed.set()
        self._news.set()

    async def received(self, message: dict[str, Any]) -> None:
        """For subclasses."""

    async def send(self, **message: Any) -> None:
        await self.ws.send_str(msgspec.json.encode(message).decode())

    async def expect(self, kind: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next message of that type that was not taken yet; others before it are skipped."""
        async with asyncio.timeout(within_s):
            while True:
                while self._taken < len(self.messages):
                    message = self.messages[self._taken]
                    self._taken += 1
                    if message["type"] == kind:
                        return message
                if self.closed.is_set():
                    raise AssertionError(f"closed ({self.ws.close_code}) without {kind}")
                self._news.clear()
                await self._news.wait()

    async def expect_close(self, within_s: float = PATIENCE_S) -> int | None:
        async with asyncio.timeout(within_s):
            await self.closed.wait()
        return self.ws.close_code

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["type"] == kind]

    def abort(self) -> None:
        """Vanish without a closing handshake."""
        transport = self.ws._response.connection.transport  # type: ignore[union-attr]
        transport.abort()

    async def leave(self) -> None:
        await self.ws.close()
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)


class Worker(Peer):
    """A worker that confirms sessions and answers offers, unless told otherwise."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, worker_id: str) -> None:
        self.worker_id = worker_id
        self.confirms = True
        self.refusals = 0
        self.answers = True
        self.sessions: dict[str, dict[str, Any]] = {}
        super().__init__(ws)

    async def received(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "session-assigned" if self.refusals:
                self.refusals -= 1
                await self.send(
                    type="session-refused",
                    sessionId=message["sessionId"],
                    fence=message["fence"],
                    code="no_capacity",
                )
            case "session-assigned" if self.confirms:
                self.sessions[message["sessionId"]] = message["fence"]
                await self.about(message["sessionId"], "session-confirmed")
            case "offer" if self.answers:
                await self.send(
                    type="answer",
                    sessionId=message["sessionId"],
                    sdp=ANSWER,
                    negotiation=message["negotiation"],
                )
            case "session-ended":
                self.sessions.pop(message["sessionId"], None)

    async def about(self, session_id: str, kind: str, **more: Any) -> None:
        await self.send(type=kind, sessionId=session_id, fence=self.sessions[session_id], **more)

    async def beat(self) -> None:
        held = [{"sessionId": s, "fence": f} for s, f in self.sessions.items()]
        await self.send(type="heartbeat", sessions=held)


class Orchestrator:
    """The allocating half of an orchestrator, over the real ledger."""

    def __init__(self, store: Store) -> None:
        self.ledger = Ledger(store, lease_ms=2000)
        self.requests: list[Any] = []
        self.down = False
        self.answers = asyncio.Event()
        """Cleared, it keeps requests waiting."""
        self.answers.set()
        self.refuse: ErrorCode | None = None
        self.abandoned: list[str] = []
        self.app = web.Application()
        self.app.router.add_post("/allocate", self._allocate)
        self.app.router.add_get("/tickets/{ticket}", self._ticket)
        self.app.router.add_delete("/tickets/{ticket}", self._abandon)
        self.app.router.add_get("/livez", self._livez)

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _allocate(self, request: web.Request) -> web.Response:
        if self.down:
            return refused(ErrorCode.UNAVAILABLE, "secret inner text")
        if self.refuse is not None:
            return refused(self.refuse, "secret inner text")
        asked = codec.allocate_request.decode(await request.read())
        self.requests.append(asked)
        await self.answers.wait()
        assert asked.session_id is not None
        if (answer := await self._reserved(asked.session_id, asked)) is not None:
            return answer
        await self.ledger.enqueue(
            asked.session_id, asked.client_id, asked.project_id, "default", limit=100
        )
        return await self._waiting(asked.session_id)

    async def _reserved(self, session_id: str, asked: Any = None) -> web.Response | None:
        session = await self.ledger.get_session(session_id)
        client_id = asked.client_id if asked else session.client_id if session else ""
        project_id = asked.project_id if asked else session.project_id if session else ""
        found = await self.ledger.reserve(session_id, client_id, project_id, "default")
        if found is None:
            return None
        return json_response(
            Allocated(
                worker_id=found.worker_id,
                endpoint="",
                session_id=session_id,
                fence=found.fence,
                lease_ms=found.lease_ms,
            )
        )

    async def _waiting(self, session_id: str) -> web.Response:
        place = await self.ledger.queue_position(session_id, "default")
        if place is None:
            return refused(ErrorCode.NOT_FOUND, "no such ticket")
        return json_response(Ticket(ticket=session_id, position=place[0], eta_ms=None), status=202)

    async def _ticket(self, request: web.Request) -> web.Response:
        session_id = request.match_info["ticket"]
        until = time.monotonic() + int(request.query["waitMs"]) / 1000
        while time.monotonic() < until:
            await self.ledger.still_waiting(session_id)
            if (answer := await self._reserved(session_id)) is not None:
                return answer
            place = await self.ledger.queue_position(session_id, "default")
            if place is None or str(place[0]) != request.query["position"]:
                break
            await asyncio.sleep(0.02)
        return await self._waiting(session_id)

    async def _abandon(self, request: web.Request) -> web.Response:
        self.abandoned.append(request.match_info["ticket"])
        await self.ledger.release(request.match_info["ticket"], fence=None, reason="abandoned")
        return web.Response(status=204)


@dataclass
class Stage:
    """A store, an orchestrator and any number of signaling nodes."""

    store: Store
    orchestrator: Orchestrator
    http: aiohttp.ClientSession
    ledger: Ledger
    urls: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    runners: dict[str, web.AppRunner] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)
    orchestrator_url: str = ""

    async def start(self, name: str = "a", **changes: Any) -> Self:
        config = SignalingConfig(node=name, orchestrator_url=self.orchestrator_url, **changes)
        app = create_app(config, self.store)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.urls[name] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.nodes[name] = app[NODE]
        self.runners[name] = runner
        return self

    async def stop(self, name: str) -> None:
        await self.runners.pop(name).cleanup()

    async def client(
        self,
        user: str = "u1",
        project: str = "p1",
        *,
        node: str = "a",
        extra: str = "",
        **more: Any,
    ) -> Peer:
        url = f"{self.urls[node]}/?userId={user}&projectId={project}{extra}"
        peer = Peer(await self.http.ws_connect(url, **more))
        self.peers.append(peer)
        return peer

    async def worker(
        self,
        worker_id: str = "w1",
        *,
        node: str = "a",
        slots: int = 4,
        generation: int = 1,
        sessions: Any = (),
        projects: Any = None,
        registered: bool = True,
        **more: Any,
    ) -> Worker:
        ws = await self.http.ws_connect(f"{self.urls[node]}/ws?type=worker", **more)
        worker = Worker(ws, worker_id)
        self.peers.append(worker)
        await worker.send(
            type="register",
            workerId=worker_id,
            generation=generation,
            slots=slots,
            sessions=list(sessions),
            projects=projects or {},
        )
        if registered:
            await worker.expect("registered")
        return worker

    async def active(self, worker: Worker, **more: Any) -> tuple[Peer, dict[str, Any]]:
        """A client whose session is active on the worker."""
        client = await self.client(**more)
        await client.send(type="offer", sdp=OFFER, sessionId=None)
        created = await client.expect("session-created")
        await client.expect("answer")
        await worker.about(created["sessionId"], "session-active")
        await self.eventually(lambda: self.state(created["sessionId"]), "active")
        return client, created

    async def state(self, session_id: str) -> str:
        session = await self.ledger.get_session(session_id)
        return "none" if session is None else session.state.value

    async def slots_used(self, worker_id: str) -> int:
        worker = await self.ledger.get_worker(worker_id)
        return -1 if worker is None else len(worker.sessions)

    async def eventually(
        self, look: Callable[[], Any], wanted: Any, within_s: float = PATIENCE_S
    ) -> None:
        until = time.monotonic() + within_s
        while (seen := await look()) != wanted:
            if time.monotonic() > until:
                raise AssertionError(f"{seen!r} is not {wanted!r} after {within_s} s")
            await asyncio.sleep(0.005)


@asynccontextmanager
async def stage(store: Store) -> AsyncIterator[Stage]:
    """Nothing started yet but the orchestrator; everything is ended afterwards."""
    orchestrator = Orchestrator(store)
    runner = web.AppRunner(orchestrator.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as http:
        made = Stage(store, orchestrator, http, Ledger(store))
        made.orchestrator_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield made
        finally:
            for peer in made.peers:
                await peer.leave()
            for name in tuple(made.runners):
                await made.stop(name)
            await runner.cleanup()
    await store.close()
