"""A session as a trace that Perfetto and chrome://tracing open: join phases, inputs, seconds."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from reports.attributes import attributes, happened_s
from reports.errors import RunDirError
from reports.faults import PREFIX
from reports.rundir import RunReader
from system.protocol.metrics import JOIN_PHASES

_SESSION, _RUN = 1, 2
_JOIN, _INPUTS, _STAGE = 1, 2, 3
_COUNTERS = {
    "frames": ("frames_received", "frames_captured"),
    "bytes": ("bytes_received",),
    "packets lost": ("packets_lost",),
    "rtt ms": ("rtt_s",),
}


def trace(run: RunReader, session: str) -> dict[str, Any]:
    """Build the trace of one session; raises RunDirError where there is none of that name."""
    known = run.events["session_id"].cat.categories.astype(str)
    if session not in set(known) - {""}:
        near = difflib.get_close_matches(session, known, n=1)
        hint = f", did you mean '{near[0]}'?" if near else ""
        raise RunDirError(f"{run.path}: has no session '{session}'{hint}")
    rows = run.events[run.events["session_id"] == session]
    events = [
        _name(_SESSION, "process_name", f"session {session}"),
        _name(_SESSION, "thread_name", "join", _JOIN),
        _name(_SESSION, "thread_name", "inputs", _INPUTS),
        _name(_RUN, "process_name", f"run {run.info.name}"),
        *_joined(rows),
        *_inputs(rows),
        *_marks(rows),
        *_seconds(run.samples[run.samples["session_id"] == session]),
        *_around(run),
    ]
    return {
        "displayTimeUnit": "ms",
        "otherData": {"scenario": run.info.name, "session": session, "seed": run.info.seed},
        "traceEvents": events,
    }


def _name(pid: int, what: str, name: str, tid: int = 0) -> dict[str, Any]:
    return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {"name": name}}


def _span(pid: int, tid: int, name: str, start_us: float, length_s: float) -> dict[str, Any]:
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": round(start_us),
            "dur": round(length_s * 1e6)}  # fmt: skip


def _joined(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The phases one after the other, from the scheduled arrival."""
    lengths = {
        str(name): float(value) for name, value in zip(rows["event"], rows["value"], strict=True)
    }
    joined = rows[rows["event"] == "session.join_time"]
    if joined.empty:
        return
    at_us = float(joined["t_us"].iloc[0])
    total_s = float(joined["value"].iloc[0])
    if math.isnan(total_s):
        total_s = float(str(attributes(joined["attrs"].iloc[0]).get("after_s", 0.0)))
        yield _span(_SESSION, _JOIN, "join, never completed", at_us, total_s)
        return
    yield _span(_SESSION, _JOIN, "join", at_us, total_s)
    for phase in JOIN_PHASES:
        length_s = lengths.get(f"session.join.{phase}", math.nan)
        if math.isfinite(length_s):
            yield _span(_SESSION, _JOIN, phase, at_us, length_s)
            at_us += length_s * 1e6


def _inputs(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Each input until the frame that shows it; inputs overlap, so they are asynchronous."""
    inputs = rows[rows["event"] == "input.to_frame"]
    common = {"pid": _SESSION, "tid": _INPUTS, "cat": "input"}
    for number, (t_us, value) in enumerate(zip(inputs["t_us"], inputs["value"], strict=True)):
        if np.isnan(value):
            yield {"ph": "i", "s": "t", "name": "input, never seen", "ts": int(t_us), **common}
            continue
        event = {"id": number, "name": "input to frame", **common}
        yield {"ph": "b", "ts": int(t_us), **event}
        yield {"ph": "e", "ts": round(t_us + value * 1e6), **event}


def _marks(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for what in ("failed", "abandoned", "interrupted"):
        found = rows[(rows["event"] == f"session.{what}") & (rows["value"] == 1.0)]
        for text, at_s in zip(found["attrs"], happened_s(found), strict=True):
            yield {"ph": "i", "s": "p", "pid": _SESSION, "tid": _JOIN, "name": what,
                   "ts": round(at_s * 1e6), "args": attributes(text)}  # fmt: skip


def _seconds(samples: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for _, row in samples.iterrows():
        for name, columns in _COUNTERS.items():
            scale = 1e3 if name.endswith("ms") else 1.0
            values = {column: float(row[column]) * scale for column in columns}
            if all(math.isfinite(value) for value in values.values()):
                yield {"ph": "C", "pid": _SESSION, "name": name, "ts": int(row["t_us"]),
                       "args": values}  # fmt: skip


def _around(run: RunReader) -> Iterator[dict[str, Any]]:
    """Stages and faults of the whole run."""
    yield _name(_RUN, "thread_name", "stages", _STAGE)
    for span in run.spans:
        yield _span(_RUN, _STAGE, span.name, span.start_s * 1e6, span.end_s - span.start_s)
    for name in run.event_names:
        if name.startswith(PREFIX):
            for _, row in run.rows(name).iterrows():
                yield {"ph": "i", "s": "g", "pid": _RUN, "tid": _STAGE, "name": name,
                       "ts": int(row["t_us"]), "args": attributes(row["attrs"])}  # fmt: skip
