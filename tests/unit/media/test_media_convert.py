from __future__ import annotations

import numpy as np
import pytest

from system.media.convert import Converter
from system.media.marker import draw_block_code, read_block_code

WIDTH, HEIGHT = 320, 180


@pytest.fixture
def picture() -> np.ndarray:
    """Noise, whose rows come in equal pairs: which of a pair gives the chroma is all one."""
    half = np.random.default_rng(5).integers(0, 256, (HEIGHT // 2, WIDTH, 4), dtype=np.uint8)
    return half.repeat(2, axis=0)


def upside_down(picture: np.ndarray) -> np.ndarray:
    """The same picture, last row first in memory."""
    turned = np.ascontiguousarray(picture[::-1])[::-1]
    turned.flags.writeable = False
    return turned


def test_a_picture_that_lies_last_row_first_gives_the_same_planes(picture: np.ndarray) -> None:
    planes = Converter(WIDTH, HEIGHT).i420(picture)
    turned = upside_down(picture)
    assert turned.strides[0] < 0
    assert np.array_equal(turned, picture)
    assert np.array_equal(Converter(WIDTH, HEIGHT).i420(turned), planes)


@pytest.mark.parametrize("lie", [np.asarray, upside_down])
def test_the_block_code_in_the_planes_is_that_of_the_picture(picture: np.ndarray, lie) -> None:
    drawn = picture.copy()
    draw_block_code(drawn, 123_456)
    expected = Converter(WIDTH, HEIGHT).i420(drawn)
    converter = Converter(WIDTH, HEIGHT)
    frame = converter.frame(lie(picture), block_code=123_456)
    assert np.array_equal(frame.to_ndarray(), expected)
    assert read_block_code(converter.luma) == 123_456


def test_a_picture_of_another_size_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture is"):
        Converter(WIDTH, HEIGHT + 2).i420(picture)


@pytest.mark.parametrize("height", [180, 182])
def test_a_frame_has_every_row_of_the_picture(height: int) -> None:
    picture = np.zeros((height, WIDTH, 4), np.uint8)
    picture[-2:] = 255
    converter = Converter(WIDTH, height)
    frame = converter.frame(picture)
    assert (frame.width, frame.height) == (WIDTH, height)
    assert np.array_equal(frame.to_ndarray(), converter.i420(picture))
