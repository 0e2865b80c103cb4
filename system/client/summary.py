"""Rows of run files and the summary of one session. Pure.

A session's summary is one JSON object: counts, and sparse histograms by metric
name (``system.client.histogram``), so that a swarm's master can merge sessions
and bootstrap over them without the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from system.client.client import RemoteRenderClient
from system.client.errors import JoinFailed
from system.client.hostproto import Outcome, Span, Start
from system.client.latency import InputSample
from system.client.meter import Second
from system.client.pictures import PictureSample
from system.protocol.metrics import METRICS
from system.protocol.records import DURATIONS, EventRow, SampleRow

SOURCE = "client"
_BLOCKED = frozenset({"no_capacity", "queue_full"})


@dataclass(frozen=True, slots=True)
class RunClock:
    """Converts this process's monotonic seconds to the run's microseconds and stages."""

    epoch: float
    offset_s: float
    node: str
    stages: tuple[Span, ...] = ()

    def t_us(self, monotonic_s: float) -> int:
        return round((monotonic_s + self.offset_s - self.epoch) * 1e6)

    def monotonic(self, realtime_s: float) -> float:
        return realtime_s - self.offset_s

    def stage(self, monotonic_s: float, default: str) -> str:
        """The stage of a time; before the first and after the last, the nearest."""
        if not self.stages:
            return default
        t_s = monotonic_s + self.offset_s - self.epoch
        for span in self.stages:
            if t_s < span.end_s:
                return span.name
        return self.stages[-1].name


@dataclass(frozen=True, slots=True)
class Result:
    """How a session went. ``joined_s`` None: no first frame; times are monotonic.

    ``stopped``: from outside, before the viewer had had enough.
    """

    outcome: Outcome
    reason: str
    scheduled_s: float
    joined_s: float | None
    ended_s: float
    failure: JoinFailed | None = None
    stopped: bool = False

    @property
    def cut_short(self) -> bool:
        """Stopped from outside before its first frame: it says nothing about joining."""
        return self.outcome == "ok" and self.joined_s is None


def sample_row(clock: RunClock, start: Start, second: Second) -> SampleRow:
    added = second.added
    return SampleRow(
        t_us=clock.t_us(second.began_s),
        node=clock.node,
        session_id=start.id,
        stage=clock.stage(second.began_s, start.stage),
        tier=start.tier,
        duration_s=second.duration_s,
        frames_received=second.frames_received,
        frames_captured=second.frames_captured,
        frames_decoded=second.frames_decoded,
        bytes_received=added.bytes_received,
        packets_received=added.packets_received,
        packets_lost=added.packets_lost,
        nack_count=added.nack_count,
        pli_count=added.pli_count,
        freeze_count=second.freeze_count,
        freeze_s=second.freeze_s,
        rtt_s=second.rtt_s,
        jitter_s=added.jitter_s,
        inputs_sent=second.inputs_sent,
        inputs_acked=second.inputs_acked,
        keyframes=added.keyframes,
    )


def event_row(
    clock: RunClock,
    start: Start,
    at_s: float,
    stage: str,
    event: str,
    value: float | None,
    attrs: dict[str, Any] | None = None,
) -> EventRow:
    metric = METRICS.get(event)
    return EventRow(
        t_us=clock.t_us(at_s),
        source=SOURCE,
        node=clock.node,
        session_id=start.id,
        stage=stage,
        event=event,
        value=value,
        unit=metric.unit if metric else "s" if event in DURATIONS else "",
        attrs=json.dumps(attrs) if attrs else "",
    )


def input_rows(clock: RunClock, start: Start, samples: Sequence[InputSample]) -> Iterator[EventRow]:
    """Two rows per input: its latency, censored where it was not seen, and whether it was lost.

    The latency counts from when the input was due; ``late_s`` of ``attrs`` says
    how much of it passed before the input was sent, where that is a millisecond.
    """
    for sample in samples:
        at_s = sample.scheduled_s
        stage = clock.stage(at_s, start.stage)
        attrs = {} if sample.value_s is not None else _censored(sample.after_s)
        late_s = round(sample.late_s, 3)
        if late_s > 0:
            attrs["late_s"] = late_s
        yield event_row(clock, start, at_s, stage, "input.to_frame", sample.value_s, attrs)
        yield event_row(clock, start, at_s, stage, "input.lost", float(sample.lost))


def picture_rows(clock: RunClock, start: Start, sample: PictureSample) -> Iterator[EventRow]:
    """Two rows per judged picture, in the stage of the frame's own time."""
    stage = clock.stage(sample.at_s, start.stage)
    for event, value in (("video.psnr", sample.psnr_db), ("video.ssim", sample.ssim)):
        attrs = {"frame_id": sample.frame_id}
        yield event_row(clock, start, sample.at_s, stage, event, value, attrs)


def session_rows(
    clock: RunClock, start: Start, result: Result, client: RemoteRenderClient | None
) -> Iterator[EventRow]:
    """The rows of a session that has ended; they belong to the stage of its arrival."""

    def row(event: str, value: float | None, attrs: dict[str, Any] | None = None) -> EventRow:
        return event_row(clock, start, result.scheduled_s, start.stage, event, value, attrs)

    after_s = result.ended_s - result.scheduled_s
    if client is not None and result.joined_s is not None:
        yield row("session.join_time", client.timeline.join_time_s)
        for phase, length in client.timeline.phases_s().items():
            yield row(f"session.join.{phase}", length)
        freezes = client.meter.freezes
        yield row(
            "video.freeze_ratio",
            client.meter.freeze_ratio(result.ended_s),
            {
                "freeze_count": freezes.count,
                "frozen_s": round(freezes.frozen_s, 6),
                "w3c_freeze_count": freezes.w3c_count,
                "w3c_frozen_s": round(freezes.w3c_frozen_s, 6),
            },
        )
    elif not result.cut_short:
        yield row("session.join_time", None, _censored(after_s))
    if not result.cut_short:
        yield row("session.failed", float(result.outcome == "failed"), _why(result))
        yield row("session.abandoned", float(result.outcome == "abandoned"), _left(result))
        yield row("session.interrupted", *_interrupted(result, client))
    yield from _durations(row, result, client)
    wait_s = waited_s(result, client)
    if wait_s is not None and client is not None:
        blocked = client.queued_s is not None or result.reason in _BLOCKED
        yield row("pool.wait", float(blocked))
        yield row("pool.wait_time", wait_s)


def _durations(
    row: Callable[[str, float | None, dict[str, Any] | None], EventRow],
    result: Result,
    client: RemoteRenderClient | None,
) -> Iterator[EventRow]:
    """How long the viewer stayed, and stood in the queue; what a model is fitted to."""
    if client is None:
        return
    if result.joined_s is not None:
        stayed_s = result.ended_s - result.joined_s
        if result.outcome == "ok" and not result.stopped:
            held_s = result.ended_s - (client.created_s or result.joined_s)
            yield row("session.length", stayed_s, {"held_s": round(held_s, 6)})
        else:
            yield row("session.length", None, _censored(stayed_s))
    if client.queued_s is not None:
        waited = (client.created_s or result.ended_s) - client.queued_s
        if result.outcome == "abandoned" and client.created_s is None:
            yield row("session.patience", waited, None)
        else:
            yield row("session.patience", None, _censored(waited))


def waited_s(result: Result, client: RemoteRenderClient | None) -> float | None:
    """Time in the queue, 0 if served or blocked at once; None if the pool never answered."""
    if client is None:
        return None
    if client.queued_s is not None:
        return (client.created_s or result.ended_s) - client.queued_s
    return 0.0 if client.created_s is not None or result.reason in _BLOCKED else None


def summary(start: Start, result: Result, client: RemoteRenderClient | None) -> dict[str, Any]:
    """What the ``ended`` event carries."""
    body: dict[str, Any] = {
        "stage": start.stage,
        "tier": start.tier,
        "joined": result.joined_s is not None,
        "cut_short": result.cut_short,
        "after_s": result.ended_s - result.scheduled_s,
        "wait_s": waited_s(result, client),
    }
    if result.failure is not None:
        body["phase"] = result.failure.phase
        body["text"] = result.failure.text
    if client is None or result.joined_s is None:
        return body
    totals, freezes = client.meter.totals, client.meter.freezes
    body |= {
        "join_time_s": client.timeline.join_time_s,
        "phases": client.timeline.phases_s(),
        "session_s": result.ended_s - result.joined_s,
        "frames_received": totals.frames_received,
        "frames_captured": totals.frames_captured,
        "frames_decoded": totals.frames_decoded,
        "bytes_received": totals.bytes_received,
        "packets_received": totals.packets_received,
        "packets_lost": totals.packets_lost,
        "interruptions": client.meter.interruptions,
        "freeze_count": freezes.count,
        "frozen_s": freezes.frozen_s,
        "freeze_ratio": client.meter.freeze_ratio(result.ended_s),
        "inputs_sent": client.meter.inputs_sent,
        "inputs_lost": totals.inputs_lost,
        "pictures_skipped": client.pictures_skipped,
        "histograms": {name: h.to_json() for name, h in totals.histograms.items()},
    }
    return body


def _interrupted(
    result: Result, client: RemoteRenderClient | None
) -> tuple[float, dict[str, Any] | None]:
    """Media stopped: for good, or for a while in a session that went on (with another worker).

    The row is of the session's arrival; ``after_s`` of ``attrs`` says when it happened.
    """
    if result.outcome == "interrupted":
        return 1.0, _why(result)
    meter = None if client is None or result.joined_s is None else client.meter
    if meter is None or meter.interrupted_s is None:
        return 0.0, None
    after_s = round(meter.interrupted_s - result.scheduled_s, 3)
    return 1.0, {"code": "media_stopped", "times": meter.interruptions, "after_s": after_s}


def _censored(after_s: float) -> dict[str, Any]:
    return {"censored": True, "after_s": round(max(0.0, after_s), 6)}


def _left(result: Result) -> dict[str, Any] | None:
    if result.outcome != "abandoned":
        return None
    return {"after_s": round(result.ended_s - result.scheduled_s, 3)}


def _why(result: Result) -> dict[str, Any] | None:
    if result.outcome not in ("failed", "interrupted"):
        return None
    after_s = round(result.ended_s - result.scheduled_s, 3)
    why: dict[str, Any] = {"code": result.reason, "after_s": after_s}
    if result.failure is not None:
        why |= {"phase": result.failure.phase, "text": result.failure.text}
    return why
