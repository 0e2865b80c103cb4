"""Owns encoding of one stream: a picture in, exactly one encoded and marked frame out, at once.

Errors::

    EncoderUnavailable(RuntimeError)    no encoder of the asked names opens here
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
from av.video.frame import PictureType

from system.media.marker import FrameMarker, insert_marker
from system.telemetry import logs

_log = logs.get(__name__)

BUFFER_S = 0.2
"""Depth of the rate control's buffer: no frame is larger than what the rate carries in it."""
MIN_BITRATE_BPS = 50_000
VP8_REOPEN_SHARE = 0.15

_BT601 = {"colorspace": "smpte170m", "color_primaries": "smpte170m", "color_trc": "smpte170m"}
_INFINITE_GOP = 1 << 30


class EncoderUnavailable(RuntimeError):
    """No encoder opens; the message says why each was refused."""


@dataclass(frozen=True)
class EncodedFrame:
    """One encoded frame with its marker in it; H.264 is an Annex B access unit."""

    data: bytes
    codec: str
    keyframe: bool
    frame_id: int
    capture_time_us: int
    encode_s: float


class VideoEncoder(ABC):
    """One stream's encoder. One caller at a time, from any thread."""

    codec: str
    name: str
    """FFmpeg's name of the implementation, for logs and run.json."""

    @abstractmethod
    def encode(
        self,
        frame: av.VideoFrame,
        *,
        frame_id: int,
        capture_time_us: int,
        force_keyframe: bool = False,
    ) -> EncodedFrame:
        """Encode a yuv420p frame of the encoder's size; its pixels are free again afterwards."""

    @abstractmethod
    def set_bitrate(self, bps: int) -> None:
        """Aim at another bitrate from the next frame on."""

    @property
    @abstractmethod
    def bitrate(self) -> int:
        """The bitrate aimed at, bits per second."""

    @abstractmethod
    def close(self) -> None:
        """Drop the encoder; closing twice is fine, encoding afterwards is a RuntimeError."""


def open_encoder(
    codec: str,
    width: int,
    height: int,
    *,
    fps: int,
    bitrate_bps: int,
    prefer: Sequence[str] = (),
) -> VideoEncoder:
    """An encoder for `codec` ("h264" or "vp8").

    `prefer` names implementations to try first, for example ("h264_nvenc",): each is probed by
    opening it and encoding a frame, which is the only answer that counts. The software encoder
    is always the last.
    """
    known = _IMPLEMENTATIONS.get(codec)
    if known is None:
        raise ValueError(f"unknown codec {codec!r}; known: {', '.join(_IMPLEMENTATIONS)}")
    software = next(reversed(known))
    names = [*(name for name in prefer if name in known and name != software), software]
    refused: dict[str, str] = {}
    for name in names:
        make = known[name]
        try:
            encoder = _AvEncoder(codec, name, make, width, height, fps, bitrate_bps)
            if name != software:
                _probe(codec, name, make, width, height, fps, bitrate_bps)
        except (av.error.FFmpegError, ValueError) as error:
            refused[name] = str(error)
            _log.info("encoder.refused", encoder=name, reason=str(error))
            continue
        _log.info("encoder.opened", encoder=name, width=width, height=height)
        return encoder
    raise EncoderUnavailable("; ".join(f"{name}: {why}" for name, why in refused.items()))


Options = Callable[[int], dict[str, str]]


def _x264(bitrate_bps: int) -> dict[str, str]:
    # Opened as CBR, not as capped CRF: PyAV can change `bit_rate` on an open encoder and nothing
    # else, and x264 then follows without an IDR. qmin caps the quality as CRF would.
    return {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "qmin": "18",
        "maxrate": str(bitrate_bps),
        "bufsize": str(round(bitrate_bps * BUFFER_S)),
        **_BT601,
    }


def _nvenc(bitrate_bps: int) -> dict[str, str]:
    return {
        "preset": "p1",
        "tune": "ull",
        "profile": "baseline",
        "rc": "cbr",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",
        "bufsize": str(round(bitrate_bps * BUFFER_S)),
        **_BT601,
    }


def _libvpx(bitrate_bps: int) -> dict[str, str]:
    return {
        "deadline": "realtime",
        "cpu-used": "-12",
        "lag-in-frames": "0",
        "auto-alt-ref": "0",
        "error-resilient": "default",
        "qmin": "4",
        "minrate": str(bitrate_bps),
        "maxrate": str(bitrate_bps),
        "bufsize": str(round(bitrate_bps * BUFFER_S)),
    }


_IMPLEMENTATIONS: dict[str, dict[str, Options]] = {
    "h264": {"h264_nvenc": _nvenc, "libx264": _x264},
    "vp8": {"libvpx": _libvpx},
}


class _AvEncoder(VideoEncoder):
    """FFmpeg's encoders, set up for zero delay: no look-ahead, no reordering, one thread.

    libvpx behind FFmpeg cannot change its bitrate: VP8 is reopened (and so sends a key frame)
    when the aim moves by more than `VP8_REOPEN_SHARE`.
    """

    def __init__(
        self,
        codec: str,
        name: str,
        options: Options,
        width: int,
        height: int,
        fps: int,
        bitrate_bps: int,
    ) -> None:
        if width % 2 or height % 2 or width <= 0 or height <= 0 or fps <= 0:
            raise ValueError(f"cannot encode {width}x{height} at {fps} fps")
        self.codec, self.name = codec, name
        self._options = options
        self._size = width, height
        self._fps = fps
        self._bitrate = max(bitrate_bps, MIN_BITRATE_BPS)
        self._frames = 0
        self._context: av.VideoCodecContext | None = self._open()

    @property
    def bitrate(self) -> int:
        return self._bitrate

    def set_bitrate(self, bps: int) -> None:
        self._bitrate = max(bps, MIN_BITRATE_BPS)
        if self._context is None:
            return
        if self.codec == "h264":
            self._context.bit_rate = self._bitrate
        elif abs(self._bitrate / self._opened_bps - 1) > VP8_REOPEN_SHARE:
            self._context = self._open()

    def encode(
        self,
        frame: av.VideoFrame,
        *,
        frame_id: int,
        capture_time_us: int,
        force_keyframe: bool = False,
    ) -> EncodedFrame:
        context = self._context
        if context is None:
            raise RuntimeError("the encoder is closed")
        if (frame.width, frame.height) != self._size or frame.format.name != "yuv420p":
            raise ValueError(f"not a yuv420p frame of {self._size}: {frame}")
        marker = FrameMarker(frame_id, capture_time_us)
        started = time.perf_counter()
        frame.pts = self._frames
        frame.time_base = Fraction(1, self._fps)
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        self._frames += 1
        packets = context.encode(frame)
        if len(packets) != 1:
            raise RuntimeError(f"{self.name} gave {len(packets)} packets for one frame")
        data = insert_marker(bytes(packets[0]), self.codec, marker)
        return EncodedFrame(
            data=data,
            codec=self.codec,
            keyframe=packets[0].is_keyframe,
            frame_id=frame_id,
            capture_time_us=capture_time_us,
            encode_s=time.perf_counter() - started,
        )

    def close(self) -> None:
        self._context = None

    def _open(self) -> av.VideoCodecContext:
        context = av.CodecContext.create(self.name, "w")
        if not isinstance(context, av.VideoCodecContext):
            raise ValueError(f"{self.name} is not a video encoder")
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, self._fps)
        context.framerate = Fraction(self._fps)
        context.bit_rate = self._opened_bps = self._bitrate
        context.gop_size = _INFINITE_GOP
        context.max_b_frames = 0
        context.thread_count = 1
        context.options = self._options(self._bitrate)
        context.open()
        return context


def _probe(
    codec: str, name: str, options: Options, width: int, height: int, fps: int, bitrate_bps: int
) -> None:
    """Encode one grey frame on an encoder of its own, or raise what it raises."""
    probe = _AvEncoder(codec, name, options, width, height, fps, bitrate_bps)
    try:
        frame = av.VideoFrame(width, height, "yuv420p")
        probe.encode(frame, frame_id=0, capture_time_us=0)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    finally:
        probe.close()
