"""Owns one session's frames: when each begins, what it shows, and sending it. Never a queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from system.worker.acks import AckBook, FrameTicket
from system.worker.bitrate import BitrateControl
from system.worker.keyframes import KeyframeGate
from system.worker.pacing import Pacer
from system.worker.pipeline import FramePipeline, Shot
from system.worker.render_pool import RenderPool
from system.worker.tally import Tally
from system.worker.viewer_scene import ViewerScene


class FrameSink(Protocol):
    """Where encoded frames go (``system.media.rtc.sender.EncodedSender``)."""

    def send(self, data: bytes, *, keyframe: bool, capture_time_us: int) -> int:
        """Payload bytes sent; 0 where the frame did not leave."""


class FrameStream:
    """The frame loop of one viewer. Its frame ids go on when the connection is replaced.

    One frame is in the making at a time, so a slow encoder makes fewer frames,
    each of the newest scene, and never a backlog.
    """

    def __init__(
        self,
        *,
        scene: ViewerScene,
        pipeline: FramePipeline,
        pool: RenderPool,
        pacer: Pacer,
        bitrate: BitrateControl,
        tally: Tally,
        on_sent: Callable[[FrameTicket, Shot], None],
    ) -> None:
        self._scene = scene
        self._pipeline = pipeline
        self._pool = pool
        self._bitrate = bitrate
        self._tally = tally
        self._on_sent = on_sent
        self._poked = asyncio.Event()
        self.pacer = pacer
        self.acks = AckBook()
        self.keyframes = KeyframeGate()
        self.block_code = False

    def changed(self) -> None:
        """The scene changed, or an input waits for the frame that acknowledges it."""
        self.pacer.changed()
        self._poked.set()

    def keyframe_wanted(self) -> None:
        self.keyframes.request()
        self.changed()

    async def run(self, sink: FrameSink) -> None:
        """Send frames to ``sink``, beginning with a key frame, until cancelled."""
        self.keyframes.restart()
        self.pacer.changed()
        while True:
            await self._until_due()
            async with self._pool.turn():
                ticket, shot = self._begin()
                try:
                    made = await self._pool.run(self._pipeline.make, shot)
                except BaseException:
                    self.acks.unsent(ticket)
                    raise
            frame = made.encoded
            sent = sink.send(
                frame.data, keyframe=frame.keyframe, capture_time_us=frame.capture_time_us
            )
            self._count(sent, frame.keyframe, made.render_s, frame.encode_s)
            if sent:
                self._bitrate.sent(time.monotonic(), sent)
                self._on_sent(ticket, shot)
            else:
                self.acks.unsent(ticket)
                self.keyframe_wanted()

    def _begin(self) -> tuple[FrameTicket, Shot]:
        now = time.monotonic()
        ticket = self.acks.begin()
        self.pacer.started(now)
        shot = Shot(
            scene=self._scene.still(),
            frame_id=ticket.frame_id,
            keyframe=self.keyframes.take(now),
            bitrate_bps=self._bitrate.target_bps,
            block_code=self.block_code,
        )
        return ticket, shot

    async def _until_due(self) -> None:
        """Sleep until the next frame is due; a change may bring it forward."""
        loop = asyncio.get_running_loop()
        while True:
            self._poked.clear()
            wait_s = self.pacer.next_at() - time.monotonic()
            if wait_s <= 0:
                return
            timer = loop.call_later(wait_s, self._poked.set)
            try:
                await self._poked.wait()
            finally:
                timer.cancel()

    def _count(self, sent: int, keyframe: bool, render_s: float, encode_s: float) -> None:
        tally = self._tally
        tally.frames += 1
        tally.frames_unsent += not sent
        tally.keyframes += keyframe
        tally.payload_bytes += sent
        tally.render_s += render_s
        tally.encode_s += encode_s
