"""A signaling server and a worker in one, on a free loopback port: real WebSocket, real WebRTC.

It speaks the wire protocol as a scripted server would, so that the client is
tested without the rest of the stack.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from aiohttp import WSMsgType, web

from system.media.marker import FrameMarker, insert_marker
from system.media.project import Project
from system.media.rtc.ice import LOOPBACK
from system.media.rtc.peer import Peer, close_peer, new_peer_connection, parse_description
from system.media.rtc.sender import EncodedSender, answer_offer
from system.media.scene import Scene
from system.protocol import channels, codec, messages
from system.protocol.errors import ErrorCode
from system.protocol.fields import Description


def encode_clip(frames: int, *, gop: int = 30) -> list[tuple[bytes, bool]]:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.bit_rate, context.gop_size, context.thread_count = 1_000_000, gop, 1
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    noise = np.random.default_rng(5).integers(0, 255, (270, 320 + 2 * frames), dtype=np.uint8)
    units = []
    for i in range(frames):
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(noise[:, 2 * i : 2 * i + 320]), format="yuv420p"
        )
        frame.pts = i
        units += [(bytes(packet), packet.is_keyframe) for packet in context.encode(frame)]
    return units


CLIP = encode_clip(60)


@dataclass
class Script:
    """How the server behaves; changed by a test before or while a client is there."""

    queue_s: float = 0.0
    never_serve: bool = False
    error: ErrorCode | None = None
    refuse: int | None = None  # HTTP status of the WebSocket handshake
    early_offer_ok: bool = True
    fps: float = 60.0
    stream: bool = True


@dataclass
class Streamer:
    """The running server and what it saw."""

    script: Script
    url: str = ""
    offers: list[messages.Offer] = field(default_factory=list)
    inputs: list[object] = field(default_factory=list)
    edits: list[object] = field(default_factory=list)
    byes: int = 0
    resumes: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    senders: list[EncodedSender] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    newest: dict[EncodedSender, int] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.script.refuse is not None:
            return web.Response(status=self.script.refuse)
        self.tokens.append(request.headers.get("Authorization"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        task = asyncio.create_task(self._serve(socket))
        self.tasks.append(task)
        held: list[messages.Offer] = []
        served = False
        async for received in socket:
            if received.type is not WSMsgType.TEXT:
                break
            message = codec.from_client.decode(received.data)
            if isinstance(message, messages.ClientOffer):
                message = message.offer()
            if isinstance(message, messages.Offer):
                self.offers.append(message)
                held.append(message)
            elif isinstance(message, messages.Bye):
                self.byes += 1
            elif isinstance(message, messages.Resume):
                self.resumes.append(message.resume_token)
                task.cancel()
                await self.send(
                    socket,
                    messages.SessionResumed(session_id="s", worker_id="w", resume_token="second"),
                )
                served = True
            if isinstance(message, messages.Offer) and not served:
                await asyncio.wait([task])
                if self.script.never_serve or self.script.error is not None:
                    continue
                await self._answer(socket, held.pop())
        return socket

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        script = self.script
        if script.error is not None:
            await self.send(socket, messages.Error(error="no", code=script.error))
            return
        if script.queue_s or script.never_serve:
            await self.send(socket, messages.Queued(position=1, eta_ms=1000))
        if script.never_serve:
            return
        await asyncio.sleep(script.queue_s)
        await self.send(
            socket,
            messages.SessionCreated(
                session_id="s", worker_id="w", endpoint="", resume_token="first"
            ),
        )

    async def _answer(self, socket: web.WebSocketResponse, offer: messages.Offer) -> None:
        pc = new_peer_connection(LOOPBACK, connect_deadline_s=10)
        self.peers.append(pc)
        sender = EncodedSender(
            pc,
            on_keyframe_request=lambda: None,
            on_bitrate=lambda bps: None,
            on_receiver_report=lambda rtt, lost: None,
        )
        self.senders.append(sender)

        @pc.on("datachannel")
        def on_channel(channel: object) -> None:
            channel.on("message", lambda text: self._channel(sender, channel, text))  # type: ignore[attr-defined]

        description = parse_description(offer.sdp.sdp, offer.sdp.type)
        answer = await answer_offer(pc, description, sender)
        await self.send(
            socket,
            messages.Answer(
                sdp=Description(type="answer", sdp=answer.sdp), negotiation=offer.negotiation
            ),
        )
        self.tasks.append(asyncio.create_task(self._stream(sender)))

    async def _stream(self, sender: EncodedSender) -> None:
        await asyncio.wait_for(sender.wait_ready(), 10)
        shown = 0
        while sender.ready:
            if self.script.stream:
                data, keyframe = CLIP[shown % len(CLIP)]
                shown += 1
                self.newest[sender] = shown
                capture_us = time.monotonic_ns() // 1000
                marked = insert_marker(data, "h264", FrameMarker(shown, capture_us))
                sender.send(marked, keyframe=keyframe, capture_time_us=capture_us)
            await asyncio.sleep(1 / self.script.fps)

    def _channel(self, sender: EncodedSender, channel: object, text: str) -> None:
        message = codec.from_client_channel.decode(text)
        if isinstance(message, channels.StateRequest):
            state = Scene(Project.default("p")).state()
            channel.send(codec.encode(channels.State(revision=1, state=state)))  # type: ignore[attr-defined]
            return
        edit_id = getattr(message, "edit_id", None)
        if edit_id is not None:
            self.edits.append(message)
            channel.send(codec.encode(channels.EditAck(edit_id=edit_id, index=1)))  # type: ignore[attr-defined]
            return
        self.inputs.append(message)
        seq = getattr(message, "seq", None)
        if seq is not None:
            ack = channels.InputAck(frame_id=self.newest.get(sender, 0) + 1, seqs=(seq,))
            channel.send(codec.encode(ack))  # type: ignore[attr-defined]

    async def send(self, socket: web.WebSocketResponse, message: messages.Message) -> None:
        await socket.send_str(codec.encode(message))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for pc in self.peers:
            await close_peer(pc)
        for socket in self.sockets:
            await socket.close()


@asynccontextmanager
async def streaming(script: Script | None = None) -> AsyncIterator[Streamer]:
    streamer = Streamer(script or Script())
    app = web.Application()
    app.router.add_get("/ws", streamer.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]
    streamer.url = f"ws://127.0.0.1:{port}/ws"
    try:
        yield streamer
    finally:
        await streamer.close()
        await runner.cleanup()
