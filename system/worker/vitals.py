"""Owns what this process says of itself: cores used, memory, how late its event loop is."""

from __future__ import annotations

import asyncio
import time

import psutil


class Vitals:
    """Figures since the last look."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._looked_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._lag_s = 0.0

    async def sleep(self, seconds: float) -> None:
        """Sleep, and note how much later than asked the loop came back."""
        asked = time.monotonic()
        await asyncio.sleep(max(0.0, seconds))
        self._lag_s = max(self._lag_s, time.monotonic() - asked - max(0.0, seconds))

    def look(self) -> tuple[float, float]:
        """Mean cores used and worst loop lag in seconds, since the last look."""
        now, cpu_s, lag_s = time.monotonic(), time.process_time(), self._lag_s
        cores = (cpu_s - self._cpu_s) / max(now - self._looked_s, 1e-6)
        self._looked_s, self._cpu_s, self._lag_s = now, cpu_s, 0.0
        return cores, lag_s

    def rss_bytes(self) -> int:
        return int(self._process.memory_info().rss)
