"""When a stream that stands still is over. Pure."""

from __future__ import annotations


class Silence:
    """Fed with monotonic times. A silent stream is over, one that is being moved waits longer.

    Args:
        media_timeout_s: longest silence of a worker.
        patience_s: longest wait for another worker; None: for ever.
    """

    def __init__(self, media_timeout_s: float, patience_s: float | None) -> None:
        self._media_timeout_s = media_timeout_s
        self._patience_s = patience_s
        self._heard_s = 0.0
        self._queued_s: float | None = None

    def frame(self, now: float) -> None:
        self._heard_s = now

    def queued(self, now: float) -> None:
        """The worker is lost and there is no other yet."""
        if self._queued_s is None:
            self._queued_s = now

    def replaced(self, now: float) -> None:
        """Another worker has taken over: it gets the time to begin."""
        self._heard_s = now
        self._queued_s = None

    def verdict(self, now: float) -> str | None:
        """Why the stream is over, or None."""
        if self._queued_s is None:
            return "media_lost" if now - self._heard_s > self._media_timeout_s else None
        if self._patience_s is not None and now - self._queued_s > self._patience_s:
            return "worker_lost"
        return None
