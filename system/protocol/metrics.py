"""The metric names of run files, gates, the simulator and the report, with their units.

One table, used by every program that writes or reads a metric; a name that is
not here does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Per(StrEnum):
    """What one sample of a metric stands for."""

    SESSION = "session"
    INPUT = "input"
    SESSION_SECOND = "session-second"
    FRAME = "frame"
    ARRIVAL = "arrival"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its unit in run files, what one sample is, which way is better."""

    name: str
    unit: str
    per: Per
    lower_is_better: bool
    text: str


JOIN_PHASES: tuple[str, ...] = (
    "schedule",
    "ws",
    "allocate",
    "queue",
    "sdp",
    "ice",
    "dtls",
    "first_packet",
    "first_frame",
)
"""The disjoint phases of a join, in order; they sum to ``session.join_time``."""


def _join_phases() -> tuple[Metric, ...]:
    return tuple(
        Metric(f"session.join.{phase}", "s", Per.SESSION, True, f"join phase: {phase}")
        for phase in JOIN_PHASES
    )


_ALL: tuple[Metric, ...] = (
    Metric("session.join_time", "s", Per.SESSION, True, "scheduled arrival to first frame"),
    *_join_phases(),
    Metric("session.failed", "ratio", Per.SESSION, True, "the session failed to join or broke"),
    Metric("session.abandoned", "ratio", Per.SESSION, True, "the viewer left before a frame"),
    Metric("session.interrupted", "ratio", Per.SESSION, True, "media stopped before the end"),
    Metric("input.to_frame", "s", Per.INPUT, True, "input sent to the frame that shows it"),
    Metric("input.lost", "ratio", Per.INPUT, True, "never acknowledged within 2 s"),
    Metric("video.fps", "1/s", Per.SESSION_SECOND, False, "frames received"),
    Metric(
        "video.frame_delivery",
        "ratio",
        Per.SESSION_SECOND,
        False,
        "frames received over frames captured",
    ),
    Metric("video.freeze_ratio", "ratio", Per.SESSION, True, "share of the time frozen"),
    Metric("video.bitrate", "bit/s", Per.SESSION_SECOND, False, "payload bits received"),
    Metric("video.psnr", "dB", Per.FRAME, False, "decoded frame against its reference"),
    Metric("video.ssim", "ratio", Per.FRAME, False, "decoded frame against its reference"),
    Metric("net.rtt", "s", Per.SESSION_SECOND, True, "round trip between client and worker"),
    Metric("net.jitter", "s", Per.SESSION_SECOND, True, "RFC 3550 interarrival jitter"),
    Metric("net.loss", "ratio", Per.SESSION_SECOND, True, "packets lost over packets expected"),
    Metric("pool.wait", "ratio", Per.ARRIVAL, True, "not served at once"),
    Metric("pool.wait_time", "s", Per.ARRIVAL, True, "wait for a worker"),
    Metric("pool.workers.ready", "count", Per.TIME, False, "workers ready and free"),
    Metric("pool.workers.booting", "count", Per.TIME, True, "workers booting or being scrubbed"),
    Metric("pool.workers.busy", "count", Per.TIME, True, "workers that serve a session"),
    Metric("pool.workers.stopped", "count", Per.TIME, True, "workers stopped, disk kept"),
    Metric("pool.cost", "USD/h", Per.TIME, True, "price of the workers that exist"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}

STATISTICS: tuple[str, ...] = (
    "mean",
    "min",
    "max",
    "p01",
    "p05",
    "p25",
    "p50",
    "p75",
    "p95",
    "p99",
)

CENSORED_BY: dict[str, tuple[str, ...]] = {
    "session.join_time": ("session.failed", "session.abandoned"),
    "input.to_frame": ("input.lost",),
    "pool.wait_time": (),
}
"""A sample of the key that never came is right-censored and ranks last; the values say why."""
