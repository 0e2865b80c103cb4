from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.media.marker import (
    BLOCK_CODE_HEIGHT,
    BLOCK_CODE_IDS,
    BLOCK_CODE_WIDTH,
    MARKER_UUID,
    FrameMarker,
    draw_block_code,
    insert_marker,
    read_block_code,
    read_marker,
    read_marker_from_payload,
    sei_nal,
)

SLICE = b"\x00\x00\x00\x01\x65" + bytes(range(1, 90))
PARAMETERS = b"\x00\x00\x00\x01\x67\x42\xe0\x1f\x00\x00\x00\x01\x68\xce\x3c\x80"
FOREIGN = b"\x00\x00\x01\x06\x05\x14" + b"\xdc\x45\xe9\xbd\xe6\xd9\x48\xb7" * 2 + b"x264\x80"

markers = st.builds(FrameMarker, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))


@given(markers)
def test_every_marker_is_read_back_from_its_sei(marker):
    assert read_marker(PARAMETERS + FOREIGN + sei_nal(marker) + SLICE, "h264") == marker


@given(markers)
def test_no_marker_looks_like_a_start_code(marker):
    body = sei_nal(marker)[4:]
    assert not any(b"\x00\x00" + bytes([x]) in body for x in range(3))
    assert not body.endswith(b"\x00")


@given(markers)
def test_a_marker_goes_before_the_first_slice_and_behind_the_parameters(marker):
    unit = insert_marker(PARAMETERS + FOREIGN + SLICE, "h264", marker)
    assert unit == PARAMETERS + FOREIGN + sei_nal(marker) + SLICE


@given(markers, st.binary(max_size=200))
def test_a_vp8_marker_is_read_from_the_end(marker, frame):
    assert read_marker(insert_marker(frame, "vp8", marker), "vp8") == marker


def test_the_marker_is_found_in_a_single_nal_and_in_a_stap_a():
    marker = FrameMarker(5, 2**40)
    nal = sei_nal(marker)[4:]
    assert read_marker_from_payload(nal) == marker
    aggregated = b"\x78" + b"".join(struct.pack(">H", len(n)) + n for n in (b"\x67\x42", nal))
    assert read_marker_from_payload(aggregated) == marker


def test_foreign_and_cut_messages_are_no_marker():
    nal = sei_nal(FrameMarker(1, 2))
    assert read_marker(PARAMETERS + FOREIGN + SLICE, "h264") is None
    assert read_marker_from_payload(nal[:-6]) is None
    assert read_marker(MARKER_UUID + bytes(12) + SLICE, "h264") is None, "not inside an SEI"
    assert read_marker(SLICE, "vp8") is None


@given(st.binary(max_size=64), st.sampled_from(["h264", "vp8"]))
def test_reading_never_raises(data, codec):
    read_marker(data, codec)
    read_marker(data + MARKER_UUID + data, codec)


def test_numbers_that_do_not_fit_are_refused():
    for frame_id, time_us in ((-1, 0), (2**32, 0), (0, -1), (0, 2**64)):
        with pytest.raises(ValueError, match="within"):
            FrameMarker(frame_id, time_us)


def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (64, 320, 4), dtype=np.uint8)


@given(st.integers(0, 2**40))
def test_every_block_code_is_read_back(frame_id):
    bgra = picture()
    draw_block_code(bgra, frame_id)
    assert read_block_code(bgra[:, :, 0]) == frame_id % BLOCK_CODE_IDS


def test_a_picture_without_a_code_holds_none():
    assert read_block_code(picture()[:, :, 0]) is None
    for level in (0, 126, 255):
        assert read_block_code(np.full((64, 320), level, dtype=np.uint8)) is None
    assert read_block_code(np.zeros((20, 20), dtype=np.uint8)) is None


def test_a_flipped_block_is_noticed():
    for block in range(32):
        bgra = picture()
        draw_block_code(bgra, 123_456)
        y, x = block // 16 * 16, block % 16 * 16
        bgra[y : y + 16, x : x + 16] = 255 - bgra[y : y + 16, x : x + 16]
        assert read_block_code(bgra[:, :, 0]) is None


def test_the_code_stays_in_its_corner_and_needs_room():
    before, bgra = picture(), picture()
    draw_block_code(bgra, 1)
    bgra[:BLOCK_CODE_HEIGHT, :BLOCK_CODE_WIDTH] = before[:BLOCK_CODE_HEIGHT, :BLOCK_CODE_WIDTH]
    assert np.array_equal(bgra, before)
    with pytest.raises(ValueError, match="no room"):
        draw_block_code(np.zeros((64, 200, 4), dtype=np.uint8), 1)
