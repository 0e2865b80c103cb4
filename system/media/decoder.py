"""Owns decoding of one received stream: encoded frames in, pictures out, with no delay.

Errors::

    DecodeError(ValueError)     the bytes are not a frame that follows what was decoded before
"""

from __future__ import annotations

from typing import cast

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

Luma = npt.NDArray[np.uint8]

_DECODERS = {"h264": "h264", "vp8": "vp8"}


class DecodeError(ValueError):
    """A frame could not be decoded; ask the sender for a key frame."""


class VideoDecoder:
    """One decoder on one thread. After a `DecodeError` it goes on with the next key frame."""

    def __init__(self, codec: str) -> None:
        if codec not in _DECODERS:
            raise ValueError(f"unknown codec {codec!r}; known: {', '.join(_DECODERS)}")
        self.codec = codec
        context = av.CodecContext.create(_DECODERS[codec], "r")
        if not isinstance(context, av.VideoCodecContext):
            raise DecodeError(f"{codec} is not a video codec here")
        context.thread_count = 1
        context.flags |= Flags.low_delay
        self._context: av.VideoCodecContext | None = context

    def decode(self, data: bytes) -> list[av.VideoFrame]:
        """The pictures of one encoded frame (Annex B for H.264); usually exactly one."""
        if self._context is None:
            raise RuntimeError("the decoder is closed")
        if not data:
            raise DecodeError("an empty frame")
        try:
            return self._context.decode(av.Packet(data))
        except av.error.FFmpegError as error:
            raise DecodeError(f"{self.codec}: {error.strerror}") from None

    def close(self) -> None:
        """Drop the decoder; closing twice is fine."""
        self._context = None


def luma(frame: av.VideoFrame) -> Luma:
    """The Y plane as (height, width), without copying; the array keeps the frame alive."""
    plane = frame.planes[0]
    rows: Luma = np.frombuffer(memoryview(cast(bytes, plane)), dtype=np.uint8)
    return rows.reshape(-1, plane.line_size)[: frame.height, : frame.width]
