"""Owns what this process says of itself: cores used, memory, how late its event loop is."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import psutil

STEP_S: Final = 0.1


class Vitals:
    """Figures since the last look."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._looked_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._lag_s = 0.0

    async def sleep(self, seconds: float) -> None:
        """Sleep, and note how much later than asked the loop came back each time."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            step_s = min(STEP_S, left_s)
            asked = time.monotonic()
            await asyncio.sleep(step_s)
            self._lag_s = max(self._lag_s, time.monotonic() - asked - step_s)

    def look(self) -> tuple[float, float]:
        """Mean cores used and worst loop lag in seconds, since the last look."""
        now, cpu_s, lag_s = time.monotonic(), time.process_time(), self._lag_s
        cores = (cpu_s - self._cpu_s) / max(now - self._looked_s, 1e-6)
        self._looked_s, self._cpu_s, self._lag_s = now, cpu_s, 0.0
        return cores, lag_s

    def rss_bytes(self) -> int:
        return int(self._process.memory_info().rss)
