"""A worker as aiortc's own examples would have it: what the real worker is measured against.

``VideoStreamTrack.recv`` waits for aiortc's 30 fps clock, renders on the event loop, makes a frame
with ``VideoFrame.from_ndarray`` and leaves the rest to aiortc's sender and encoder, untouched. The
one hook is into aioice, so that it gathers 127.0.0.1 and nothing else. Signaling is as much of the
protocol as a client needs for one session after the other.

Run as a program: prints ``{"port": ..., "renderer": ...}`` on stdout, ends when stdin closes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

import aioice.ice
import aiortc.codecs.h264
import cv2
from aiohttp import WSMsgType, web
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from av import VideoFrame

from system.media.marker import draw_block_code
from system.media.project import Project
from system.media.renderers.base import Renderer
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene
from system.protocol import codec
from system.protocol.channels import INPUT_CHANNEL, CameraOrbit, InputAck
from system.protocol.errors import ProtocolError
from system.protocol.fields import Description
from system.protocol.messages import Answer, Bye, ClientOffer, Offer, SessionCreated


class SceneTrack(VideoStreamTrack):
    """One viewer's picture; the block code is its only mark, for aiortc's encoder takes no SEI."""

    def __init__(self, scene: Scene, renderer: Renderer) -> None:
        super().__init__()
        self.channel: RTCDataChannel | None = None
        self._scene = scene
        self._renderer = renderer
        self._frame_id = 0
        self._seqs: list[int] = []

    def input(self, text: str | bytes) -> None:
        try:
            message = codec.from_client_channel.decode(text)
        except ProtocolError:
            return
        if isinstance(message, CameraOrbit):
            self._scene.orbit(message.data.delta_x, message.data.delta_y)
            if message.seq is not None:
                self._seqs.append(message.seq)

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        seqs, self._seqs = tuple(self._seqs), []
        self._frame_id += 1
        picture = self._renderer.render(self._scene)
        draw_block_code(picture, self._frame_id)
        frame = VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), format="bgr24")
        frame.pts, frame.time_base = pts, time_base
        if seqs and self.channel is not None and self.channel.readyState == "open":
            self.channel.send(codec.encode(InputAck(frame_id=self._frame_id, seqs=seqs)))
        return frame


class Server:
    """Signaling and worker in one; sessions share a renderer, as they come one at a time."""

    def __init__(self, width: int, height: int) -> None:
        self.renderer = open_renderer(width, height)
        self.renderer.render(Scene(Project.default("warm")))

    async def session(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        created = SessionCreated(session_id="s", worker_id="plain", endpoint="")
        await websocket.send_str(codec.encode(created))
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        track = SceneTrack(Scene(Project.default(request.query["projectId"])), self.renderer)
        pc.on("datachannel", lambda channel: self._channel(channel, track))
        try:
            async for received in websocket:
                if received.type is not WSMsgType.TEXT:
                    break
                message = codec.from_client.decode(received.data)
                if isinstance(message, Bye):
                    break
                if isinstance(message, ClientOffer):
                    offer = message.offer()
                    sdp = await self._answer(pc, track, offer)
                    answer = Answer(sdp=sdp, negotiation=offer.negotiation)
                    await websocket.send_str(codec.encode(answer))
        finally:
            await pc.close()
        return websocket

    async def _answer(
        self, pc: RTCPeerConnection, track: SceneTrack, message: Offer
    ) -> Description:
        sender = pc.addTrack(track)
        (transceiver,) = (each for each in pc.getTransceivers() if each.sender is sender)
        h264 = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.name == "H264"]
        transceiver.setCodecPreferences(h264)
        await pc.setRemoteDescription(RTCSessionDescription(message.sdp.sdp, message.sdp.type))
        await pc.setLocalDescription(await pc.createAnswer())
        return Description(type="answer", sdp=pc.localDescription.sdp)

    def _channel(self, channel: RTCDataChannel, track: SceneTrack) -> None:
        if channel.label == INPUT_CHANNEL:
            track.channel = channel
            channel.on("message", track.input)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument(
        "--bitrate", type=int, help="bit/s that the encoder starts with, in place of aiortc's"
    )
    options = parser.parse_args()
    if options.bitrate is not None:
        aiortc.codecs.h264.DEFAULT_BITRATE = options.bitrate
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    server = Server(options.width, options.height)
    app = web.Application()
    app.router.add_get("/ws", server.session)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    ready = {"port": port, "renderer": server.renderer.name}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
