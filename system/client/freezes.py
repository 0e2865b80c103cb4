"""When the picture stood still though it should have moved. Pure."""

from __future__ import annotations

import math
from collections import deque

MIN_FREEZE_S = 0.15
SILENCE_S = 2.0
"""A worker sends a frame or two a second when nothing moves; longer silence is a fault."""

W3C_WINDOW = 30


class FreezeMeter:
    """Fed with every frame that a viewer would see, in order.

    A freeze is a gap between two shown frames that exceeds the gap of their
    captures by max(2 frame times, 150 ms); what exceeds it is the time frozen.
    Where frames between the two were lost, the capture gap is taken as that of
    one frame of them: the picture should have moved then. So an idle stream of
    two frames per second does not freeze, and a burst of loss does.

    ``w3c_*`` is the W3C definition (freezeCount of webrtc-stats), which knows
    no capture times and so counts the end of every idle stretch.
    """

    def __init__(self, frame_time_s: float) -> None:
        self._limit_s = max(2 * frame_time_s, MIN_FREEZE_S)
        self._last: tuple[int, float, float] | None = None  # id, capture, shown
        self._restarted = False
        self._intervals: deque[float] = deque(maxlen=W3C_WINDOW)
        self.count = 0
        self.frozen_s = 0.0
        self.w3c_count = 0
        self.w3c_frozen_s = 0.0

    def shown(self, frame_id: int, capture_s: float, shown_s: float) -> None:
        """A frame is on the screen at ``shown_s``; ``capture_s`` is on the sender's clock."""
        last = self._last
        self._last = (frame_id, capture_s, shown_s)
        if last is None:
            return
        gap = shown_s - last[2]
        self._w3c(gap)
        if self._restarted:
            self._restarted = False
            if gap > self._limit_s:
                self._add(gap)
            return
        steps = frame_id - last[0]
        if steps <= 0:
            return  # late
        expected = max(0.0, (capture_s - last[1]) / steps)
        if gap - expected > self._limit_s:
            self._add(gap - expected)

    def restart(self) -> None:
        """Another worker takes over: what is between its first frame and the last one is frozen."""
        self._restarted = True

    def finish(self, now: float) -> None:
        """The session ended; a silence that no idle stream has counts up to now."""
        if self._last is not None and now - self._last[2] > SILENCE_S:
            self._add(now - self._last[2])
        self._last = None

    def _add(self, frozen_s: float) -> None:
        self.count += 1
        self.frozen_s += frozen_s

    def _w3c(self, gap: float) -> None:
        intervals = self._intervals
        if intervals:
            average = math.fsum(intervals) / len(intervals)
            if gap >= max(3 * average, average + 0.15):
                self.w3c_count += 1
                self.w3c_frozen_s += gap
        intervals.append(gap)
