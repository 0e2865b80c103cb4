"""Owns the colour step between renderer and encoder: BGRA to I420 (BT.601, limited range)."""

from __future__ import annotations

import av
import cv2
import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.uint8]


class Converter:
    """Converts pictures of one size into one preallocated buffer, and copies nothing after that.

    The buffer, and every `av.VideoFrame` made over it, shows the latest picture: encode a frame
    before converting the next. One converter per session.
    """

    def __init__(self, width: int, height: int) -> None:
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise ValueError(f"I420 needs an even size, not {width}x{height}")
        self.width = width
        self.height = height
        self._planes: Planes = np.empty((height * 3 // 2, width), dtype=np.uint8)

    def i420(self, bgra: Planes) -> Planes:
        """Y, U and V stacked, shape (height * 3 / 2, width); the converter's own buffer."""
        if bgra.shape != (self.height, self.width, 4):
            raise ValueError(f"picture is {bgra.shape}, not {(self.height, self.width, 4)}")
        cv2.cvtColor(bgra, cv2.COLOR_BGRA2YUV_I420, dst=self._planes)
        return self._planes

    def frame(self, bgra: Planes) -> av.VideoFrame:
        """The picture as a yuv420p frame over the converter's buffer."""
        return av.VideoFrame.from_numpy_buffer(self.i420(bgra), format="yuv420p")

    @property
    def luma(self) -> Planes:
        """The latest picture's luma, shape (height, width); a view of the buffer."""
        return self._planes[: self.height]
