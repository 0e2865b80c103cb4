"""A viewer made of plain aiohttp and plain aiortc, in the order of the document's browser client.

WebSocket, then at once the offer with ``sessionId: null``, candidates trickled
behind it. Nothing here knows the server's code, so it can find it wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError


def gather_loopback_only() -> None:
    """aioice drops 127.0.0.1; here nothing else may be used."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def without_candidates(sdp: str) -> tuple[str, list[str]]:
    """An offer as a browser first sends it, and the candidates that it trickles."""
    kept, candidates = [], []
    for line in sdp.splitlines():
        if line.startswith("a=candidate:"):
            candidates.append(line.removeprefix("a="))
        elif line != "a=end-of-candidates":
            kept.append(line)
    return "\r\n".join(kept) + "\r\n", candidates


class Viewer:
    """One session of the document's client; ``messages`` is all that signaling said."""

    def __init__(self, url: str, user: str = "ada", project: str = "p1") -> None:
        self.url = f"{url}?userId={user}&projectId={project}"
        self.messages: list[tuple[float, dict[str, Any]]] = []
        self.data: list[dict[str, Any]] = []
        self.frames = 0
        self.closed_code: int | None = None
        self._arrived = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Viewer:
        self.http = aiohttp.ClientSession()
        self.ws = await self.http.ws_connect(self.url)
        self._tasks.append(asyncio.create_task(self._read()))
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pc.close()
        await self.ws.close()
        await self.http.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, message: dict[str, Any]) -> None:
        await self.ws.send_str(json.dumps({**message, "sessionId": None}))

    async def offer(self) -> None:
        """What the document does right after the socket opened, without waiting for anything."""
        self.channel = self.pc.createDataChannel("input", ordered=False, maxRetransmits=0)
        self.channel.on("message", lambda text: self.data.append(json.loads(text)))
        self.pc.addTransceiver("video", direction="recvonly")
        self.pc.on(
            "track", lambda track: self._tasks.append(asyncio.create_task(self._view(track)))
        )
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp, candidates = without_candidates(self.pc.localDescription.sdp)
        await self.send({"type": "offer", "sdp": {"type": "offer", "sdp": sdp}})
        for candidate in dict.fromkeys(candidates):
            init = {"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0}
            await self.send({"type": "ice-candidate", "candidate": init})

    async def watch(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """Offer, and return ``session-created`` once the first frame was decoded."""
        await self.offer()
        created = await self.expect("session-created", timeout_s)
        await self.see(1, timeout_s)
        return created

    async def see(self, count: int, timeout_s: float = 5.0) -> None:
        """Until so many more frames were decoded."""
        wanted = self.frames + count
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: self.frames >= wanted)

    async def expect(self, kind: str, timeout_s: float = 5.0) -> dict[str, Any]:
        """The first message of a type, whether it is here already or not."""
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: bool(self.said(kind)))
        return self.said(kind)[0]

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [message for _, message in self.messages if message["type"] == kind]

    async def closed(self, timeout_s: float = 5.0) -> int:
        """The code with which signaling closed the socket."""
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: self.closed_code is not None)
        assert self.closed_code is not None
        return self.closed_code

    def orbit(self, delta_x: float, seq: int) -> None:
        data = {"deltaX": delta_x, "deltaY": 0}
        message = {
            "type": "camera:orbit",
            "timestamp": time.time() * 1000,
            "data": data,
            "seq": seq,
        }
        self.channel.send(json.dumps(message))

    async def _read(self) -> None:
        async for frame in self.ws:
            message = json.loads(frame.data)
            async with self._arrived:
                self.messages.append((time.monotonic(), message))
                self._arrived.notify_all()
            if message["type"] == "answer":
                await self.pc.setRemoteDescription(RTCSessionDescription(**message["sdp"]))
        async with self._arrived:
            self.closed_code = self.ws.close_code
            self._arrived.notify_all()

    async def _view(self, track: Any) -> None:
        while True:
            try:
                await track.recv()
            except MediaStreamError:
                return
            async with self._arrived:
                self.frames += 1
                self._arrived.notify_all()


async def stare(url: str) -> None:
    """For a child process: say when the picture is there, then watch for ever."""
    gather_loopback_only()
    async with Viewer(url, user="doomed") as viewer:
        created = await viewer.watch()
        print(json.dumps(created), flush=True)  # noqa: T201
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(stare(sys.argv[1]))
