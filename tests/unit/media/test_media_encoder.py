"""The way of a picture through encoder and decoder, on real renderers and real codecs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import av
import numpy as np
import pytest

from system.media.convert import Converter
from system.media.decoder import DecodeError, VideoDecoder, luma
from system.media.encoder import BUFFER_S, EncodedFrame, VideoEncoder, open_encoder
from system.media.marker import TRAILER_BYTES, draw_block_code, read_block_code, read_marker
from system.media.project import Project
from system.media.quality import psnr, ssim
from system.media.renderers.base import Renderer
from system.media.renderers.chain import open_renderer
from system.media.scene import Scene

WIDTH, HEIGHT, FPS = 640, 360, 30
RATE = 1_200_000


class Pipeline:
    """Scene to encoded frame, as a worker's session does it."""

    def __init__(self, codec: str, renderer: Renderer, bitrate: int = RATE) -> None:
        self.scene = Scene(Project.default("demo"))
        self.renderer = renderer
        self.converter = Converter(WIDTH, HEIGHT)
        self.encoder: VideoEncoder = open_encoder(
            codec, WIDTH, HEIGHT, fps=FPS, bitrate_bps=bitrate
        )
        self.frame_id = 0

    def frame(self, *, block: bool = False, key: bool = False) -> EncodedFrame:
        picture = self.renderer.render(self.scene)
        if block:
            draw_block_code(picture, self.frame_id)
        encoded = self.encoder.encode(
            self.converter.frame(picture),
            frame_id=self.frame_id,
            capture_time_us=self.frame_id * 33_333,
            force_keyframe=key,
        )
        self.frame_id += 1
        return encoded


@pytest.fixture(scope="module")
def shared_renderer() -> Iterator[Renderer]:
    renderer = open_renderer(WIDTH, HEIGHT, ("tinydisplay", "painter"))
    yield renderer
    renderer.close()


@pytest.fixture
def pipeline(shared_renderer: Renderer) -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def make(codec: str, bitrate: int = RATE) -> Pipeline:
        made.append(Pipeline(codec, shared_renderer, bitrate))
        return made[-1]

    yield make
    for one in made:
        one.encoder.close()


def nal_types(data: bytes) -> list[int]:
    found, at = [], data.find(b"\x00\x00\x01")
    while at >= 0:
        found.append(data[at + 3] & 0x1F)
        at = data.find(b"\x00\x00\x01", at + 3)
    return found


def one_picture(decoder: VideoDecoder, data: bytes) -> np.ndarray:
    (frame,) = decoder.decode(data)
    return luma(frame)


codecs = pytest.mark.parametrize("codec", ["h264", "vp8"])


@codecs
def test_a_decoded_picture_is_nearer_to_its_own_scene_than_to_the_one_before(codec, pipeline):
    one, decoder = pipeline(codec), VideoDecoder(codec)
    before_seen = one_picture(decoder, one.frame().data)
    before = one.converter.luma.copy()
    one.scene.orbit(12, 0)
    after_seen = one_picture(decoder, one.frame().data)
    after = one.converter.luma.copy()
    for measure in (psnr, ssim):
        assert measure(before, before_seen) > measure(after, before_seen)
        assert measure(after, after_seen) > measure(before, after_seen)
    assert psnr(after, after_seen) > 25


@codecs
def test_bytes_and_block_code_name_every_frame_the_same(codec, pipeline):
    one, decoder = pipeline(codec, 400_000), VideoDecoder(codec)
    for number in range(100):
        one.scene.orbit(5, 1 if number % 20 < 10 else -1)
        encoded = one.frame(block=True)
        assert (encoded.frame_id, encoded.codec) == (number, codec)
        marker = read_marker(encoded.data, codec)
        assert marker is not None
        assert (marker.frame_id, marker.capture_time_us) == (number, number * 33_333)
        assert read_block_code(one_picture(decoder, encoded.data)) == number


def test_only_the_first_and_the_forced_frame_are_idrs_with_their_parameters(pipeline):
    one = pipeline("h264")
    for number in range(60):
        one.scene.orbit(20, 0)
        encoded = one.frame(key=number == 40)
        types = nal_types(encoded.data)
        if number in (0, 40):
            assert encoded.keyframe
            assert types.index(7) < types.index(8) < types.index(6) < types.index(5)
        else:
            assert not encoded.keyframe
            assert types == [6, 1]


def test_a_decoder_can_start_at_a_forced_keyframe(pipeline):
    for codec in ("h264", "vp8"):
        one = pipeline(codec)
        for _ in range(5):
            one.scene.orbit(20, 0)
            one.frame()
        seen = one_picture(VideoDecoder(codec), one.frame(key=True).data)
        assert psnr(one.converter.luma, seen) > 22


def test_h264_follows_a_new_bitrate_without_an_idr(pipeline):
    one = pipeline("h264", 2_000_000)
    rates = []
    for bitrate in (2_000_000, 500_000, 1_500_000):
        one.encoder.set_bitrate(bitrate)
        sizes = []
        for _ in range(40):
            one.scene.orbit(6, 0)
            encoded = one.frame()
            assert encoded.keyframe == (encoded.frame_id == 0)
            sizes.append(len(encoded.data))
        rates.append(sum(sizes[10:]) * 8 * FPS / 30)
        assert one.encoder.bitrate == bitrate
    assert rates[1] == pytest.approx(500_000, rel=0.2)
    assert rates[0] > 1.5 * rates[1] < 0.7 * rates[2]


def test_vp8_follows_a_new_bitrate_with_a_keyframe_and_ignores_small_steps(pipeline):
    one = pipeline("vp8", 2_000_000)
    keys, sizes = [], []
    for number in range(80):
        if number == 20:
            one.encoder.set_bitrate(1_900_000)
        if number == 40:
            one.encoder.set_bitrate(500_000)
        one.scene.orbit(6, 0)
        encoded = one.frame()
        sizes.append(len(encoded.data))
        keys += [number] if encoded.keyframe else []
    assert keys == [0, 40]
    assert sum(sizes[50:]) * 8 * FPS / 30 == pytest.approx(500_000, rel=0.35)


@codecs
def test_no_frame_is_much_larger_than_the_rate_buffer(codec, pipeline):
    one = pipeline(codec)
    sizes = []
    for number in range(60):
        one.scene.orbit(40, 3)
        sizes.append(len(one.frame(key=number == 30).data))
    assert max(sizes) * 8 <= 1.3 * RATE * BUFFER_S
    assert sum(sizes) * 8 * FPS / 60 <= 1.3 * RATE


@codecs
def test_a_still_scene_settles_to_a_better_picture_for_few_bytes(codec, pipeline):
    one, decoder = pipeline(codec, 400_000), VideoDecoder(codec)
    for _ in range(10):
        one.scene.orbit(15, 0)
        moving = one_picture(decoder, one.frame().data)
    marks = psnr(one.converter.luma, moving)
    for _ in range(40):
        encoded = one.frame()
        still = one_picture(decoder, encoded.data)
    assert psnr(one.converter.luma, still) > marks + 3
    assert len(encoded.data) * 8 * FPS < 400_000


@pytest.mark.parametrize("decoder_name", ["libvpx", "vp8"])
def test_a_vp8_decoder_gives_the_same_pictures_without_the_trailer(decoder_name, pipeline):
    one = pipeline("vp8")
    with_it, without = (av.CodecContext.create(decoder_name, "r") for _ in range(2))
    for number in range(40):
        one.scene.orbit(9, 2)
        data = one.frame(key=number == 20).data
        (a,) = with_it.decode(av.Packet(data))
        (b,) = without.decode(av.Packet(data[:-TRAILER_BYTES]))
        for plane_a, plane_b in zip(a.planes, b.planes, strict=True):
            assert bytes(plane_a) == bytes(plane_b)


@codecs
def test_garbage_is_a_decode_error_and_the_next_keyframe_heals(codec, pipeline):
    one, decoder = pipeline(codec), VideoDecoder(codec)
    one_picture(decoder, one.frame().data)
    for garbage in (b"", b"\x00\x00\x00\x01\x67" if codec == "h264" else b"\x00\x01"):
        with pytest.raises(DecodeError):
            decoder.decode(garbage)
    seen = one_picture(decoder, one.frame(key=True).data)
    assert psnr(one.converter.luma, seen) > 25


def test_hardware_that_is_not_there_falls_back_to_software(caplog):
    with caplog.at_level("INFO"):
        encoder = open_encoder(
            "h264", WIDTH, HEIGHT, fps=FPS, bitrate_bps=RATE, prefer=("h264_nvenc",)
        )
    refused = [r.fields["encoder"] for r in caplog.records if r.message == "encoder.refused"]
    assert (encoder.name, refused) in (("libx264", ["h264_nvenc"]), ("h264_nvenc", []))
    encoder.close()


def test_wrong_sizes_names_and_closed_encoders_are_errors():
    with pytest.raises(ValueError, match="unknown codec"):
        open_encoder("mpeg2", WIDTH, HEIGHT, fps=FPS, bitrate_bps=RATE)
    with pytest.raises(ValueError, match="unknown codec"):
        VideoDecoder("mpeg2")
    encoder = open_encoder("h264", WIDTH, HEIGHT, fps=FPS, bitrate_bps=RATE)
    with pytest.raises(ValueError, match="not a yuv420p frame"):
        encoder.encode(av.VideoFrame(320, 180, "yuv420p"), frame_id=0, capture_time_us=0)
    encoder.close()
    encoder.close()
    with pytest.raises(RuntimeError, match="closed"):
        encoder.encode(av.VideoFrame(WIDTH, HEIGHT, "yuv420p"), frame_id=0, capture_time_us=0)


def test_a_converted_frame_shares_the_converters_buffer():
    converter = Converter(64, 32)
    frame = converter.frame(np.full((32, 64, 4), 255, dtype=np.uint8))
    assert luma(frame).min() == 235
    converter.i420(np.zeros((32, 64, 4), dtype=np.uint8))
    assert luma(frame).max() == 16
    with pytest.raises(ValueError, match="picture is"):
        converter.i420(np.zeros((16, 64, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match="even"):
        Converter(63, 32)
