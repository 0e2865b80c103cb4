"""Owns when the next frame is due. Pure: monotonic seconds in, monotonic seconds out."""

from __future__ import annotations

import math
from typing import Literal

PacingMode = Literal["on_demand", "constant"]

SETTLE_FRAMES = 15
"""Frames after the last change: at 30 fps, half a second in which the picture sharpens."""

IDLE_FPS = 2.0
"""Keeps receivers' statistics and loss recovery alive while nothing moves."""


class Pacer:
    """Says when to start the next frame; there is never more than one.

    ``on_demand``: a change is rendered at once if the last *changed* frame began
    a frame interval ago, else when that is so (changes coalesce at the frame
    rate); then settle frames at the frame rate, then the idle rate. A change
    does not wait for the slot after a settle or idle frame: it takes that slot
    early, and the frames after it wait for the slots after that. So the rate
    over time is never above the frame rate.

    ``constant``: every slot of a fixed clock; slots that were missed are
    skipped, never caught up.

    A frame that begins late by less than half an interval does not shift the
    slots after it, so neither mode drifts below its rate.
    """

    def __init__(
        self,
        mode: PacingMode,
        fps: float,
        *,
        settle_frames: int = SETTLE_FRAMES,
        idle_fps: float = IDLE_FPS,
    ) -> None:
        self._constant = mode == "constant"
        self._interval_s = 1.0 / fps
        self._idle_s = max(1.0 / idle_fps, self._interval_s)
        self._settle_frames = settle_frames
        self._settle_left = settle_frames
        self._changed = True
        self._slot = -math.inf
        self._changed_slot = -math.inf

    def changed(self) -> None:
        """The picture is no longer what the last frame showed (or a key frame is wanted)."""
        self._changed = True
        self._settle_left = self._settle_frames

    def next_at(self) -> float:
        """When the next frame should begin; in the past, or minus infinity, means now."""
        if self._constant:
            return self._slot + self._interval_s
        if self._changed:
            return self._changed_slot + self._interval_s
        wait_s = self._interval_s if self._settle_left > 0 else self._idle_s
        return self._slot + wait_s

    def started(self, now_s: float) -> None:
        """A frame begins now; it shows everything changed so far."""
        if self._constant:
            self._slot = self._clocked(now_s)
        elif self._changed:
            self._changed_slot = self._punctual(self._changed_slot, now_s)
            taken_s = self._slot + self._interval_s
            self._slot = taken_s if now_s < taken_s else self._punctual(self._slot, now_s)
        else:
            self._slot = self._punctual(self._slot, now_s)
        if self._changed:
            self._changed = False
        elif self._settle_left > 0:
            self._settle_left -= 1

    def _clocked(self, now_s: float) -> float:
        """The slot of the fixed clock that a frame begun now is in."""
        if self._slot == -math.inf:
            return now_s
        late_s = now_s - (self._slot + self._interval_s)
        missed = max(0, math.floor(late_s / self._interval_s))
        return self._slot + self._interval_s * (1 + missed)

    def _punctual(self, slot_s: float, now_s: float) -> float:
        """The slot after ``slot_s`` for a frame that is a little late for it, else now."""
        due_s = slot_s + self._interval_s
        return due_s if 0 <= now_s - due_s < self._interval_s / 2 else now_s
