"""Owns the mark that says which frame a picture is: in the stream's bytes and in its pixels.

In H.264 the mark is an SEI message `user_data_unregistered` (ITU-T H.264 D.1.7) with our UUID.
VP8 has no such message: there the mark is a trailer behind the last partition, whose boolean
decoder (RFC 6386, section 7) stops when the last macroblock is read and never looks at the rest;
tests show that libvpx and FFmpeg decode the same pictures with and without it.

Both carry, behind the 16-byte UUID: frame id (4 bytes) and capture time in us (8), big-endian.

The block code is a strip in the picture's top left corner, for streams whose bytes somebody
re-encodes: 2 rows of 16 blocks of one macroblock each, black or white, holding 24 bits of frame
id and a CRC-8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MARKER_UUID = bytes.fromhex("b1f6c34a7d9e4e5f9a2c5d0e86a1f3c7")

MAX_FRAME_ID = 2**32 - 1
MAX_TIME_US = 2**64 - 1

_BODY = struct.Struct(">IQ")
TRAILER_BYTES = len(MARKER_UUID) + _BODY.size
_SEI_HEAD = bytes([0x06, 0x05, TRAILER_BYTES])  # NAL type 6, payload type 5, its size
_START = b"\x00\x00\x00\x01"
_MAX_ESCAPED = _BODY.size * 3 // 2 + 1


@dataclass(frozen=True)
class FrameMarker:
    """`frame_id` counts up by one; `capture_time_us` is on the sender's clock."""

    frame_id: int
    capture_time_us: int

    def __post_init__(self) -> None:
        if not 0 <= self.frame_id <= MAX_FRAME_ID:
            raise ValueError(f"frame id {self.frame_id} is not within 32 bits")
        if not 0 <= self.capture_time_us <= MAX_TIME_US:
            raise ValueError(f"capture time {self.capture_time_us} is not within 64 bits")


def sei_nal(marker: FrameMarker) -> bytes:
    """The marker as one SEI NAL unit with its Annex B start code."""
    body = MARKER_UUID + _BODY.pack(marker.frame_id, marker.capture_time_us)
    return _START + _SEI_HEAD + _escape(body) + b"\x80"


def vp8_trailer(marker: FrameMarker) -> bytes:
    """The marker as the bytes to append to a VP8 frame."""
    return MARKER_UUID + _BODY.pack(marker.frame_id, marker.capture_time_us)


def insert_marker(access_unit: bytes, codec: str, marker: FrameMarker) -> bytes:
    """The encoded frame with its marker: before the first slice (H.264), behind all (VP8)."""
    if codec != "h264":
        return access_unit + vp8_trailer(marker)
    at = _first_slice(access_unit)
    return access_unit[:at] + sei_nal(marker) + access_unit[at:]


def read_marker(access_unit: bytes, codec: str) -> FrameMarker | None:
    """The marker of an encoded frame; None without one. Foreign SEI messages are skipped.

    For H.264 the beginning of a frame is enough; for VP8 it takes the end.
    """
    if codec == "h264":
        return read_marker_from_payload(access_unit)
    if access_unit[-TRAILER_BYTES : -_BODY.size] != MARKER_UUID:
        return None
    return FrameMarker(*_BODY.unpack_from(access_unit, len(access_unit) - _BODY.size))


def read_marker_from_payload(payload: bytes) -> FrameMarker | None:
    """The H.264 marker in part of a frame: Annex B bytes, a single NAL unit, or a STAP-A.

    A frame's first RTP payload is enough, for the marker precedes the first slice. The UUID
    holds no zero bytes, so that it looks the same escaped and is found by one search.
    """
    at = payload.find(MARKER_UUID)
    while at >= 0:
        if payload[max(at - 3, 0) : at] == _SEI_HEAD:
            start = at + len(MARKER_UUID)
            body = _unescape(payload[start : start + _MAX_ESCAPED + 4])
            if len(body) < _BODY.size:
                return None
            return FrameMarker(*_BODY.unpack_from(body))
        at = payload.find(MARKER_UUID, at + 1)
    return None


def _first_slice(access_unit: bytes) -> int:
    """Where the start code of the first slice (NAL types 1 to 5) begins."""
    at = access_unit.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(access_unit):
        if 1 <= access_unit[at + 3] & 0x1F <= 5:
            return at - 1 if at > 0 and access_unit[at - 1] == 0 else at
        at = access_unit.find(b"\x00\x00\x01", at + 3)
    raise ValueError("the access unit holds no slice")


def _escape(data: bytes) -> bytes:
    """Emulation prevention: no 00 00 0x with x < 4 in a NAL unit (H.264 7.4.1)."""
    out = bytearray()
    zeros = 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _unescape(data: bytes) -> bytes:
    out = bytearray()
    zeros = 0
    for byte in data:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


BLOCK_PX = 16
_BLOCK_ROWS, _BLOCK_COLUMNS = 2, 16
BLOCK_CODE_HEIGHT, BLOCK_CODE_WIDTH = _BLOCK_ROWS * BLOCK_PX, _BLOCK_COLUMNS * BLOCK_PX
BLOCK_CODE_IDS = 1 << 24
_CORE = slice(BLOCK_PX // 4, -BLOCK_PX // 4)
_MIDDLE, _SURE = 126.0, 30.0  # limited-range luma: black 16, white 235
_WEIGHTS = 1 << np.arange(31, -1, -1, dtype=np.uint64)


def draw_block_code(bgra: npt.NDArray[np.uint8], frame_id: int) -> None:
    """Draw the code of `frame_id` modulo 2**24 over the picture's top left corner, in place."""
    strip = block_strip(frame_id, bgra.shape[1], bgra.shape[0])
    bgra[:BLOCK_CODE_HEIGHT, :BLOCK_CODE_WIDTH, :3] = strip[:, :, None] * np.uint8(255)


def block_strip(frame_id: int, width: int, height: int) -> npt.NDArray[np.bool_]:
    """The code of a picture of that size: which of the top left corner's pixels are white."""
    if height < BLOCK_CODE_HEIGHT or width < BLOCK_CODE_WIDTH:
        raise ValueError(f"a picture of {width}x{height} has no room for the code")
    number = frame_id % BLOCK_CODE_IDS
    word = number << 8 | _crc8(number)
    bits = np.array([word >> shift & 1 for shift in range(31, -1, -1)], dtype=np.bool_)
    blocks = bits.reshape(_BLOCK_ROWS, _BLOCK_COLUMNS)
    return blocks.repeat(BLOCK_PX, axis=0).repeat(BLOCK_PX, axis=1)


def read_block_code(luma: npt.NDArray[np.uint8]) -> int | None:
    """The frame id modulo 2**24 drawn in a picture's luma; None where it is not there or unsure."""
    if luma.shape[0] < BLOCK_CODE_HEIGHT or luma.shape[1] < BLOCK_CODE_WIDTH:
        return None
    strip = luma[:BLOCK_CODE_HEIGHT, :BLOCK_CODE_WIDTH]
    blocks = strip.reshape(_BLOCK_ROWS, BLOCK_PX, _BLOCK_COLUMNS, BLOCK_PX)
    levels = blocks[:, _CORE, :, _CORE].mean(axis=(1, 3)).ravel() - _MIDDLE
    if float(np.abs(levels).min()) < _SURE:
        return None
    word = int(_WEIGHTS[levels > 0].sum())
    number = word >> 8
    return number if _crc8(number) == word & 0xFF else None


def _crc8(number: int) -> int:
    """CRC-8 (polynomial 0x07) of 24 bits, started at 0x5A so that no plain strip is a code."""
    crc = 0x5A
    for byte in number.to_bytes(3, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
