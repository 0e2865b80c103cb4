"""Owns the encoder's target bitrate: the receiver's estimate (REMB) within bounds. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_S = 1.0
BACKED_OFF_S = 2.0
"""After a decrease, so long without another before the target grows back."""

GROWTH_PER_S = 1.08
FLOOR_SHARE = 0.12
MIN_FLOOR_BPS = 150_000
STEP = 0.05
"""Smallest relative change worth telling the encoder."""


class BitrateControl:
    """Follows an estimate that is blind when little is sent.

    A receiver's estimate never exceeds about 1.5 times what it receives, so an
    idle picture drives it to a few kilobits per second without any congestion.
    An estimate therefore lowers the target only where more than it was really
    sent during the last second; any other lets the target grow.
    """

    def __init__(self, ceiling_bps: int) -> None:
        self._ceiling = ceiling_bps
        self._floor = min(ceiling_bps, max(MIN_FLOOR_BPS, int(ceiling_bps * FLOOR_SHARE)))
        self._target = float(ceiling_bps)
        self._told = ceiling_bps
        self._sent: deque[tuple[float, int]] = deque()
        self._sent_bits = 0
        self._lowered_s: float | None = None
        self._grown_s = 0.0

    @property
    def target_bps(self) -> int:
        """What the encoder should aim at; changes in steps of at least 5 %."""
        return self._told

    def sent(self, now_s: float, payload_bytes: int) -> None:
        """A frame of this many bytes went out."""
        self._sent.append((now_s, payload_bytes * 8))
        self._sent_bits += payload_bytes * 8
        self._forget(now_s)
        self._grow(now_s)

    def estimated(self, now_s: float, bps: int) -> None:
        """The receiver estimates its path at ``bps``."""
        self._forget(now_s)
        if bps < self._sent_bits / WINDOW_S:
            if bps < self._target:
                self._target = max(float(bps), float(self._floor))
            self._lowered_s = self._grown_s = now_s
        else:
            self._target = max(self._target, min(float(bps), float(self._ceiling)))
        self._tell()

    def _grow(self, now_s: float) -> None:
        if self._lowered_s is None or now_s - self._lowered_s < BACKED_OFF_S:
            self._grown_s = now_s
            return
        factor = GROWTH_PER_S ** (now_s - self._grown_s)
        self._grown_s = now_s
        self._target = min(self._target * factor, float(self._ceiling))
        if self._target >= self._ceiling:
            self._lowered_s = None
        self._tell()

    def _forget(self, now_s: float) -> None:
        while self._sent and now_s - self._sent[0][0] > WINDOW_S:
            self._sent_bits -= self._sent.popleft()[1]

    def _tell(self) -> None:
        at_bound = self._target in (self._ceiling, self._floor)
        if at_bound or abs(self._target - self._told) > STEP * self._told:
            self._told = int(self._target)
