"""Owns when a key frame that a receiver asked for is made. Pure."""

from __future__ import annotations

MIN_INTERVAL_S = 0.3
"""Shortest time between two requested key frames.

A key frame costs as much as ten others; it must be shorter than the settle
frames after a request last, so that a held-back one comes with one of those.
"""


class KeyframeGate:
    """Requests coalesce, and what they cost is bounded however many arrive.

    The first frame is a key frame.
    """

    def __init__(self, min_interval_s: float = MIN_INTERVAL_S) -> None:
        self._min_interval_s = min_interval_s
        self._wanted = True
        self._last_s: float | None = None

    def request(self) -> None:
        self._wanted = True

    def restart(self) -> None:
        """A new receiver or encoder: its first frame is a key frame, whatever came before."""
        self._wanted, self._last_s = True, None

    def take(self, now_s: float) -> bool:
        """Whether the frame that begins now must be a key frame."""
        if not self._wanted:
            return False
        if self._last_s is not None and now_s - self._last_s < self._min_interval_s:
            return False
        self._wanted, self._last_s = False, now_s
        return True
