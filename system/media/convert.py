"""Owns the colour step between renderer and encoder: BGRA to I420 (BT.601, limited range)."""

from __future__ import annotations

import av
import cv2
import numpy as np
import numpy.typing as npt

from system.media.marker import block_strip

Planes = npt.NDArray[np.uint8]

_BLACK, _WHITE, _GREY = np.uint8(16), np.uint8(235), np.uint8(128)


class Converter:
    """Converts pictures of one size into one preallocated buffer, and copies nothing after that.

    Of a picture that lies last row first the planes are turned over, a third of its bytes: its
    luma is the same; its chroma is that of the lower row of each pair, not of the upper.

    The buffer, and every `av.VideoFrame` made over it, shows the latest picture: encode a frame
    before converting the next. One converter per session.
    """

    def __init__(self, width: int, height: int) -> None:
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise ValueError(f"I420 needs an even size, not {width}x{height}")
        self.width = width
        self.height = height
        self._planes: Planes = np.empty((height * 3 // 2, width), dtype=np.uint8)
        self._turned: Planes = np.empty_like(self._planes)

    def i420(self, bgra: Planes) -> Planes:
        """Y, U and V stacked, shape (height * 3 / 2, width); the converter's own buffer."""
        if bgra.shape != (self.height, self.width, 4):
            raise ValueError(f"picture is {bgra.shape}, not {(self.height, self.width, 4)}")
        if bgra.strides[0] > 0:
            cv2.cvtColor(bgra, cv2.COLOR_BGRA2YUV_I420, dst=self._planes)
            return self._planes
        cv2.cvtColor(bgra[::-1], cv2.COLOR_BGRA2YUV_I420, dst=self._turned)
        np.copyto(self.luma, self._turned[: self.height][::-1])
        np.copyto(self._chroma(self._planes), self._chroma(self._turned)[:, ::-1])
        return self._planes

    def frame(self, bgra: Planes, *, block_code: int | None = None) -> av.VideoFrame:
        """The picture as a yuv420p frame over the converter's buffer.

        ``block_code``: the frame id to draw into it, see `marker.draw_block_code`.
        """
        planes = self.i420(bgra)
        if block_code is not None:
            strip = block_strip(block_code, bgra.shape[1], bgra.shape[0])
            high, wide = strip.shape
            self.luma[:high, :wide] = np.where(strip, _WHITE, _BLACK)
            self._chroma(planes)[:, : high // 2, : wide // 2] = _GREY
        if self.height % 4:
            # A view would be two rows short: PyAV takes the height for a multiple of four there.
            return av.VideoFrame.from_ndarray(planes, format="yuv420p")
        return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")

    @property
    def luma(self) -> Planes:
        """The latest picture's luma, shape (height, width); a view of the buffer."""
        return self._planes[: self.height]

    def _chroma(self, planes: Planes) -> Planes:
        """U and V, shape (2, height / 2, width / 2); a view."""
        return planes[self.height :].reshape(2, self.height // 2, self.width // 2)
