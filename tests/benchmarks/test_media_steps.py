"""What each step of a frame costs, beside the step that a plain aiortc worker takes instead.

The scene turns by a few degrees a frame, as under a hand; one thread, wall time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest
from aiortc.codecs.h264 import H264Encoder
from pytest_benchmark.fixture import BenchmarkFixture

from system.media.convert import Converter
from system.media.decoder import VideoDecoder, luma
from system.media.encoder import VideoEncoder, open_encoder
from system.media.marker import (
    FrameMarker,
    draw_block_code,
    insert_marker,
    read_block_code,
    read_marker,
)
from system.media.project import Project
from system.media.quality import psnr
from system.media.renderers.base import Renderer, RendererUnavailable
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene

WIDTH, HEIGHT, FPS, BITRATE_BPS = 1280, 720, 30, 2_500_000
DEGREES = 4.0
ROUNDS = 40

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """A turn of the camera, rendered beforehand; BGRA."""
    renderer, scene = open_renderer(WIDTH, HEIGHT), _scene()
    made = []
    for _ in range(ROUNDS + 10):
        scene.orbit(DEGREES, 0.0)
        made.append(renderer.render(scene).copy())
    renderer.close()
    return made


def _scene() -> Scene:
    return Scene(Project.default("benchmark"))


def _in_turn(pictures: list[Picture]) -> Iterator[Picture]:
    while True:
        yield from pictures


@pytest.mark.parametrize("name", ["tinydisplay", "painter"])
@pytest.mark.benchmark(group="render 1280x720")
def test_render(benchmark: BenchmarkFixture, name: str) -> None:
    try:
        renderer: Renderer = open_renderer(WIDTH, HEIGHT, (name,))
    except RendererUnavailable as error:
        pytest.skip(str(error))
    scene = _scene()

    def step() -> Picture:
        scene.orbit(DEGREES, 0.0)
        return renderer.render(scene)

    picture = benchmark.pedantic(step, rounds=ROUNDS, warmup_rounds=5)
    assert picture[..., :3].std() > 5
    renderer.close()


@pytest.mark.benchmark(group="convert to I420")
def test_convert_ours(benchmark: BenchmarkFixture, pictures: list[Picture]) -> None:
    converter = Converter(WIDTH, HEIGHT)
    frame = benchmark.pedantic(converter.frame, (pictures[0],), rounds=ROUNDS, warmup_rounds=5)
    assert frame.format.name == "yuv420p"


@pytest.mark.benchmark(group="convert to I420")
def test_convert_from_ndarray_and_reformat(
    benchmark: BenchmarkFixture, pictures: list[Picture]
) -> None:
    def step() -> av.VideoFrame:
        bgr = np.ascontiguousarray(pictures[0][..., :3])
        return av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv420p")

    frame = benchmark.pedantic(step, rounds=ROUNDS, warmup_rounds=5)
    assert frame.format.name == "yuv420p"


@pytest.mark.parametrize("codec", ["h264", "vp8"])
@pytest.mark.benchmark(group="encode 1280x720 in motion")
def test_encode_ours(benchmark: BenchmarkFixture, pictures: list[Picture], codec: str) -> None:
    encoder = open_encoder(codec, WIDTH, HEIGHT, fps=FPS, bitrate_bps=BITRATE_BPS)
    converter, turn = Converter(WIDTH, HEIGHT), _in_turn(pictures)
    sizes: list[int] = []

    def step(frame: av.VideoFrame) -> None:
        encoded = encoder.encode(frame, frame_id=len(sizes), capture_time_us=0)
        sizes.append(len(encoded.data))

    benchmark.pedantic(
        step,
        setup=lambda: ((converter.frame(next(turn)),), {}),
        rounds=ROUNDS,
        warmup_rounds=5,
    )
    _say_bitrate(benchmark, sizes)
    encoder.close()


@pytest.mark.benchmark(group="encode 1280x720 in motion")
def test_encode_aiortc_h264(benchmark: BenchmarkFixture, pictures: list[Picture]) -> None:
    """With aiortc's own settings, but for the bitrate, which is ours; conversion not counted."""
    encoder = H264Encoder()
    encoder.target_bitrate = BITRATE_BPS
    converter, turn = Converter(WIDTH, HEIGHT), _in_turn(pictures)
    sizes: list[int] = []

    def frame() -> av.VideoFrame:
        made = converter.frame(next(turn))
        made.pts, made.time_base = len(sizes), Fraction(1, FPS)
        return made

    def step(made: av.VideoFrame) -> None:
        payloads, _ = encoder.encode(made)
        sizes.append(sum(map(len, payloads)))

    benchmark.pedantic(step, setup=lambda: ((frame(),), {}), rounds=ROUNDS, warmup_rounds=5)
    _say_bitrate(benchmark, sizes)


def _say_bitrate(benchmark: BenchmarkFixture, sizes: list[int]) -> None:
    """The first second holds the key frame and is left out."""
    steady = sizes[len(sizes) // 2 :]
    benchmark.extra_info["bitrate_mbps"] = 8 * FPS * sum(steady) / len(steady) / 1e6
    assert min(sizes) > 0


@pytest.fixture
def encoder() -> Iterator[VideoEncoder]:
    opened = open_encoder("h264", WIDTH, HEIGHT, fps=FPS, bitrate_bps=BITRATE_BPS)
    yield opened
    opened.close()


@pytest.fixture
def encoded(encoder: VideoEncoder, pictures: list[Picture]) -> list[bytes]:
    converter = Converter(WIDTH, HEIGHT)
    return [
        encoder.encode(converter.frame(picture), frame_id=i, capture_time_us=i).data
        for i, picture in enumerate(pictures)
    ]


@pytest.mark.benchmark(group="decode 1280x720 in motion")
def test_decode(benchmark: BenchmarkFixture, encoded: list[bytes]) -> None:
    decoder, frames = VideoDecoder("h264"), iter(encoded)
    shown = benchmark.pedantic(
        decoder.decode, setup=lambda: ((next(frames),), {}), rounds=ROUNDS, warmup_rounds=5
    )
    assert len(shown) == 1
    decoder.close()


@pytest.mark.benchmark(group="mark a frame")
def test_insert_sei(benchmark: BenchmarkFixture, encoded: list[bytes]) -> None:
    marker = FrameMarker(7, time.monotonic_ns() // 1000)
    marked = benchmark.pedantic(
        insert_marker, (encoded[5], "h264", marker), rounds=ROUNDS, iterations=20
    )
    assert len(marked) > len(encoded[5])


@pytest.mark.benchmark(group="mark a frame")
def test_read_sei(benchmark: BenchmarkFixture, encoded: list[bytes]) -> None:
    marker = benchmark.pedantic(read_marker, (encoded[5], "h264"), rounds=ROUNDS, iterations=20)
    assert marker == FrameMarker(5, 5)


@pytest.mark.benchmark(group="mark a frame")
def test_draw_block_code(benchmark: BenchmarkFixture, pictures: list[Picture]) -> None:
    picture = pictures[0].copy()
    benchmark.pedantic(draw_block_code, (picture, 77), rounds=ROUNDS, iterations=20)
    assert read_block_code(picture[..., 1]) == 77


@pytest.mark.benchmark(group="mark a frame")
def test_read_block_code(benchmark: BenchmarkFixture, pictures: list[Picture]) -> None:
    picture = pictures[0].copy()
    draw_block_code(picture, 77)
    plane = np.ascontiguousarray(picture[..., 1])
    assert benchmark.pedantic(read_block_code, (plane,), rounds=ROUNDS, iterations=20) == 77


@pytest.mark.benchmark(group="judge a picture")
def test_psnr(benchmark: BenchmarkFixture, pictures: list[Picture], encoded: list[bytes]) -> None:
    (shown,) = VideoDecoder("h264").decode(encoded[0])
    converter = Converter(WIDTH, HEIGHT)
    converter.i420(pictures[0])
    value = benchmark.pedantic(psnr, (converter.luma, luma(shown)), rounds=ROUNDS, warmup_rounds=2)
    assert value > 25
