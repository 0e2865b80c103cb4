"""Rows of a run directory: what programs write while they run and reports read afterwards.

Column names and types are fixed here, without any table library, so that a
worker or a client can produce rows and only the report needs to read Parquet.

``events``  one row per thing that happened. A per-session or per-input metric
            is an event whose ``event`` is the metric's name and whose ``value``
            is the sample; a sample that never came (failed join, lost input)
            is a row with ``value`` null and ``attrs`` ``{"censored": true,
            "after_s": seconds observed}``. So are durations that models are
            fitted to (``DURATIONS``), which are no metrics.
``samples`` one row per session and second.
``system``  one row per process and second.
"""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

SCHEMA_VERSION: Final = 1

DURATIONS: Final[dict[str, str]] = {
    "worker.boot": "launch to ready; attrs drawn_s: the part that the scenario's `boot` added",
    "worker.start": "stopped to ready",
    "worker.scrub": "freed to ready",
    "session.length": "first frame to the viewer's own end; attrs held_s: since it got its slot",
    "session.patience": "in the queue until the viewer left; censored where it was served",
}
"""Durations in seconds among the events; null and censored where the end was not seen."""

STILL_GOING_ON: Final = "still going on"
"""``why`` a worker's duration is censored that did not fail."""

UNJUDGED: Final = "video.unjudged"
"""The event of a session whose pictures cannot be judged; ``reason`` of ``attrs`` says why."""

ColumnType = Literal["int64", "float64", "string"]

EVENT_COLUMNS: Final[dict[str, ColumnType]] = {
    "t_us": "int64",  # microseconds since the run began
    "source": "string",  # client | loadtest | worker | orchestrator | signaling | sim
    "node": "string",  # which process, e.g. helper-0
    "session_id": "string",  # the client's own id of the session (an arrival has one, always)
    "stage": "string",
    "event": "string",
    "value": "float64",
    "unit": "string",
    "attrs": "string",  # JSON object, "" for none
}

SAMPLE_COLUMNS: Final[dict[str, ColumnType]] = {
    "t_us": "int64",  # start of the second, microseconds since the run began
    "node": "string",
    "session_id": "string",
    "stage": "string",
    "tier": "string",  # frames | decode
    "duration_s": "float64",  # 1.0 but for a session's last, partial second
    "frames_received": "int64",
    "frames_captured": "int64",  # advance of frameId in the second, received or not
    "frames_decoded": "int64",
    "bytes_received": "int64",  # payload, W3C bytesReceived
    "packets_received": "int64",
    "packets_lost": "int64",
    "nack_count": "int64",
    "pli_count": "int64",
    "freeze_count": "int64",
    "freeze_s": "float64",
    "rtt_s": "float64",  # NaN where not known
    "jitter_s": "float64",
    "inputs_sent": "int64",
    "inputs_acked": "int64",
    "keyframes": "int64",
}

SYSTEM_COLUMNS: Final[dict[str, ColumnType]] = {
    "t_us": "int64",
    "node": "string",
    "role": "string",  # locust | helper | worker | signaling | orchestrator | store | pool
    "cpu": "float64",  # cores used, 1.0 = one core
    "rss_bytes": "int64",
    "loop_lag_s": "float64",  # worst in the second; NaN where there is no loop
    "udp_drops": "int64",  # drops of this process's own sockets in the second
    "sessions": "int64",
    "ready": "int64",  # pool states, in the rows with role "pool"
    "booting": "int64",
    "busy": "int64",
    "stopped": "int64",
}


class EventRow(TypedDict):
    """One row of ``events``; shapes and units as in EVENT_COLUMNS."""

    t_us: int
    source: str
    node: str
    session_id: str
    stage: str
    event: str
    value: float | None
    unit: str
    attrs: str


class SampleRow(TypedDict):
    """One row of ``samples``; shapes and units as in SAMPLE_COLUMNS."""

    t_us: int
    node: str
    session_id: str
    stage: str
    tier: str
    duration_s: float
    frames_received: int
    frames_captured: int
    frames_decoded: int
    bytes_received: int
    packets_received: int
    packets_lost: int
    nack_count: int
    pli_count: int
    freeze_count: int
    freeze_s: float
    rtt_s: float
    jitter_s: float
    inputs_sent: int
    inputs_acked: int
    keyframes: int


class SystemRow(TypedDict):
    """One row of ``system``; shapes and units as in SYSTEM_COLUMNS."""

    t_us: int
    node: str
    role: str
    cpu: float
    rss_bytes: int
    loop_lag_s: float
    udp_drops: int
    sessions: int
    ready: NotRequired[int]
    booting: NotRequired[int]
    busy: NotRequired[int]
    stopped: NotRequired[int]
