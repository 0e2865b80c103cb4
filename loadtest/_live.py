"""What is known of a run while it goes on, put together from the pulses of all processes."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtest._pulse import Pulse, censored, repeated
from reports.live import LiveGates
from scenarios.gates import Gate
from scenarios.schedule import StageSpan, stage_at
from system.client.histogram import LogHistogram
from system.stack import PoolCounts

HISTORY: Final = 900
"""Seconds that are kept for charts."""
SMOOTH: Final = 5
"""Latencies of a chart's point are of so many seconds."""
SILENT_S: Final = 5.0
"""A process that has not told anything for so long counts for nothing."""

_FATE: Final = ("session.failed", "session.abandoned", "session.interrupted")


class Window:
    """Samples of a stretch of the run, as far as they have come in."""

    def __init__(self) -> None:
        self._found: dict[str, LogHistogram] = {}
        self._watched_s = 0.0
        self._frozen_s = 0.0

    def add_seconds(self, pulse: Pulse) -> None:
        """Take what viewers saw and did."""
        self._merge(pulse.seconds)
        self._watched_s += pulse.watched_s
        self._frozen_s += pulse.frozen_s

    def add_sessions(self, samples: Mapping[str, Mapping[str, Any]]) -> None:
        """Take samples of sessions that joined or ended."""
        self._merge(samples)

    def add(self, metric: str, value: float) -> None:
        """Take one sample."""
        self._found.setdefault(metric, LogHistogram()).add(value)

    def feed(self, gates: LiveGates, at_s: float, *, watching: int, pending: int = 0) -> None:
        """Hand everything on, as samples of the stage at ``at_s``.

        ``watching`` sessions go on and have not failed so far; ``pending`` ones
        count as joins that did not come. Time frozen is that of all together.
        """
        for metric, histogram in self._found.items():
            gates.merge(metric, histogram, at_s)
        for metric in _FATE:
            gates.merge(metric, repeated(0.0, watching), at_s)
        gates.merge("session.join_time", censored(pending), at_s)
        if self._watched_s > 0:
            gates.add("video.freeze_ratio", min(1.0, self._frozen_s / self._watched_s), at_s)

    def _merge(self, samples: Mapping[str, Mapping[str, Any]]) -> None:
        for metric, plain in samples.items():
            histogram = LogHistogram.from_json(plain)
            self._found.setdefault(metric, LogHistogram()).merge(histogram)


class StageWindows:
    """A window for each stage of a run whose stages are known beforehand."""

    def __init__(self, spans: Sequence[StageSpan]) -> None:
        self._spans = list(spans)
        self._windows = {span.name: Window() for span in spans}

    def add(self, pulse: Pulse, at_s: float) -> None:
        """Take a pulse: seconds count where they are, sessions where they arrived."""
        self._windows[stage_at(self._spans, at_s)].add_seconds(pulse)
        for stage, samples in pulse.by_stage.items():
            if stage in self._windows:
                self._windows[stage].add_sessions(samples)

    def add_pool(self, values: Mapping[str, float], at_s: float) -> None:
        """Take what a pool metric is at this moment."""
        window = self._windows[stage_at(self._spans, at_s)]
        for metric, value in values.items():
            window.add(metric, value)

    def gates(self, gates: Sequence[Gate], watching: Mapping[str, int]) -> LiveGates:
        """The gates as they stand now."""
        live = LiveGates(gates, self._spans)
        for span in self._spans:
            window = self._windows[span.name]
            window.feed(live, span.start_s, watching=watching.get(span.name, 0))
        return live


@dataclass(frozen=True, slots=True)
class Tick:
    """One second of a run as charts show it; None is not known."""

    t_s: float
    watching: int
    pending: int
    stalled: int
    fps: float | None
    """Frames per second of a viewer, the mean of all."""
    bitrate_bps: float
    """Of all viewers together."""
    i2f_p50_s: float | None
    i2f_p95_s: float | None
    ready: int | None = None
    booting: int | None = None
    busy: int | None = None
    stopped: int | None = None
    waiting: int | None = None


class Live:
    """The newest pulse of each process, and the last seconds of all together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.history: deque[Tick] = deque(maxlen=HISTORY)
        self._clock = clock
        self._newest: dict[str, tuple[float, Pulse]] = {}
        self._frames = 0
        self._bytes = 0
        self._watched_s = 0.0
        self._inputs: deque[LogHistogram] = deque([LogHistogram()], maxlen=SMOOTH)

    def add(self, pulse: Pulse) -> None:
        """Take a pulse."""
        self._newest[pulse.node] = (self._clock(), pulse)
        self._frames += pulse.frames
        self._bytes += pulse.bytes_received
        self._watched_s += pulse.watched_s
        told = pulse.seconds.get("input.to_frame")
        if told is not None:
            self._inputs[-1].merge(LogHistogram.from_json(told))

    def tick(self, t_s: float, period_s: float, pool: PoolCounts | None) -> None:
        """Close a second of the charts."""
        latencies = LogHistogram()
        for part in self._inputs:
            latencies.merge(part)
        self.history.append(
            Tick(
                t_s=t_s,
                watching=sum(self.watching.values()),
                pending=self.pending,
                stalled=self.stalled,
                fps=self._frames / self._watched_s if self._watched_s > 0 else None,
                bitrate_bps=8.0 * self._bytes / period_s,
                i2f_p50_s=_known(latencies.quantile(0.50)),
                i2f_p95_s=_known(latencies.quantile(0.95)),
                ready=None if pool is None else pool.ready,
                booting=None if pool is None else pool.booting,
                busy=None if pool is None else pool.busy,
                stopped=None if pool is None else pool.stopped,
                waiting=None if pool is None else pool.waiting,
            )
        )
        self._frames, self._bytes, self._watched_s = 0, 0, 0.0
        self._inputs.append(LogHistogram())

    @property
    def watching(self) -> dict[str, int]:
        """Sessions with a picture, by the stage of their arrival."""
        found: dict[str, int] = {}
        for pulse in self._present():
            for stage, count in pulse.watching.items():
                found[stage] = found.get(stage, 0) + count
        return found

    @property
    def pending(self) -> int:
        """Sessions that have not joined yet."""
        return sum(sum(pulse.pending.values()) for pulse in self._present())

    @property
    def stalled(self) -> int:
        """Sessions that had a picture and have none now."""
        return sum(pulse.stalled for pulse in self._present())

    @property
    def cpu(self) -> float:
        """Cores that the load generator uses."""
        return sum(pulse.cpu for pulse in self._present())

    @property
    def loop_lag_s(self) -> float:
        """Of the load generator's slowest helper."""
        return max((pulse.loop_lag_s for pulse in self._present()), default=0.0)

    def _present(self) -> list[Pulse]:
        since = self._clock() - SILENT_S
        return [pulse for at, pulse in self._newest.values() if at >= since]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
