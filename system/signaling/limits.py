"""Rates and counts: pure token buckets that are given the time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_ADDRESSES: Final = 65_536
"""Addresses remembered at once; the one unseen longest is forgotten first."""


class Bucket:
    """A token bucket: ``burst`` at once, ``rate`` per second in the long run."""

    __slots__ = ("_burst", "_rate", "_seen", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._seen = now

    def take(self, now: float) -> bool:
        """Whether one more is allowed at ``now`` (monotonic seconds)."""
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
        self._seen = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class AddressBuckets:
    """A bucket per address, for a bounded number of addresses."""

    def __init__(self, rate: float, burst: float, *, maximum: int = MAX_ADDRESSES) -> None:
        self._rate = rate
        self._burst = burst
        self._maximum = maximum
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, now: float) -> bool:
        """Whether ``address`` may open one more connection at ``now``."""
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = Bucket(self._rate, self._burst, now)
            if len(self._buckets) > self._maximum:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(address)
        return bucket.take(now)

    def __len__(self) -> int:
        return len(self._buckets)
