"""Rows become samples: stages, censoring, partial seconds, NaN, pool weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_run import SCENARIO, event, process, second

from reports.measure import measure
from reports.rundir import RunReader, RunWriter
from reports.samples import Samples, stage_codes
from scenarios import schedule
from scenarios.loader import loads

SPANS = schedule.stages(loads(SCENARIO))


def _measure(path: Path, **tables: list[dict[str, object]]) -> dict[str, Samples]:
    writer = RunWriter(path, SCENARIO)
    for name, rows in tables.items():
        writer.write_rows(name, "x", rows)  # type: ignore[arg-type]
    writer.finish()
    return measure(RunReader(path))


def test_times_fall_into_stages_and_outside_into_none() -> None:
    times = np.array([-1.0, 0.0, 4.999, 5.0, 14.999, 15.0, 39.999, 40.0, 99.0])
    assert stage_codes(times, SPANS).tolist() == [-1, 0, 0, 1, 1, 2, 2, -1, -1]


def test_only_measured_stages_count_and_a_gate_may_name_one(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        events=[
            event(6.0, "a", "warmup", "session.join_time", 1.0),
            event(7.0, "b", "ramp", "session.join_time", 2.0),
            event(20.0, "c", "hold", "session.join_time", 3.0),
        ],
    )["session.join_time"]
    assert found.during(SPANS).values.tolist() == [2.0, 3.0]
    assert found.during(SPANS, "hold").values.tolist() == [3.0]
    assert found.during(SPANS, "warmup").values.tolist() == [1.0]


def test_a_second_belongs_to_its_own_time_whatever_its_session(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        samples=[second(4.0, "a", "warmup", frames_received=10), second(6.0, "a", "warmup")],
    )["video.fps"]
    assert found.during(SPANS).values.tolist() == [20.0]


def test_an_event_without_a_stage_falls_into_that_of_its_time(tmp_path: Path) -> None:
    found = _measure(tmp_path, events=[event(20.0, "a", "", "input.to_frame", 0.1)])
    assert found["input.to_frame"].during(SPANS, "hold").values.tolist() == [0.1]


def test_a_censored_row_is_infinite_and_a_null_without_reason_is_nothing(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        events=[
            event(20.0, "a", "hold", "session.join_time", None, censored=True, after_s=3.0),
            event(20.0, "b", "hold", "session.join_time", None),
            event(20.0, "c", "hold", "session.join_time", math.nan),
            event(20.0, "d", "hold", "session.join_time", 1.0),
        ],
    )
    assert found["session.join_time"].values.tolist() == [math.inf, 1.0]


def test_a_failed_join_without_a_row_does_not_vanish(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        events=[
            event(20.0, "a", "hold", "session.failed", 1.0),
            event(20.0, "b", "hold", "session.failed", 0.0),
            event(20.0, "b", "hold", "session.join_time", 1.0),
            event(21.0, "c", "hold", "session.join_time", 2.0),
            event(25.0, "c", "hold", "session.failed", 1.0),
            event(26.0, "d", "hold", "session.abandoned", 1.0),
            event(26.0, "d", "hold", "session.failed", 1.0),
        ],
    )["session.join_time"]
    assert sorted(found.values.tolist()) == [1.0, 2.0, math.inf, math.inf]
    assert len(found.during(SPANS, "hold").values) == 4


def test_lost_inputs_are_censored_once_with_or_without_rows_of_their_own(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        events=[
            event(20.0, "a", "hold", "input.lost", 1.0),
            event(20.0, "a", "hold", "input.to_frame", None, censored=True, after_s=2.0),
            event(21.0, "a", "hold", "input.lost", 1.0),
            event(22.0, "b", "hold", "input.lost", 1.0),
            event(22.0, "b", "hold", "input.lost", 0.0),
            event(22.0, "b", "hold", "input.to_frame", 0.05),
        ],
    )["input.to_frame"]
    assert sorted(found.values.tolist()) == [0.05, math.inf, math.inf, math.inf]


def test_rates_of_a_partial_second_are_per_second_and_slivers_are_left_out(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        samples=[
            second(20.0, "a", duration_s=0.5, frames_received=10, bytes_received=1000),
            second(21.0, "a", duration_s=0.05, frames_received=5),
        ],
    )
    assert found["video.fps"].values.tolist() == [20.0]
    assert found["video.bitrate"].values.tolist() == [16_000.0]


def test_delivery_needs_captured_frames_and_never_exceeds_one(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        samples=[
            second(20.0, "a", frames_received=9, frames_captured=10),
            second(21.0, "a", frames_received=0, frames_captured=0),
            second(22.0, "a", frames_received=11, frames_captured=10),
            second(23.0, "a", frames_received=0, frames_captured=4),
        ],
    )["video.frame_delivery"]
    assert found.values.tolist() == [0.9, 1.0, 0.0]


def test_unknown_round_trips_and_empty_seconds_are_no_samples(tmp_path: Path) -> None:
    found = _measure(
        tmp_path,
        samples=[
            second(20.0, "a", rtt_s=math.nan, packets_received=0, packets_lost=0),
            second(21.0, "a", rtt_s=0.004, packets_received=90, packets_lost=10),
        ],
    )
    assert found["net.rtt"].values.tolist() == [0.004]
    assert found["net.loss"].values.tolist() == [0.1]


def test_pool_states_hold_until_the_next_row(tmp_path: Path) -> None:
    def pool(t_s: float, ready: int, busy: int) -> dict[str, object]:
        return process(t_s, "pool", ready=ready, booting=0, busy=busy, stopped=0)

    found = _measure(tmp_path, system=[pool(15.0, 2, 0), pool(35.0, 1, 1), process(20.0, "helper")])
    ready = found["pool.workers.ready"]
    assert ready.values.tolist() == [2.0, 1.0]
    assert ready.weights_s is not None
    assert ready.weights_s.tolist() == [20.0, 5.0]
    assert found["pool.cost"].values.tolist() == [4.0, 4.0]


def test_an_empty_run_has_no_metrics(make_run: Callable[..., Path]) -> None:
    assert measure(RunReader(make_run(with_rows=False))) == {}


@pytest.mark.parametrize("attrs", ["censored", "[censored]", '{"censored": "yes"}', "null"])
def test_strange_attributes_censor_nothing(tmp_path: Path, attrs: str) -> None:
    row = event(20.0, "a", "hold", "session.join_time", None)
    row["attrs"] = attrs
    assert _measure(tmp_path, events=[row]) == {}
