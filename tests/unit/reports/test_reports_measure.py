"""Rows become samples: stages, censoring, partial seconds, NaN, pool weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_run import SCENARIO, event, process, second

from reports.measure import from_start, measure
from reports.rundir import RunReader, RunWriter
from reports.samples import Samples, stage_codes
from scenarios import schedule
from scenarios.loader import loads
from system.client.histogram import LogHistogram

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
            event(20.0, "c", "hold", "session.join_time", math.nan, censored=True),
            event(20.0, "d", "hold", "session.join_time", 1.0),
        ],
    )
    assert found["session.join_time"].values.tolist() == [math.inf, math.inf, 1.0]


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


def _histogram(values: list[float], censored: int = 0) -> dict[str, object]:
    histogram = LogHistogram()
    for value in values:
        histogram.add(value)
    for _ in range(censored):
        histogram.add_censored()
    return histogram.to_json()


def test_a_histogram_stands_for_its_samples_within_one_per_cent(tmp_path: Path) -> None:
    values = [0.0, *(0.01 * 1.07**k for k in range(60))]
    found = _measure(
        tmp_path,
        events=[
            event(20.0, "a", "hold", "input.to_frame", None, histogram=_histogram(values, 2)),
            event(20.0, "b", "hold", "input.to_frame", 0.5),
            event(20.0, "c", "hold", "input.to_frame", None, histogram={"n": "many"}),
        ],
    )["input.to_frame"]
    assert len(found.values) == 64
    mine = np.sort(found.values[found.sessions == found.sessions[-1]])
    assert np.isinf(mine[-2:]).all()
    assert mine[:-2] == pytest.approx(sorted(values), rel=0.0101)
    assert len(np.unique(found.sessions)) == 2


def test_joins_and_inputs_are_also_measured_from_when_they_began(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO)
    writer.write_rows("events", "x", [
        event(20.0, "a", "hold", "session.join_time", 0.5),
        event(20.0, "a", "hold", "session.join.schedule", 0.2),
        event(20.0, "b", "hold", "session.join_time", None, censored=True),
        event(21.0, "a", "hold", "input.to_frame", 0.10, late_s=0.04),
        event(22.0, "a", "hold", "input.to_frame", 0.05),
        event(23.0, "a", "hold", "input.lost", 1.0),
    ])  # fmt: skip
    writer.finish()
    run = RunReader(tmp_path)
    found = from_start(run, measure(run))
    assert found["session.join_time"].values.tolist() == pytest.approx([0.3, math.inf])
    assert sorted(found["input.to_frame"].values.tolist()) == pytest.approx([0.05, 0.06, math.inf])


def test_several_pools_are_summed_each_at_its_own_price(tmp_path: Path) -> None:
    text = SCENARIO.replace(
        "pool:\n  policy: {kind: buffer, warm: 2}\n  price: {running: 2 USD/h}\n",
        "pool:\n"
        "  - {name: a, share: 50%, policy: {kind: fixed, size: 1}, price: {running: 2 USD/h}}\n"
        "  - {name: b, share: 50%, policy: {kind: fixed, size: 1}, price: {running: 5 USD/h}}\n",
    )
    writer = RunWriter(tmp_path, text)
    states = {"booting": 0, "stopped": 0}
    writer.write_rows("system", "x", [
        process(15.0, "pool", "pool-a", ready=1, busy=1, **states),
        process(25.0, "pool", "pool-b", ready=3, busy=0, **states),
        process(35.0, "pool", "pool-a", ready=0, busy=0, **states),
    ])  # fmt: skip
    writer.finish()
    found = measure(RunReader(tmp_path))
    assert found["pool.workers.ready"].values.tolist() == [1.0, 4.0, 3.0]
    assert found["pool.cost"].values.tolist() == [4.0, 19.0, 15.0]
    assert found["pool.cost"].weights_s is not None
    assert found["pool.cost"].weights_s.tolist() == [10.0, 10.0, 5.0]


def test_replications_are_told_apart_by_their_nodes(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO, kind="simulated")
    rows = [{**event(20.0, "1", "hold", "pool.wait_time", float(day)), "node": f"r{day}"}
            for day in range(3)]  # fmt: skip
    writer.write_rows("events", "x", rows)
    pool = {"booting": 0, "busy": 0, "stopped": 0}
    writer.write_rows("system", "x", [
        process(0.0, "pool", f"r{day}/pool-default", ready=day, **pool) for day in range(3)
    ])  # fmt: skip
    writer.finish()
    found = measure(RunReader(tmp_path))
    waits, ready = found["pool.wait_time"], found["pool.workers.ready"]
    assert waits.replications is not None
    assert waits.replications.tolist() == [0, 1, 2]
    assert len(np.unique(waits.sessions)) == 3
    assert ready.replications is not None
    assert ready.values.tolist() == [0.0, 1.0, 2.0]


def test_a_node_of_a_measured_run_is_no_replication(tmp_path: Path) -> None:
    rows = [{**event(20.0, "a", "hold", "pool.wait", 0.0), "node": f"r{k}"} for k in range(3)]
    assert _measure(tmp_path, events=rows)["pool.wait"].replications is None


def test_seconds_between_two_stages_belong_to_none() -> None:
    spans = [schedule.StageSpan("a", 3.0, 10.0, True), schedule.StageSpan("b", 13.0, 20.0, True)]
    times = np.array([2.0, 3.0, 9.9, 10.0, 12.9, 13.0, 20.0])
    assert stage_codes(times, spans).tolist() == [-1, 0, 0, -1, -1, 1, -1]
