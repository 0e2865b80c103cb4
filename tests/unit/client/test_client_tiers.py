"""The decode tier on frames that somebody encoded without our marker in the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder

from system.client.tiers import DecodeTier
from system.media.marker import FrameMarker, draw_block_code, insert_marker
from system.media.rtc.assembler import ReceivedFrame

RTP_TIMESTAMP = 90_000


class Owner:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.shown: list[tuple[FrameMarker | None, bool]] = []

    def frame_received(self, frame: ReceivedFrame, marker: FrameMarker | None) -> None:
        return

    def frame_shown(self, marker: FrameMarker | None, at_s: float, decoded: bool) -> None:
        self.shown.append((marker, decoded))

    def keyframe_needed(self) -> None:
        raise AssertionError("the frame can be decoded")


class InlinePool:
    """Decodes at once."""

    def submit(self, work: Callable[[], None]) -> None:
        work()


def encoded(block_code: int | None) -> bytes:
    picture = np.full((90, 320, 4), 90, dtype=np.uint8)
    if block_code is not None:
        draw_block_code(picture, block_code)
    frame = av.VideoFrame.from_ndarray(picture, format="bgra").reformat(format="yuv420p")
    return b"".join(
        b"\x00\x00\x00\x01" + nal for nal in H264Encoder()._encode_frame(frame, force_keyframe=True)
    )


async def shown(data: bytes) -> list[tuple[FrameMarker | None, bool]]:
    owner = Owner()
    tier = DecodeTier(owner, InlinePool())  # type: ignore[arg-type]
    times = dict.fromkeys(("arrival_s", "first_packet_s", "delivered_s"), 0.0)
    tier.frame(
        ReceivedFrame(
            data=data,
            codec="h264",
            keyframe=True,
            rtp_timestamp=RTP_TIMESTAMP,
            packets=1,
            complete=True,
            decodable=True,
            **times,
        )
    )
    await asyncio.sleep(0)
    await tier.close()
    return owner.shown


async def test_a_frame_without_a_marker_is_known_by_its_block_code() -> None:
    assert await shown(encoded(1234)) == [(FrameMarker(1234, 1_000_000), True)]


@pytest.mark.parametrize("block_code", [None, 77])
async def test_the_marker_in_the_bytes_comes_first(block_code: int | None) -> None:
    marker = FrameMarker(5, 42)
    assert await shown(insert_marker(encoded(block_code), "h264", marker)) == [(marker, True)]


async def test_a_frame_with_neither_is_shown_all_the_same() -> None:
    assert await shown(encoded(None)) == [(None, True)]
