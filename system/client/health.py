"""What this process uses and whether it keeps up: CPU, memory, loop lag, drops of its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

LAG_STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class HealthSample:
    """Since the sample before: cores used, worst loop lag, datagrams its sockets dropped."""

    cpu: float
    rss_bytes: int
    loop_lag_s: float
    udp_drops: int


class HealthMeter:
    """Start it in the loop that is to be watched; ``take`` about once per second."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._loop = asyncio.get_running_loop()
        self._cpu_s = self._used_s()
        self._at = time.monotonic()
        self._lag_s = 0.0
        self._drops = socket_drops()
        self._due = self._loop.time() + LAG_STEP_S
        self._timer = self._loop.call_at(self._due, self._tick)

    def take(self) -> HealthSample:
        now, used_s, drops = time.monotonic(), self._used_s(), socket_drops()
        before = self._drops
        sample = HealthSample(
            cpu=(used_s - self._cpu_s) / max(now - self._at, 1e-3),
            rss_bytes=self._process.memory_info().rss,
            loop_lag_s=self._lag_s,
            udp_drops=sum(max(0, n - before.get(inode, 0)) for inode, n in drops.items()),
        )
        self._at, self._cpu_s, self._drops, self._lag_s = now, used_s, drops, 0.0
        return sample

    def close(self) -> None:
        self._timer.cancel()

    def _used_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _tick(self) -> None:
        now = self._loop.time()
        self._lag_s = max(self._lag_s, now - self._due)
        self._due = now + LAG_STEP_S
        self._timer = self._loop.call_at(self._due, self._tick)


def socket_drops() -> dict[int, int]:
    """Datagrams dropped so far by each UDP socket of this process, by inode.

    From /proc/net/udp*, whose last column counts what did not fit the socket's
    buffer. Empty on systems without it.
    """
    own = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{descriptor}")
                if target.startswith("socket:["):
                    own.add(int(target[8:-1]))
    drops = {}
    for table in ("udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                inode = int(fields[9])
                if inode in own:
                    drops[inode] = int(fields[-1])
    return drops
