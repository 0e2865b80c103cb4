"""Workers' boots, starts and scrubs as rows of a run, from what the orchestrator has logged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from scenarios.schedule import StageSpan, stage_at
from system.protocol.records import STILL_GOING_ON, EventRow

SOURCE: Final = "orchestrator"
LOG: Final = "orchestrator.log"
"""In the run directory: what the rows come from, and what ``sim replay`` reads."""

_BEGINS: Final = {"worker.launched": "worker.boot", "worker.starting": "worker.start"}
_ENDS: Final = {
    "worker.ready": ("worker.boot", "boot_s"),
    "worker.started": ("worker.start", "start_s"),
    "worker.scrubbed": ("worker.scrub", "scrub_s"),
}
"""What says that something is over: its row, and where its seconds stand."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The run's time: ``epoch`` is second 0 as ``time.time()`` says, ``end_s`` its end."""

    epoch: float
    end_s: float
    spans: list[StageSpan]


def life_rows(log: Iterable[str], axis: Axis) -> list[EventRow]:
    """A row for each boot, start and scrub; one that went on at the end, or failed, is censored.

    A row stands at its beginning. Boots from before second 0 are those that the
    pool began with: they have a negative time and no drawn delay.
    """
    found: list[EventRow] = []
    coming: dict[str, dict[str, Any]] = {}
    for line in _events(log):
        event, worker = line["event"], str(line["worker_id"])
        at_s = line["at_s"] - axis.epoch
        if at_s > axis.end_s:
            break
        if event in _BEGINS:
            coming[worker] = line
        elif event in _ENDS:
            name, key = _ENDS[event]
            length_s = line.get(key)
            if not isinstance(length_s, int | float):
                continue
            began = None if name == "worker.scrub" else coming.pop(worker, None)
            attrs = _drawn(began)
            found.append(_row(axis, name, worker, at_s - length_s, float(length_s), attrs))
        elif event in ("worker.failed", "worker.terminated") and worker in coming:
            why = str(line.get("reason", event))
            found.append(_unfinished(axis, worker, coming.pop(worker), at_s, why))
    for worker, began in coming.items():
        found.append(_unfinished(axis, worker, began, axis.end_s, STILL_GOING_ON))
    return found


def _events(log: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Lines about workers, with ``at_s`` as ``time.time()`` counts; others are not ours."""
    for text in log:
        if '"worker.' not in text:
            continue
        try:
            line = json.loads(text)
            at_s = datetime.fromisoformat(line["time"]).timestamp()
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(line.get("event"), str) and "worker_id" in line:
            yield {**line, "at_s": at_s}


def _drawn(began: dict[str, Any] | None) -> dict[str, Any]:
    delay_s = None if began is None else began.get("delay_s")
    return {"drawn_s": delay_s} if isinstance(delay_s, int | float) else {}


def _unfinished(
    axis: Axis, worker: str, began: dict[str, Any], until_s: float, why: str
) -> EventRow:
    began_s = began["at_s"] - axis.epoch
    after_s = round(max(0.0, until_s - began_s), 6)
    attrs = {"censored": True, "after_s": after_s, "why": why, **_drawn(began)}
    return _row(axis, _BEGINS[began["event"]], worker, began_s, None, attrs)


def _row(
    axis: Axis, event: str, worker: str, at_s: float, value: float | None, attrs: dict[str, Any]
) -> EventRow:
    return EventRow(
        t_us=round(at_s * 1e6),
        source=SOURCE,
        node=worker,
        session_id="",
        stage=stage_at(axis.spans, at_s),
        event=event,
        value=value,
        unit="s",
        attrs=json.dumps(attrs) if attrs else "",
    )
