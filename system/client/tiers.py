"""What becomes of a received frame: looked at (``frames``) or decoded (``decode``).

A tier is told every frame and tells its owner what became of it. Only ``DecodeTier``
uses threads; whatever it reports, it reports on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import av

from system.media.decoder import DecodeError, VideoDecoder, luma
from system.media.marker import FrameMarker, read_block_code, read_marker
from system.media.rtc.assembler import ReceivedFrame
from system.telemetry import logs

logger = logs.get(__name__)

MAX_WAITING = 8
"""Encoded frames of one session that wait for a decoder; the oldest is dropped beyond."""

OnPicture = Callable[[FrameMarker | None, av.VideoFrame], None]


class TierOwner(Protocol):
    """Whom a tier tells."""

    def frame_received(self, frame: ReceivedFrame, marker: FrameMarker | None) -> None:
        """A frame arrived whole."""

    def frame_shown(self, marker: FrameMarker | None, at_s: float, decoded: bool) -> None:
        """A frame became visible at a monotonic time."""

    def keyframe_needed(self) -> None:
        """The decoder cannot go on without one."""


class Tier(Protocol):
    """What takes frames."""

    def frame(self, frame: ReceivedFrame) -> None: ...

    async def close(self) -> None: ...


def marker_of(frame: ReceivedFrame) -> FrameMarker | None:
    return read_marker(frame.data, frame.codec)


def drawn_marker(picture: av.VideoFrame, frame: ReceivedFrame) -> FrameMarker | None:
    """The block code in a picture whose encoder carries no marker; captured by the RTP clock."""
    frame_id = read_block_code(luma(picture))
    if frame_id is None:
        return None
    return FrameMarker(frame_id, frame.rtp_timestamp * 100 // 9)


class FramesTier:
    """Decodes nothing: a frame is visible once it and all it depends on are whole."""

    def __init__(self, owner: TierOwner) -> None:
        self._owner = owner

    def frame(self, frame: ReceivedFrame) -> None:
        if not frame.complete:
            return
        marker = marker_of(frame)
        self._owner.frame_received(frame, marker)
        if frame.decodable:
            self._owner.frame_shown(marker, frame.delivered_s, decoded=False)

    async def close(self) -> None:
        return


class DecodePool:
    """Decoder threads shared by the sessions of a process."""

    def __init__(self, threads: int = 2) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def submit(self, work: Callable[[], None]) -> None:
        self._executor.submit(work)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


class DecodeTier:
    """Decodes every frame in order; at most one of a session's frames is in work.

    ``on_picture`` is called in a decoder thread with each picture, for sampling
    PSNR or the like; it must not raise.
    """

    def __init__(
        self, owner: TierOwner, pool: DecodePool, on_picture: OnPicture | None = None
    ) -> None:
        self._owner = owner
        self._pool = pool
        self._on_picture = on_picture
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[ReceivedFrame] = deque()
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._decoder: VideoDecoder | None = None
        self._needs_keyframe = False
        self.dropped = 0

    def frame(self, frame: ReceivedFrame) -> None:
        if not frame.complete or self._closed:
            return
        self._owner.frame_received(frame, marker_of(frame))
        if not frame.decodable or (self._needs_keyframe and not frame.keyframe):
            return
        if frame.keyframe:
            self._needs_keyframe = False
        self._waiting.append(frame)
        if len(self._waiting) > MAX_WAITING:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._broken()
        self._next()

    async def close(self) -> None:
        """Wait for the frame in work, if any."""
        self._closed = True
        self._waiting.clear()
        await self._idle.wait()
        if self._decoder is not None:
            self._decoder.close()

    def _broken(self) -> None:
        self._needs_keyframe = True
        self._owner.keyframe_needed()

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        self._busy = True
        self._idle.clear()
        frame = self._waiting.popleft()
        self._pool.submit(lambda: self._decode(frame))

    def _decode(self, frame: ReceivedFrame) -> None:
        """In a decoder thread."""
        marker = marker_of(frame)
        pictures = 0
        try:
            if self._decoder is None or self._decoder.codec != frame.codec:
                self._decoder = VideoDecoder(frame.codec)
            for picture in self._decoder.decode(frame.data):
                pictures += 1
                if marker is None:
                    marker = drawn_marker(picture, frame)
                if self._on_picture is not None:
                    self._on_picture(marker, picture)
        except DecodeError:
            logger.info("tier.decode_failed", codec=frame.codec)
        finally:
            self._loop.call_soon_threadsafe(self._decoded, marker, pictures > 0)

    def _decoded(self, marker: FrameMarker | None, shown: bool) -> None:
        self._busy = False
        self._idle.set()
        if self._closed:
            return
        if shown:
            self._owner.frame_shown(marker, self._loop.time(), decoded=True)
        else:
            self._broken()
        self._next()
