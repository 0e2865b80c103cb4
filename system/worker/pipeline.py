"""Owns one session's way from a scene to an encoded frame. Blocking: belongs in a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass

from system.media.convert import Converter
from system.media.encoder import EncodedFrame, VideoEncoder, open_encoder
from system.media.renderers.base import Renderer
from system.media.scene import Scene


@dataclass(frozen=True, slots=True)
class Shot:
    """What one frame is to be."""

    scene: Scene
    frame_id: int
    keyframe: bool
    bitrate_bps: int
    block_code: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A frame, and the seconds that rendering it took."""

    encoded: EncodedFrame
    render_s: float


class FramePipeline:
    """Renderer, colour conversion and encoder of one session; one caller at a time.

    ``warm`` is the renderer's and ``use`` the encoder's: these two may overlap.
    """

    def __init__(self, renderer: Renderer, *, fps: int, prefer: tuple[str, ...] = ()) -> None:
        self._renderer = renderer
        self._converter = Converter(renderer.width, renderer.height)
        self._fps = fps
        self._prefer = prefer
        self._encoder: VideoEncoder | None = None

    def warm(self, scene: Scene) -> None:
        """Render a scene for the first time, before somebody waits for it."""
        self._renderer.look(scene)

    def use(self, codec: str, bitrate_bps: int) -> str:
        """Have an encoder for ``codec``; the name of the implementation.

        Raises EncoderUnavailable.
        """
        if self._encoder is None or self._encoder.codec != codec:
            self.close()
            self._encoder = open_encoder(
                codec,
                self._renderer.width,
                self._renderer.height,
                fps=self._fps,
                bitrate_bps=bitrate_bps,
                prefer=self._prefer,
            )
        return self._encoder.name

    def make(self, shot: Shot) -> Made:
        """Render and encode; the capture time is when rendering begins (monotonic)."""
        encoder = self._encoder
        if encoder is None:
            raise RuntimeError("no encoder is open")
        began_ns = time.monotonic_ns()
        picture = self._renderer.look(shot.scene)
        rendered_ns = time.monotonic_ns()
        if encoder.bitrate != shot.bitrate_bps:
            encoder.set_bitrate(shot.bitrate_bps)
        encoded = encoder.encode(
            self._converter.frame(picture, block_code=shot.frame_id if shot.block_code else None),
            frame_id=shot.frame_id,
            capture_time_us=began_ns // 1000,
            force_keyframe=shot.keyframe,
        )
        return Made(encoded, (rendered_ns - began_ns) / 1e9)

    def close(self) -> None:
        """Drop the encoder; the renderer is borrowed and stays."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
