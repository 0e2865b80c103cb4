"""What one process of the load generator tells the owner of a run, once a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from system.client import hostproto
from system.client.histogram import LogHistogram

PERIOD_S: Final = 1.0
_BLOCKED: Final = frozenset({"no_capacity", "queue_full"})

Histograms = dict[str, dict[str, Any]]
"""``LogHistogram.to_json`` by metric."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The time since the pulse before. Plain values: it travels as a message.

    ``seconds`` are samples of session-seconds and inputs, ``by_stage`` those of
    sessions that joined or ended, by the stage of their arrival. ``watching``
    and ``pending`` sessions, by stage too, have joined or wait to; both go on.
    ``cpu`` is of the generator's processes together, ``loop_lag_s`` the worst.
    """

    node: str
    cpu: float = 0.0
    loop_lag_s: float = 0.0
    frames: int = 0
    bytes_received: int = 0
    stalled: int = 0
    watched_s: float = 0.0
    frozen_s: float = 0.0
    seconds: Histograms = field(default_factory=dict)
    by_stage: dict[str, Histograms] = field(default_factory=dict)
    watching: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class PulseMaker:
    """Collects what helpers tell until the next pulse is due."""

    def __init__(self) -> None:
        self._seconds: dict[str, LogHistogram] = {}
        self._by_stage: dict[str, dict[str, LogHistogram]] = {}
        self._figures: dict[str, list[hostproto.Figures]] = {}
        self._health: dict[str, tuple[float, float]] = {}

    def inputs(self, latencies: LogHistogram) -> None:
        """Inputs that were decided; the censored ones are lost."""
        _merge(self._seconds, "input.to_frame", latencies)
        for value, count in ((0.0, latencies.n), (1.0, latencies.censored)):
            _merge(self._seconds, "input.lost", repeated(value, count))

    def health(self, node: str, event: hostproto.Health) -> None:
        """What a helper says of itself and of its viewers."""
        self._health[node] = (event.cpu, event.loop_lag_s)
        self._figures.setdefault(node, []).append(event.figures)
        for metric, histogram in event.figures.samples.items():
            _merge(self._seconds, metric, LogHistogram.from_json(histogram))

    def joined(self, stage: str, event: hostproto.Joined) -> None:
        """A viewer has its first picture."""
        wait_s = event.phases.get("queue", 0.0)
        found = {
            "session.join_time": event.join_time_s,
            **{f"session.join.{phase}": length for phase, length in event.phases.items()},
            "pool.wait": float(wait_s > 0),
            "pool.wait_time": wait_s,
        }
        self._session(stage, found)

    def ended(self, stage: str, event: hostproto.Ended, *, joined: bool) -> None:
        """A session is over; one that was stopped before it joined says nothing."""
        summary = event.summary
        if summary.get("cut_short"):
            return
        broken = event.outcome == "interrupted" or summary.get("interruptions", 0) > 0
        found: dict[str, float | None] = {
            "session.failed": float(event.outcome == "failed"),
            "session.abandoned": float(event.outcome == "abandoned"),
            "session.interrupted": float(joined and broken),
        }
        wait_s = summary.get("wait_s")
        if not joined:
            found["session.join_time"] = None
            if wait_s is not None:
                found["pool.wait"] = float(wait_s > 0 or event.reason in _BLOCKED)
                found["pool.wait_time"] = wait_s
        self._session(stage, found)

    def take(self, node: str, cpu: float, in_progress: Iterable[tuple[str, bool]]) -> Pulse:
        """The pulse that is due.

        ``cpu`` is this process's own; ``in_progress`` is the stage of each
        session that goes on, and whether it has joined.
        """
        seconds, self._seconds = self._seconds, {}
        by_stage, self._by_stage = self._by_stage, {}
        figures, self._figures = self._figures, {}
        health, self._health = self._health, {}
        every = [each for told in figures.values() for each in told]
        watching: dict[str, int] = {}
        pending: dict[str, int] = {}
        for stage, joined in in_progress:
            counts = watching if joined else pending
            counts[stage] = counts.get(stage, 0) + 1
        return Pulse(
            node=node,
            cpu=cpu + sum(used for used, _ in health.values()),
            loop_lag_s=max((lag_s for _, lag_s in health.values()), default=0.0),
            frames=sum(each.frames for each in every),
            bytes_received=sum(each.bytes_received for each in every),
            stalled=sum(told[-1].stalled for told in figures.values()),
            watched_s=sum(each.watched_s for each in every),
            frozen_s=sum(each.frozen_s for each in every),
            seconds=_plain(seconds),
            by_stage={stage: _plain(found) for stage, found in by_stage.items()},
            watching=watching,
            pending=pending,
        )

    def _session(self, stage: str, found: Mapping[str, float | None]) -> None:
        histograms = self._by_stage.setdefault(stage, {})
        for metric, value in found.items():
            histogram = histograms.setdefault(metric, LogHistogram())
            if value is None:
                histogram.add_censored()
            else:
                histogram.add(value)


def repeated(value: float, count: int) -> LogHistogram:
    """So many samples of one value."""
    histogram = LogHistogram()
    if count > 0:
        histogram.add(value)
        histogram.n = count
        histogram.total = value * count
        histogram.zeros *= count
        histogram.counts = dict.fromkeys(histogram.counts, count)
    return histogram


def censored(count: int) -> LogHistogram:
    """So many samples that never came."""
    histogram = LogHistogram()
    histogram.censored = count
    return histogram


def _merge(into: dict[str, LogHistogram], metric: str, histogram: LogHistogram) -> None:
    into.setdefault(metric, LogHistogram()).merge(histogram)


def _plain(histograms: Mapping[str, LogHistogram]) -> Histograms:
    return {metric: histogram.to_json() for metric, histogram in histograms.items()}
