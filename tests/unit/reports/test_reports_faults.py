"""Faults: who noticed, who was lost, and when the last had pictures again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from synthetic_run import SCENARIO, event, process, second

from reports.assess import assess
from reports.faults import Fault, fault_row, faults
from reports.html import html
from reports.markdown import markdown
from reports.rundir import RunReader, RunWriter
from reports.svg import style
from reports.timeline import timeline


def _run(path: Path, sessions: dict[str, list[float]], events: list[Any]) -> RunReader:
    """Sessions by name: the seconds at which they had pictures; others are rows without."""
    writer = RunWriter(path, SCENARIO)
    samples = []
    for name, with_frames in sessions.items():
        for t in range(10, 36):
            frames = 20 if t in with_frames else 0
            samples.append(second(t, name, frames_received=frames, frames_captured=frames))
    writer.write_rows("samples", "x", samples)
    writer.write_rows("events", "x", events)
    writer.write_rows("system", "x", [process(t, "helper") for t in range(40)])
    writer.finish()
    return RunReader(path)


def _seconds(*without: int) -> list[float]:
    return [t for t in range(10, 36) if t not in without]


KILL = fault_row("worker_kill", 20.0, "default-1", target="random", whole_s=2.5)


def test_viewers_that_stalled_and_came_back_are_told_apart(tmp_path: Path) -> None:
    run = _run(
        tmp_path,
        {"a": _seconds(), "b": _seconds(20, 21, 22), "c": _seconds(*range(20, 36)),
         "d": _seconds(20), "e": [30.0, 31.0]},
        [KILL],
    )  # fmt: skip
    assert faults(run) == [
        Fault("worker_kill", 20.0, "default-1", 0.0, 2.5, viewers=4, stalled=2, lost=1,
              recovery_s=3.0)
    ]  # fmt: skip


def test_who_was_interrupted_is_lost_though_its_rows_end(tmp_path: Path) -> None:
    gone = event(20.0, "a", "hold", "session.interrupted", 1.0)
    (found,) = faults(_run(tmp_path, {"a": _seconds(), "b": _seconds()}, [KILL, gone]))
    assert (found.stalled, found.lost, found.recovery_s) == (1, 1, None)


def test_who_was_moved_and_stood_still_for_a_moment_is_told_by_the_frame(tmp_path: Path) -> None:
    replaced = event(20.2, "a", "hold", "session.worker_replaced", None)
    stopped = event(12.0, "b", "hold", "session.interrupted", 1.0, code="media_stopped", after_s=8)
    writer = RunWriter(tmp_path, SCENARIO)
    samples = [second(t, name) for name in ("a", "b") for t in range(10, 36)]
    for row in samples:
        at_s = row["t_us"] / 1e6
        row["freeze_s"] = {20.0: 0.6, 30.0: 1.9}.get(at_s, 0.0) if row["session_id"] == "a" else 0.0
        if row["session_id"] == "b" and 20.0 <= at_s < 23.0:
            row["frames_received"] = 0
    writer.write_rows("samples", "x", samples)
    writer.write_rows("events", "x", [KILL, replaced, stopped])
    writer.write_rows("system", "x", [])
    writer.finish()
    (found,) = faults(RunReader(tmp_path))
    assert (found.moved, found.stalled, found.lost, found.recovery_s) == (1, 1, 0, 3.0)
    assert found.freeze_s == 0.6
    assert found.told[1:] == (
        "1 of 2 stalled, 1 moved to another worker",
        "3 s; longest freeze 600 ms; whole after 2.5 s",
    )


def test_each_fault_is_watched_until_the_next(tmp_path: Path) -> None:
    second_fault = fault_row("store_outage", 26.0, "store-0", for_s=5.0)
    run = _run(tmp_path, {"a": _seconds(27, 28)}, [second_fault, KILL])
    first, later = faults(run)
    assert (first.kind, first.stalled) == ("worker_kill", 0)
    assert (later.kind, later.stalled, later.recovery_s, later.for_s) == (
        "store_outage",
        1,
        3.0,
        5.0,
    )
    assert later.freeze_s == 0.0
    assert first.told == ("default-1", "0 of 1 stalled", "nobody noticed; whole after 2.5 s")
    assert later.told == ("store-0", "1 of 1 stalled", "3 s")


def test_a_run_without_faults_has_none(tmp_path: Path) -> None:
    assert faults(_run(tmp_path, {"a": _seconds()}, [])) == []


def test_faults_are_marked_in_the_timeline_and_listed(tmp_path: Path) -> None:
    run = _run(tmp_path, {"a": _seconds(20, 21, 22)}, [KILL])
    assessment = assess(run)
    with mpl.rc_context(style()):
        drawn = timeline(assessment)
    assert drawn is not None
    assert "1 fault marked" in drawn.alt
    page = html(assessment, [drawn])
    assert "<h2>Faults</h2>" in page
    assert "1 of 1 stalled" in page
    assert "| 1 | worker_kill | 20 s | default-1 | 1 of 1 stalled | 3 s" in markdown(assessment)


@pytest.mark.parametrize("attrs", ["", "[]", '{"for_s": "long"}'])
def test_a_fault_with_strange_attributes_is_still_a_fault(tmp_path: Path, attrs: str) -> None:
    (found,) = faults(_run(tmp_path, {"a": _seconds()}, [{**KILL, "attrs": attrs, "value": None}]))
    assert (found.for_s, found.whole_s) == (0.0, None)
