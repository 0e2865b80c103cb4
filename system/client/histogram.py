"""A sparse logarithmic histogram: mergeable, a few hundred bytes, two per cent wide. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

GROWTH = 1.02
"""Each bucket is 2 % wide, so a percentile is within 1 %. The same everywhere: they merge."""

_LOG_GROWTH = math.log(GROWTH)


class LogHistogram:
    """Counts of non-negative samples by bucket, with exact count, sum, minimum and maximum.

    ``censored`` counts samples that never came; they rank above all others.
    """

    __slots__ = ("censored", "counts", "maximum", "minimum", "n", "total", "zeros")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.n = 0
        self.zeros = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.censored = 0

    def add(self, value: float) -> None:
        self.n += 1
        self.total += value
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        if value <= 0:
            self.zeros += 1
            return
        bucket = math.floor(math.log(value) / _LOG_GROWTH)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def add_censored(self) -> None:
        self.censored += 1

    def merge(self, other: LogHistogram) -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.n += other.n
        self.zeros += other.zeros
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.censored += other.censored

    def quantile(self, q: float) -> float:
        """The q-quantile, infinite where it falls among the censored, NaN without a sample."""
        population = self.n + self.censored
        if not population:
            return math.nan
        rank = max(1, math.ceil(q * population))
        if rank > self.n:
            return math.inf
        if rank == self.n:
            return self.maximum
        if rank <= self.zeros:
            return min(self.minimum, 0.0)
        rank -= self.zeros
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                middle = math.pow(GROWTH, bucket + 0.5)
                return min(max(middle, self.minimum), self.maximum)
        return self.maximum

    def to_json(self) -> dict[str, Any]:
        """As an object for JSON; empty minimum and maximum are null."""
        return {
            "n": self.n,
            "zeros": self.zeros,
            "total": self.total,
            "min": self.minimum if self.n else None,
            "max": self.maximum if self.n else None,
            "censored": self.censored,
            "counts": {str(bucket): count for bucket, count in self.counts.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LogHistogram:
        """What ``to_json`` made; raises KeyError or ValueError on anything else."""
        made = cls()
        made.n = int(data["n"])
        made.zeros = int(data["zeros"])
        made.total = float(data["total"])
        made.censored = int(data["censored"])
        if made.n:
            made.minimum = float(data["min"])
            made.maximum = float(data["max"])
        made.counts = {int(bucket): int(count) for bucket, count in data["counts"].items()}
        return made
