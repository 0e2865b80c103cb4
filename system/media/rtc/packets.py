"""Encoded frames to RTP payloads and back, for H.264 (RFC 6184) and VP8 (RFC 7741). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor

Codec = Literal["h264", "vp8"]
CODECS: tuple[Codec, ...] = ("h264", "vp8")

START_CODE = b"\x00\x00\x00\x01"

_IDR, _SPS, _STAP_A, _FU_A = 5, 7, 24, 28


def packetise(codec: Codec, data: bytes, picture_id: int) -> list[bytes]:
    """RTP payloads of one access unit: Annex B for H.264, a raw frame for VP8."""
    if codec == "vp8":
        return Vp8Encoder._packetize(data, picture_id)
    return H264Encoder._packetize(H264Encoder._split_bitstream(data))


def assemble(codec: Codec, payloads: Sequence[bytes]) -> bytes:
    """The access unit in contiguous payloads, Annex B for H.264; raises ValueError."""
    if codec == "vp8":
        return b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in payloads)
    parts: list[bytes] = []
    for payload in payloads:
        _depacketise_h264(payload, parts)
    return b"".join(parts)


def _depacketise_h264(payload: bytes, parts: list[bytes]) -> None:
    if len(payload) < 2:
        raise ValueError("H.264 payload is too short")
    kind = payload[0] & 0x1F
    if kind == _FU_A:
        header = payload[1]
        if header & 0x80:
            parts.append(START_CODE)
            parts.append(bytes([(payload[0] & 0xE0) | (header & 0x1F)]))
        elif not parts:
            raise ValueError("H.264 fragment without a start")
        parts.append(payload[2:])
    elif kind == _STAP_A:
        position, end = 1, len(payload)
        while position < end:
            size = int.from_bytes(payload[position : position + 2], "big")
            position += 2
            if size == 0 or position + size > end:
                raise ValueError("H.264 aggregation is truncated")
            parts.append(START_CODE)
            parts.append(payload[position : position + size])
            position += size
    elif 1 <= kind <= 23:
        parts.append(START_CODE)
        parts.append(payload)
    else:
        raise ValueError(f"H.264 payload type {kind} is not supported")


def starts_frame(codec: Codec, payload: bytes) -> bool:
    """Whether a payload can be the first of a frame (a later slice cannot be told apart)."""
    if len(payload) < 2:
        return False
    if codec == "vp8":
        return payload[0] & 0x1F == 0x10  # start of partition 0
    return payload[0] & 0x1F != _FU_A or bool(payload[1] & 0x80)


def is_keyframe(codec: Codec, data: bytes) -> bool:
    """Whether an assembled frame can be decoded with nothing before it."""
    if codec == "vp8":
        return len(data) > 0 and not data[0] & 1
    has_parameters = False
    position = data.find(b"\x00\x00\x01")
    while position >= 0 and position + 3 < len(data):
        kind = data[position + 3] & 0x1F
        if kind == _SPS:
            has_parameters = True
        elif kind == _IDR:
            return has_parameters
        elif kind == 1:
            return False
        position = data.find(b"\x00\x00\x01", position + 3)
    return False
