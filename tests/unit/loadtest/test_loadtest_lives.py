"""Boots and scrubs of an embedded run, from the orchestrator's log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from loadtest._lives import Axis, life_rows
from scenarios.schedule import StageSpan
from system.protocol.records import DURATIONS, EVENT_COLUMNS, EventRow

EPOCH = 1_800_000_000.0
AXIS = Axis(EPOCH, 60.0, [StageSpan("warm", 0.0, 10.0, False), StageSpan("hold", 10.0, 60.0, True)])


def line(at_s: float, event: str, worker: str, **fields: Any) -> str:
    time = datetime.fromtimestamp(EPOCH + at_s, UTC).isoformat(timespec="milliseconds")
    told = {"time": time.replace("+00:00", "Z"), "event": event, "worker_id": worker, **fields}
    return json.dumps(told)


def row(found: list[EventRow]) -> tuple[str, str, float, float | None, dict[str, Any]]:
    (only,) = found
    assert set(only) == set(EVENT_COLUMNS)
    assert only["event"] in DURATIONS
    attrs = json.loads(only["attrs"]) if only["attrs"] else {}
    return only["event"], only["stage"], only["t_us"] / 1e6, only["value"], attrs


def test_a_boot_stands_at_its_launch_with_the_part_that_was_drawn() -> None:
    log = [
        line(4.0, "worker.launched", "w", delay_s=5.0),
        line(10.5, "worker.ready", "w", boot_s=6.4),
    ]
    event, stage, at_s, value, attrs = row(life_rows(log, AXIS))
    assert (event, stage, value, attrs) == ("worker.boot", "warm", 6.4, {"drawn_s": 5.0})
    assert at_s == pytest.approx(4.1, abs=0.001)


def test_workers_of_the_beginning_are_told_by_a_negative_time() -> None:
    log = [
        line(-3.0, "worker.launched", "w", delay_s=None),
        line(-1.0, "worker.ready", "w", boot_s=2.0),
    ]
    assert row(life_rows(log, AXIS)) == ("worker.boot", "warm", -3.0, 2.0, {})


@pytest.mark.parametrize(
    ("end", "after_s", "why"),
    [
        ([], 48.0, "still going on"),
        ([line(15.0, "worker.failed", "w", reason="exited with status 3")], 3.0, "exited with"),
        ([line(61.0, "worker.ready", "w", boot_s=49.0)], 48.0, "still going on"),
    ],
)
def test_a_boot_without_a_good_end_is_censored(end: list[str], after_s: float, why: str) -> None:
    log = [line(12.0, "worker.launched", "w", delay_s=40.0), *end]
    _, _, at_s, value, attrs = row(life_rows(log, AXIS))
    assert (at_s, value, attrs["after_s"], attrs["censored"]) == (12.0, None, after_s, True)
    assert attrs["why"].startswith(why)


def test_a_start_from_stopped_is_a_row_of_its_own_kind() -> None:
    log = [
        line(5.0, "worker.starting", "w", delay_s=1.0),
        line(7.5, "worker.started", "w", start_s=2.5),
        line(8.0, "worker.starting", "v", delay_s=1.0),
    ]
    first, second = life_rows(log, AXIS)
    assert row([first])[::3] == ("worker.start", 2.5)
    assert row([first])[4] == {"drawn_s": 1.0}
    assert row([second])[::3] == ("worker.start", None)
    assert row([second])[4]["after_s"] == 52.0


def test_scrubs_and_starts_are_rows_and_failures_later_on_are_none() -> None:
    log = [
        line(20.0, "worker.scrubbed", "w", scrub_s=0.5),
        line(21.0, "worker.failed", "w", reason="killed by signal 9"),
        line(22.0, "worker.started", "w", start_s=1.5),
    ]
    found = [(one["event"], one["t_us"] / 1e6, one["value"]) for one in life_rows(log, AXIS)]
    assert found == [("worker.scrub", 19.5, 0.5), ("worker.start", 20.5, 1.5)]


@pytest.mark.parametrize(
    "text",
    ["", "Traceback (most recent call last):", '"worker.ready"', '{"event": "worker.ready"}',
     '{"time": "yesterday", "event": "worker.ready", "worker_id": "w"}',
     '{"time": "2026-01-01T00:00:00Z", "event": "worker.ready", "worker_id": "w"}'],
)  # fmt: skip
def test_lines_that_say_nothing_of_a_boot_are_passed_over(text: str) -> None:
    assert life_rows([text], AXIS) == []
