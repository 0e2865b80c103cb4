"""What a receiver counts about one stream, in W3C names and SI units. Pure."""

from __future__ import annotations


class ReceiveCounters:
    """RFC 3550 accounting of one RTP stream and its repair stream.

    ``packets_lost`` is what the network lost: expected minus received on the
    media stream; a packet that comes again on the repair stream (RTX) stays
    lost. ``bytes_received`` is payload, repairs included, as in W3C.
    """

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._base: int | None = None
        self._highest = 0
        self._media_packets = 0
        self._prior = (0, 0)
        self._last: tuple[int, float] | None = None
        self.packets_received = 0
        self.packets_repaired = 0
        self.packets_discarded = 0
        self.bytes_received = 0
        self.jitter_s = 0.0
        self.nack_count = 0
        self.pli_count = 0
        self.frames_received = 0
        self.keyframes = 0

    @property
    def packets_expected(self) -> int:
        return 0 if self._base is None else self._highest - self._base + 1

    @property
    def packets_lost(self) -> int:
        return max(0, self.packets_expected - self._media_packets)

    @property
    def highest_sequence(self) -> int:
        """Extended highest sequence number received."""
        return self._highest

    def received(self, sequence: int, timestamp: int, size: int, now: float) -> None:
        """A packet of the media stream; ``size`` is its payload in bytes."""
        self.packets_received += 1
        self._media_packets += 1
        self.bytes_received += size
        if self._base is None:
            self._base = self._highest = sequence
        else:
            step = (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
            if step <= 0:
                self._base = min(self._base, self._highest + step)
                return
            self._highest += step
        self._estimate_jitter(timestamp, now)

    def repaired(self, size: int) -> None:
        """A packet of the repair stream."""
        self.packets_received += 1
        self.packets_repaired += 1
        self.bytes_received += max(0, size - 2)

    def _estimate_jitter(self, timestamp: int, now: float) -> None:
        """Per frame, not per packet: the packets of a frame share a timestamp."""
        last = self._last
        if last is not None:
            if last[0] == timestamp:
                return
            ticks = (timestamp - last[0] + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            difference = abs((now - last[1]) - ticks / self._clock_rate)
            self.jitter_s += (difference - self.jitter_s) / 16
        self._last = (timestamp, now)

    def take_fraction_lost(self) -> int:
        """Share lost since the last call, in 1/256."""
        expected, received = self.packets_expected, self._media_packets
        interval = expected - self._prior[0]
        lost = interval - (received - self._prior[1])
        self._prior = (expected, received)
        return min(255, (lost << 8) // interval) if interval > 0 and lost > 0 else 0
