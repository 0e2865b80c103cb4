"""Limits judged while a run is in progress."""

from __future__ import annotations

from typing import Any

import pytest

from reports.live import LiveGates, statistic
from scenarios.gates import Gate
from scenarios.schedule import StageSpan
from system.client.histogram import LogHistogram

SPANS = [StageSpan("warmup", 0, 10, False), StageSpan("ramp", 10, 20, True),
         StageSpan("hold", 20, 60, True)]  # fmt: skip


def _gate(**keys: Any) -> Gate:
    return Gate.model_validate({"id": "g", "metric": "session.failed", "stat": "mean", **keys})


def test_a_broken_limit_aborts_once_it_is_judged() -> None:
    live = LiveGates([_gate(abort={"after": "5s"}, **{"<=": "10%"})], SPANS)
    live.add("session.failed", 1.0, 11.0)
    assert live.aborted(14.9) is None
    found = live.aborted(15.0)
    assert found is not None
    assert (found.gate, found.at_s) == ("g", 15.0)
    assert found.reason == "session.failed mean 100 % > 10 %"


def test_the_warm_up_counts_neither_as_time_nor_as_samples() -> None:
    live = LiveGates([_gate(abort={"after": "1s"}, **{"<=": "10%"})], SPANS)
    live.add("session.failed", 1.0, 3.0)
    assert live.aborted(10.5) is None
    assert live.aborted(30.0) is None


def test_a_gate_of_a_stage_waits_for_that_stage() -> None:
    gate = _gate(metric="session.join_time", stat="p95", during="hold", abort={"after": "5s"},
                 **{"<=": "2s"})  # fmt: skip
    live = LiveGates([gate], SPANS)
    live.add("session.join_time", 9.0, 15.0)
    assert live.aborted(40.0) is None
    live.add("session.join_time", None, 21.0)
    assert live.aborted(24.0) is None
    found = live.aborted(26.0)
    assert found is not None
    assert "∞ > 2 s" in found.reason


def test_gates_without_abort_and_kept_limits_go_on() -> None:
    live = LiveGates([_gate(**{"<=": "1%"}), _gate(id="h", abort={}, **{"<=": "50%"})], SPANS)
    for value in (1.0, 0.0):
        live.add("session.failed", value, 12.0)
    assert live.aborted(30.0) is None


def test_histograms_of_sessions_are_merged_within_one_per_cent() -> None:
    gate = _gate(metric="input.to_frame", stat="p50", **{"<=": "1s"})
    live = LiveGates([gate], SPANS)
    for part in range(4):
        histogram = LogHistogram()
        for number in range(part, 1000, 4):
            histogram.add((number + 1) / 1000)
        live.merge("input.to_frame", histogram, 12.0)
    live.merge("video.fps", LogHistogram(), 12.0)
    assert live.value(gate) == pytest.approx(0.5, rel=0.01)
    assert live.value(gate, "hold") is None


def test_the_step_of_a_search_is_judged_by_itself() -> None:
    steps = [StageSpan("viewers-2", 0, 10, True), StageSpan("viewers-4", 10, 20, True)]
    gate = _gate(metric="session.join_time", stat="max", **{"<=": "2s"})
    live = LiveGates([gate], steps)
    live.add("session.join_time", 1.0, 1.0)
    live.add("session.join_time", 3.0, 11.0)
    assert live.missed("viewers-2") is None
    missed = live.missed("viewers-4")
    assert missed is not None
    assert missed == (gate, "session.join_time max 3 s > 2 s")


def test_statistics_of_a_histogram() -> None:
    histogram = LogHistogram()
    assert statistic(histogram, "p95") is None
    histogram.add_censored()
    assert statistic(histogram, "mean") == statistic(histogram, "p50") == float("inf")
    for value in (1.0, 2.0, 3.0):
        histogram.add(value)
    assert statistic(histogram, "mean") == 2.0
    assert statistic(histogram, "min") == 1.0
    assert statistic(histogram, "max") == float("inf")
    assert statistic(histogram, "p50") == pytest.approx(2.0, rel=0.01)
