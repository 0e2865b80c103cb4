"""What the Locust process itself uses, one row per second: its CPU, memory and greenlet lag."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

import gevent
import psutil

from system.protocol.records import SystemRow

PERIOD_S = 1.0
LAG_STEP_S = 0.1


class ProcessMeter:
    """Makes ``system`` rows of this process and hands each to ``emit``."""

    def __init__(
        self,
        node: str,
        *,
        start_at: float,
        sessions: Callable[[], int],
        emit: Callable[[SystemRow], None],
    ) -> None:
        self._node = node
        self._start_at = start_at
        self._sessions = sessions
        self._emit = emit
        self._process = psutil.Process(os.getpid())

    def run(self) -> None:
        """Measure until killed.

        Lag is how late a greenlet wakes that sleeps a tenth of a second, the
        worst of each second: what an arrival would be late by.
        """
        times = self._process.cpu_times()
        cpu_s = times.user + times.system
        began = time.monotonic()
        while True:
            lag_s = 0.0
            while time.monotonic() - began < PERIOD_S:
                before = time.monotonic()
                gevent.sleep(LAG_STEP_S)
                lag_s = max(lag_s, time.monotonic() - before - LAG_STEP_S)
            now = time.monotonic()
            times = self._process.cpu_times()
            used_s = times.user + times.system - cpu_s
            cpu_s += used_s
            self._emit(
                system_row(
                    self._node,
                    "locust",
                    began - self._start_at,
                    cpu=used_s / (now - began),
                    rss_bytes=self._process.memory_info().rss,
                    loop_lag_s=max(lag_s, 0.0),
                    sessions=self._sessions(),
                )
            )
            began = now


def system_row(
    node: str,
    role: str,
    t_s: float,
    *,
    cpu: float = 0.0,
    rss_bytes: int = 0,
    loop_lag_s: float = math.nan,
    udp_drops: int = 0,
    sessions: int = 0,
) -> SystemRow:
    """A ``system`` row; ``t_s`` counts from second 0 of the run."""
    return SystemRow(
        t_us=round(t_s * 1e6),
        node=node,
        role=role,
        cpu=cpu,
        rss_bytes=rss_bytes,
        loop_lag_s=loop_lag_s,
        udp_drops=udp_drops,
        sessions=sessions,
    )
