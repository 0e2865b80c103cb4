"""Owns what a renderer is. A renderer draws; it never changes a scene.

Errors::

    RendererUnavailable     this renderer cannot work here; the message says why
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from system.media.scene import Scene

Picture = npt.NDArray[np.uint8]


class RendererUnavailable(RuntimeError):
    """No picture can be had from this renderer (or, from the chain, from any)."""


class Renderer(ABC):
    """Draws scenes into pictures of one size.

    `render` may be called from any thread, by one caller at a time per renderer; different
    renderers may be called at once. The same scene gives the same bytes.
    """

    name: str

    def __init__(self, width: int, height: int) -> None:
        if width < 16 or height < 16 or width % 2 or height % 2:
            raise ValueError(f"picture size {width}x{height} is not even and at least 16")
        self.width = width
        self.height = height

    @abstractmethod
    def render(self, scene: Scene) -> Picture:
        """BGRA, shape (height, width, 4), top row first.

        The array is the renderer's own and is overwritten by the next call: convert or copy it
        before that. Alpha is not meaningful.
        """

    def look(self, scene: Scene) -> Picture:
        """As `render`, without a copy where the renderer can spare it: only to be read.

        Its rows may lie in memory last row first (a negative stride), as graphics hardware
        leaves them.
        """
        return self.render(scene)

    @abstractmethod
    def close(self) -> None:
        """Free the buffer; closing twice is fine, rendering afterwards is a RuntimeError."""
