"""A scripted signaling server and viewers, for tests of the worker on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from system.media.marker import read_marker
from system.media.rtc.assembler import ReceivedFrame
from system.media.rtc.ice import LOOPBACK
from system.media.rtc.peer import close_peer, new_peer_connection
from system.media.rtc.receiver import FrameReceiver
from system.protocol import codec, messages
from system.protocol.channels import InputAck
from system.protocol.fields import (
    Description,
    Edit,
    Fence,
    LoggedEdit,
    ProjectState,
    StreamOptions,
)
from system.worker.agent import Agent
from system.worker.config import WorkerConfig
from system.worker.probe import probe
from system.worker.render_pool import RenderPool
from system.worker.settings import StreamSettings

M = TypeVar("M")

SIZE = (640, 360)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)


class FakeSignaling:
    """Accepts workers, records what they say, keeps one log per project."""

    def __init__(self, heartbeat_s: float = 0.2) -> None:
        self.heartbeat_s = heartbeat_s
        self.received: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.logs: dict[str, list[Edit]] = {}
        self.answer_edits = True
        self.accept = True
        self.socket: web.WebSocketResponse | None = None
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def send(self, message: Any) -> None:
        assert self.socket is not None
        await self.socket.send_str(codec.encode(message))

    def of(self, kind: type[M], **wanted: Any) -> list[M]:
        """Messages received of a kind, with these attributes."""
        return [
            m
            for m in self.received
            if isinstance(m, kind) and all(getattr(m, k) == v for k, v in wanted.items())
        ]

    async def wait(self, kind: type[M], timeout_s: float = 10.0, **wanted: Any) -> M:
        """The first message of a kind with these attributes; waits for it."""
        async with asyncio.timeout(timeout_s), self._changed:
            while not (found := self.of(kind, **wanted)):
                await self._changed.wait()
        return found[0]

    async def assign(
        self,
        session_id: str,
        n: int,
        *,
        project_id: str = "floor",
        negotiation: int = 1,
    ) -> Fence:
        fence = Fence(epoch=1, n=n)
        log = self.logs.get(project_id, [])
        state = ProjectState(
            project_id=project_id,
            log=tuple(LoggedEdit(index=i, edit=e) for i, e in enumerate(log, start=1)),
        )
        await self.send(
            messages.SessionAssigned(
                session_id=session_id,
                fence=fence,
                project=state,
                negotiation=negotiation,
                user_id="someone",
            )
        )
        return fence

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self.headers.append(dict(request.headers))
        self.queries.append(dict(request.query))
        if not self.accept:
            raise web.HTTPForbidden
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.socket = socket
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            await self._take(codec.from_worker.decode(frame.data))
        return socket

    async def _take(self, message: Any) -> None:
        if isinstance(message, messages.Register):
            await self.send(messages.Registered(heartbeat_ms=int(self.heartbeat_s * 1000)))
        if isinstance(message, messages.EditRequest) and self.answer_edits:
            await self.append(message)
        async with self._changed:
            self.received.append(message)
            self._changed.notify_all()

    async def append(self, request: messages.EditRequest, project_id: str = "floor") -> None:
        """Append to the log as signaling does: acknowledge, then tell everybody."""
        log = self.logs.setdefault(project_id, [])
        known = [e.edit_id for e in log]
        if request.edit.edit_id not in known:
            log.append(request.edit)
        index = [e.edit_id for e in log].index(request.edit.edit_id) + 1
        await self.send(
            messages.EditAcknowledged(
                session_id=request.session_id, edit_id=request.edit.edit_id, index=index
            )
        )
        if request.edit.edit_id not in known:
            await self.send(
                messages.EditApplied(
                    project_id=project_id, edit=LoggedEdit(index=index, edit=request.edit)
                )
            )


@dataclass
class Viewer:
    """A client that reassembles frames, does not decode them, and speaks both channels."""

    signaling: FakeSignaling
    session_id: str
    codecs: tuple[str, ...] = ("h264", "vp8")
    frames: list[ReceivedFrame] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    acks: dict[int, int] = field(default_factory=dict)
    seq: int = 0

    def __post_init__(self) -> None:
        self.pc = new_peer_connection(LOOPBACK)
        self.receiver = FrameReceiver(self.pc, self.frames.append, prefer=self.codecs)
        self.input = self.pc.createDataChannel("input", ordered=False, maxRetransmits=0)
        self.edit = self.pc.createDataChannel("edit")
        for channel in (self.input, self.edit):
            channel.on("message", self._heard)

    async def join(self, *, negotiation: int = 1, stream: StreamOptions | None = None) -> None:
        """Offer, take the answer, and wait for the first frame and open channels."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        local = self.pc.localDescription
        await self.signaling.send(
            messages.Offer(
                sdp=Description(type="offer", sdp=local.sdp),
                session_id=self.session_id,
                negotiation=negotiation,
                stream=stream,
            )
        )
        answer = await self.signaling.wait(
            messages.Answer, session_id=self.session_id, negotiation=negotiation
        )
        await self.pc.setRemoteDescription(type(local)(sdp=answer.sdp.sdp, type="answer"))
        await until(lambda: bool(self.frames))
        await until(lambda: self.input.readyState == self.edit.readyState == "open")

    def send(self, kind: str, data: dict[str, Any], *, reliable: bool = False, **more: Any) -> int:
        """Send an input; its sequence number."""
        self.seq += 1
        message = {"type": kind, "timestamp": 0, "seq": self.seq, "data": data, **more}
        (self.edit if reliable else self.input).send(json.dumps(message))
        return self.seq

    async def acked(self, seq: int) -> int:
        """The id of the frame that shows an input first."""
        await until(lambda: seq in self.acks)
        return self.acks[seq]

    async def heard(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """The first message of a type with these fields."""

        def found() -> list[dict[str, Any]]:
            return [
                m
                for m in self.said
                if m["type"] == kind and all(m.get(k) == v for k, v in wanted.items())
            ]

        await until(lambda: bool(found()))
        return found()[0]

    def frame_ids(self) -> list[int]:
        markers = [read_marker(frame.data, frame.codec) for frame in self.frames]
        assert all(marker is not None for marker in markers)
        return [marker.frame_id for marker in markers if marker is not None]

    async def close(self) -> None:
        await close_peer(self.pc)

    def _heard(self, raw: str) -> None:
        message = json.loads(raw)
        self.said.append(message)
        if message["type"] == "input:ack":
            ack = codec.to_client_channel.decode(raw)
            assert isinstance(ack, InputAck)
            for seq in ack.seqs:
                assert seq not in self.acks, "an input was acknowledged twice"
                self.acks[seq] = ack.frame_id


@dataclass
class Bench:
    """A registered agent, its signaling, and the viewers of a test."""

    agent: Agent
    signaling: FakeSignaling
    running: asyncio.Task[None]
    viewers: list[Viewer] = field(default_factory=list)
    fences: int = 0

    async def viewer(
        self,
        session_id: str = "",
        *,
        codecs: tuple[str, ...] = ("h264", "vp8"),
        stream: StreamOptions | None = None,
        project_id: str = "floor",
    ) -> Viewer:
        """A viewer with a session of its own, joined."""
        self.fences += 1
        session_id = session_id or f"s{self.fences}"
        fence = await self.signaling.assign(session_id, self.fences, project_id=project_id)
        await self.signaling.wait(messages.SessionConfirmed, session_id=session_id, fence=fence)
        viewer = Viewer(self.signaling, session_id, codecs=codecs)
        self.viewers.append(viewer)
        await viewer.join(stream=stream)
        return viewer

    def fence(self, session_id: str) -> Fence:
        session = self.agent.slots.get(session_id)
        assert session is not None
        return session.fence


@asynccontextmanager
async def worker(
    *, slots: int = 2, connect_deadline_s: float = 5.0, heartbeat_s: float = 0.2, **options: Any
) -> AsyncIterator[Bench]:
    """An agent in this process, registered; everything it began is over at the end."""
    before = asyncio.all_tasks()
    signaling = FakeSignaling(heartbeat_s)
    await signaling.start()
    config = WorkerConfig(
        worker_id="w1",
        signaling=signaling.url,
        slots=slots,
        width=SIZE[0],
        height=SIZE[1],
        **options,
    )
    pool = RenderPool(config.width, config.height, config.renderer, config.slots)
    made = await probe(pool, config.codecs, config.fps, config.bitrate_bps)
    settings = replace(
        StreamSettings.of(config, made.encoders), connect_deadline_s=connect_deadline_s
    )
    agent = Agent(config, settings, pool, made)
    bench = Bench(agent, signaling, asyncio.create_task(agent.run()))
    try:
        await signaling.wait(messages.Register)
        await until(lambda: agent.registered)
        yield bench
    finally:
        agent.drain(0.0)
        await asyncio.gather(*(viewer.close() for viewer in bench.viewers))
        await asyncio.wait_for(bench.running, 10)
        await signaling.stop()
        pool.close()
    await until(lambda: not (asyncio.all_tasks() - before))
