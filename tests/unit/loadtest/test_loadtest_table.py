"""The rows of Locust's table and the reasons in it."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest._table import Table, latencies_ms, readable
from system.client.histogram import LogHistogram


class Request:
    """Locust's request event."""

    def __init__(self) -> None:
        self.fired: list[dict[str, Any]] = []

    def fire(self, **row: Any) -> None:
        self.fired.append(row)

    def rows(self) -> list[tuple[str, float, str | None]]:
        return [(r["request_type"], r["response_time"], r["exception"]) for r in self.fired]


@pytest.fixture
def request_event() -> Request:
    return Request()


@pytest.fixture
def table(request_event: Request) -> Table:
    return Table(request_event)


def test_reasons_that_differ_by_an_id_alone_are_one_reason() -> None:
    texts = {
        readable("failed", f"worker w-{number:04d} left session 5f3a9c{number:02d} at 10.{number}")
        for number in range(20)
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("outcome", "reason", "phase", "text"),
    [
        ("failed", "timeout", "ice", "failed: timed out (ice)"),
        ("failed", "no_capacity", "", "failed: no capacity"),
        ("interrupted", "worker_lost", "", "interrupted: the worker was lost"),
        ("abandoned", "abandoned", "queue", "left the queue"),
        ("failed", "something_new", "", "failed: something new"),
    ],
)
def test_a_reason_is_a_short_line(outcome: str, reason: str, phase: str, text: str) -> None:
    assert readable(outcome, reason, phase) == text


def test_a_histogram_becomes_as_many_samples_within_one_percent() -> None:
    histogram = LogHistogram()
    values = [0.010, 0.010, 0.025, 0.250]
    for value in values:
        histogram.add(value)
    assert latencies_ms(histogram) == pytest.approx([v * 1000 for v in values], rel=0.011)


def test_a_session_that_joined_and_ended_is_a_join_and_a_stream(
    table: Table, request_event: Request
) -> None:
    table.joined(0.25)
    table.ended("ok", "", joined=True, summary={"session_s": 4.0, "bytes_received": 1000})
    assert request_event.rows() == [("JOIN", 250.0, None), ("STREAM", 4000.0, None)]
    assert request_event.fired[1]["response_length"] == 1000


def test_a_join_that_failed_is_a_failed_join_and_no_stream(
    table: Table, request_event: Request
) -> None:
    table.ended("failed", "timeout", joined=False, summary={"after_s": 30.0, "phase": "dtls"})
    assert request_event.rows() == [("JOIN", 30000.0, "failed: timed out (dtls)")]


def test_a_session_that_the_end_of_the_run_cut_short_is_no_row(
    table: Table, request_event: Request
) -> None:
    table.ended("ok", "stopped", joined=False, summary={"cut_short": True, "after_s": 0.1})
    assert request_event.rows() == []


def test_each_input_is_a_row_and_a_lost_one_a_failure(table: Table, request_event: Request) -> None:
    histogram = LogHistogram()
    histogram.add(0.020)
    histogram.add_censored()
    table.inputs(histogram)
    assert [(kind, error is None) for kind, _, error in request_event.rows()] == [
        ("INPUT", True),
        ("INPUT", False),
    ]
