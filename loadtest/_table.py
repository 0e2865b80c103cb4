"""Locust's table: the rows JOIN, INPUT and STREAM, and reasons that group."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from system.client import hostproto
from system.client.histogram import GROWTH, LogHistogram

VIEWER: Final = "viewer"
LOST_AFTER_MS: Final = 2000.0

_TEXT: Final = {
    "": "ended",
    "timeout": "timed out",
    "unreachable": "signaling cannot be reached",
    "closed": "signaling closed the connection",
    "media_failed": "media failed",
    "bad_answer": "the answer cannot be used",
    "abandoned": "left the queue",
    "helper_gone": "the load generator's helper process was lost",
    "no_capacity": "no capacity",
    "unauthorized": "the token was refused",
    "worker_lost": "the worker was lost",
}
_ID: Final = re.compile(r"\b(?=[\w-]*\d)[0-9a-fA-F-]{6,}\b|\b\d+(?:\.\d+)?\b")


def readable(outcome: str, reason: str, phase: str = "") -> str:
    """A line for the failures table: short, the same for the same cause, without ids."""
    known = _TEXT.get(reason)
    text = known if known is not None else _ID.sub("#", reason.replace("_", " "))[:80]
    if outcome == "abandoned":
        return text
    return f"{outcome}: {text} ({phase})" if phase else f"{outcome}: {text}"


def latencies_ms(histogram: LogHistogram) -> list[float]:
    """The samples of a histogram as Locust wants them, each the middle of its bucket."""
    samples = [0.0] * histogram.zeros
    for bucket, count in sorted(histogram.counts.items()):
        middle = math.pow(GROWTH, bucket + 0.5)
        value = min(max(middle, histogram.minimum), histogram.maximum)
        samples += [value * 1000.0] * count
    return samples


class Table:
    """Fires Locust's request events for what viewers live through.

    JOIN: from the scheduled arrival to the first frame, one per session. INPUT:
    from an input to the frame that shows it. STREAM: how long pictures came,
    one per session that joined; its size is the payload received.
    """

    def __init__(self, request: Any) -> None:
        self._request = request

    def joined(self, join_time_s: float) -> None:
        self._fire("JOIN", join_time_s * 1000.0)

    def ended(
        self, outcome: hostproto.Outcome, reason: str, *, joined: bool, summary: dict[str, Any]
    ) -> None:
        phase = "" if joined else str(summary.get("phase", ""))
        failure = None if outcome == "ok" else readable(outcome, reason, phase)
        if joined:
            self._fire(
                "STREAM",
                float(summary.get("session_s", 0.0)) * 1000.0,
                size=int(summary.get("bytes_received", 0)),
                failure=failure,
            )
        elif failure is not None:
            self._fire("JOIN", float(summary.get("after_s", 0.0)) * 1000.0, failure=failure)

    def inputs(self, latencies: LogHistogram) -> None:
        """Inputs that were decided lately; the censored ones are lost."""
        for latency_ms in latencies_ms(latencies):
            self._fire("INPUT", latency_ms)
        for _ in range(latencies.censored):
            self._fire("INPUT", LOST_AFTER_MS, failure="lost: no frame showed it within 2 s")

    def _fire(
        self, kind: str, response_time_ms: float, *, size: int = 0, failure: str | None = None
    ) -> None:
        self._request.fire(
            request_type=kind,
            name=VIEWER,
            response_time=response_time_ms,
            response_length=size,
            exception=failure,
            context={},
        )
