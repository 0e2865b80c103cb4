"""Rows and summaries of sessions, the helper's wire messages, and Parquet parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from system.client.client import RemoteRenderClient
from system.client.config import ClientConfig
from system.client.errors import JoinAbandoned, JoinFailed
from system.client.hostproto import (
    Drain,
    Ended,
    Health,
    InputMix,
    Run,
    Span,
    Start,
    Stop,
    decode_command,
    decode_event,
    encode,
)
from system.client.latency import InputSample
from system.client.meter import Counters, Second
from system.client.parts import PartWriter
from system.client.pictures import PictureSample
from system.client.signaling import SignalingClosed, websocket_url
from system.client.summary import (
    Result,
    RunClock,
    input_rows,
    picture_rows,
    sample_row,
    session_rows,
    summary,
)
from system.protocol.metrics import METRICS
from system.protocol.records import DURATIONS, EVENT_COLUMNS, SAMPLE_COLUMNS, SystemRow

CLOCK = RunClock(1000.0, 900.0, "helper-3", (Span("ramp", 0.0, 5.0), Span("hold", 5.0, 60.0)))
START = Start(
    id="s-1", user_id="u", project_id="p", url="ws://x/ws", scheduled_at=1001.0, stage="ramp"
)


def test_times_of_the_process_become_times_and_stages_of_the_run() -> None:
    assert CLOCK.t_us(100.5) == 500_000
    assert CLOCK.monotonic(1001.0) == 101.0
    assert CLOCK.stage(99.0, "x") == "ramp"
    assert CLOCK.stage(104.9, "x") == "ramp"
    assert CLOCK.stage(105.0, "x") == "hold"
    assert CLOCK.stage(1e6, "x") == "hold"
    assert RunClock(0.0, 0.0, "n").stage(5.0, "x") == "x"


def test_a_second_becomes_a_row_of_its_own_stage() -> None:
    second = Second(105.2, 1.0, 30, 31, 0, Counters(9, 1, 100, 1, 0, 1, 0.1), 1, 0.2, 0.03, 10, 9)
    row = sample_row(CLOCK, START, second)
    assert set(row) == set(SAMPLE_COLUMNS)
    assert (row["t_us"], row["stage"], row["frames_captured"]) == (5_200_000, "hold", 31)


def test_an_input_is_two_rows_and_a_censored_one_says_so() -> None:
    samples = [
        InputSample(1, 101.0, 0.05, 0.05, lost=False, late_s=0.0002),
        InputSample(2, 102.0, None, 2.1, lost=True),
        InputSample(3, 103.0, 0.09, 0.09, lost=False, late_s=0.0312),
    ]
    rows = list(input_rows(CLOCK, START, samples))
    assert all(set(row) == set(EVENT_COLUMNS) for row in rows)
    assert [(row["event"], row["value"]) for row in rows] == [
        ("input.to_frame", 0.05),
        ("input.lost", 0.0),
        ("input.to_frame", None),
        ("input.lost", 1.0),
        ("input.to_frame", 0.09),
        ("input.lost", 0.0),
    ]
    assert json.loads(rows[2]["attrs"]) == {"censored": True, "after_s": 2.1}
    assert rows[0]["attrs"] == ""
    assert json.loads(rows[4]["attrs"]) == {"late_s": 0.031}


def test_a_judged_picture_is_two_rows_in_the_stage_of_its_own_time() -> None:
    rows = list(picture_rows(CLOCK, START, PictureSample(106.0, 77, 38.25, 0.97)))
    assert [(row["event"], row["value"], row["unit"]) for row in rows] == [
        ("video.psnr", 38.25, "dB"),
        ("video.ssim", 0.97, "ratio"),
    ]
    assert {(row["t_us"], row["stage"]) for row in rows} == {(6_000_000, "hold")}
    assert json.loads(rows[0]["attrs"]) == {"frame_id": 77}


def test_a_failed_join_is_censored_and_says_where_and_why() -> None:
    failure = JoinFailed("timeout", "no first frame in time", "dtls")
    result = Result("failed", "timeout", 101.0, None, 131.0, failure)
    rows = {row["event"]: row for row in session_rows(CLOCK, START, result, None)}
    assert rows["session.join_time"]["value"] is None
    assert json.loads(rows["session.join_time"]["attrs"])["after_s"] == 30.0
    assert rows["session.failed"]["value"] == 1.0
    why = json.loads(rows["session.failed"]["attrs"])
    assert (why["phase"], why["after_s"]) == ("dtls", 30.0)
    assert rows["session.abandoned"]["value"] == 0.0
    assert {row["stage"] for row in rows.values()} == {"ramp"}
    assert {row["t_us"] for row in rows.values()} == {1_000_000}
    assert all(rows[event]["unit"] == METRICS[event].unit for event in rows)
    assert summary(START, result, None)["phase"] == "dtls"


def test_a_session_whose_media_stopped_for_a_while_is_interrupted_and_not_failed() -> None:
    client = RemoteRenderClient(ClientConfig(url="ws://x/ws"))
    client.timeline.mark("first_frame", 102.0)
    for at_s in (102.0, 104.1, 104.2):
        client.meter.received(None, at_s)
    client.meter.finish(105.0, Counters(), None)
    result = Result("ok", "", 101.0, 102.0, 105.0)
    rows = {row["event"]: row for row in session_rows(CLOCK, START, result, client)}
    assert rows["session.interrupted"]["value"] == 1.0
    assert json.loads(rows["session.interrupted"]["attrs"]) == {
        "code": "media_stopped",
        "times": 1,
        "after_s": 1.0,
    }
    assert rows["session.failed"]["value"] == 0.0
    assert summary(START, result, client)["interruptions"] == 1


def test_a_session_stopped_before_its_first_frame_says_nothing_about_joining() -> None:
    result = Result("ok", "stopped", 101.0, None, 103.0)
    assert list(session_rows(CLOCK, START, result, None)) == []
    assert summary(START, result, None)["cut_short"]


def test_an_abandoned_join_carries_its_wait() -> None:
    left = JoinAbandoned(2.5)
    assert (left.code, left.phase, left.waited_s) == ("abandoned", "queue", 2.5)
    assert isinstance(left, JoinFailed)


@pytest.mark.parametrize(
    "command",
    [
        Run(epoch=1.5, parts="/x", node="n", stages=(Span("a", 0, 1),)),
        START,
        msgspec.structs.replace(START, input=InputMix(10.0), session_s=3.0, token="t"),
        Stop(id="a"),
        Drain(),
    ],
)
def test_commands_survive_the_pipe(command: object) -> None:
    line = encode(command)  # type: ignore[arg-type]
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_command(line) == command


def test_names_on_the_pipe_are_those_agreed() -> None:
    start = json.loads(encode(START))
    assert start["cmd"] == "start"
    assert {"userId", "projectId", "scheduled_at", "session_s", "patience_s"} <= set(start)
    ended = json.loads(encode(Ended(id="a", outcome="ok", reason="", summary={"x": 1})))
    assert ended == {
        "event": "ended",
        "id": "a",
        "outcome": "ok",
        "reason": "",
        "summary": {"x": 1},
    }
    health = Health(cpu=0.5, rss_bytes=1, loop_lag_s=0.1, udp_drops=0, sessions=2)
    assert decode_event(encode(health)) == health


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"cmd":"fly"}', b'{"cmd":"stop"}', b"\xff"])
def test_a_line_that_is_no_command_raises_one_error(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(line)


def test_parts_are_whole_numbered_and_typed(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path / "parts", "helper-0")
    writer.flush()
    assert writer.written == ()
    row = SystemRow(
        t_us=1,
        node="helper-0",
        role="helper",
        cpu=0.5,
        rss_bytes=9,
        loop_lag_s=0.0,
        udp_drops=0,
        sessions=1,
    )
    writer.add_system(row)
    for sample in input_rows(CLOCK, START, [InputSample(1, 101.0, None, 2.0, lost=True)]):
        writer.add_event(sample)
    writer.flush()
    writer.add_system(row)
    writer.flush()
    assert writer.written == (
        "events-helper-0-0.parquet",
        "system-helper-0-1.parquet",
        "system-helper-0-2.parquet",
    )
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == sorted(writer.written)
    events = pq.read_table(tmp_path / "parts" / writer.written[0])
    assert events.schema.names == list(EVENT_COLUMNS)
    assert events.column("value").to_pylist() == [None, 1.0]
    system = pq.read_table(tmp_path / "parts" / writer.written[1])
    assert system.column("ready").to_pylist() == [None]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("ws://h:1", "ws://h:1/ws"),
        ("wss://h/", "wss://h/"),
        ("https://h", "wss://h/ws"),
        ("http://h:8/ws?a=b", "ws://h:8/ws?a=b"),
    ],
)
def test_signaling_urls_are_websocket_urls(given: str, used: str) -> None:
    assert websocket_url(given) == used


@pytest.mark.parametrize("url", ["ftp://h", "h:80", "", "ws://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="signaling URL"):
        websocket_url(url)


@pytest.mark.parametrize(
    ("code", "final"), [(1006, False), (1008, True), (4401, True), (4503, False)]
)
def test_a_close_code_says_whether_to_come_back(code: int, final: bool) -> None:
    assert SignalingClosed(code).final is final


def durations(result: Result, *, queued_s: float | None, created_s: float | None) -> dict[str, Any]:
    client = RemoteRenderClient(ClientConfig(url="ws://x/ws"))
    client.queued_s, client.created_s = queued_s, created_s
    if result.joined_s is not None:
        client.timeline.mark("first_frame", result.joined_s)
    rows = session_rows(CLOCK, START, result, client)
    return {row["event"]: row for row in rows if row["event"] in DURATIONS}


def test_a_viewer_who_had_enough_stayed_so_long_and_held_the_slot_a_little_longer() -> None:
    found = durations(Result("ok", "", 101.0, 103.5, 110.0), queued_s=101.1, created_s=103.1)
    assert found["session.length"]["value"] == 6.5
    assert json.loads(found["session.length"]["attrs"]) == {"held_s": 6.9}
    assert found["session.length"]["unit"] == "s"
    assert found["session.patience"]["value"] is None
    assert json.loads(found["session.patience"]["attrs"]) == {"censored": True, "after_s": 2.0}


@pytest.mark.parametrize(
    "result",
    [
        Result("ok", "", 101.0, 103.5, 110.0, stopped=True),
        Result("interrupted", "worker_lost", 101.0, 103.5, 110.0),
    ],
)
def test_a_session_that_was_ended_by_others_would_have_been_longer(result: Result) -> None:
    found = durations(result, queued_s=None, created_s=103.1)
    assert found["session.length"]["value"] is None
    assert json.loads(found["session.length"]["attrs"]) == {"censored": True, "after_s": 6.5}
    assert "session.patience" not in found, "who never stood in the queue says nothing of it"


def test_patience_is_over_when_a_viewer_leaves_the_queue_and_not_when_the_test_ends() -> None:
    left = Result("abandoned", "abandoned", 101.0, None, 104.0, JoinAbandoned(2.5))
    assert durations(left, queued_s=101.5, created_s=None)["session.patience"]["value"] == 2.5
    cut = Result("ok", "stopped", 101.0, None, 104.0, stopped=True)
    found = durations(cut, queued_s=101.5, created_s=None)
    assert list(found) == ["session.patience"]
    assert json.loads(found["session.patience"]["attrs"])["after_s"] == 2.5
