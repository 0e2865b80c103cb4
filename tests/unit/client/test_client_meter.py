"""What a session's seconds and totals say for hand-made streams."""

from __future__ import annotations

import math

import pytest

from system.client.meter import Counters, SessionMeter

FRAME = 1 / 30


def play(meter: SessionMeter, ids: list[int], start: float, interval: float = FRAME) -> None:
    for i, frame_id in enumerate(ids):
        at = start + i * interval
        meter.received(frame_id, at)
        meter.shown(frame_id, frame_id * interval, at)


def test_nothing_is_measured_before_the_first_frame() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    assert meter.second(5.0, Counters(packets_received=3), 0.01) is None
    assert meter.began_s is None
    assert meter.finish(9.0, Counters(), None) is None
    assert meter.freeze_ratio(9.0) == 0.0


def test_a_whole_stream_is_delivered_whole() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, list(range(100, 130)), 10.0)
    counters = Counters(300, 0, 250_000, 0, 0, 1, 0.002)
    second = meter.second(11.0, counters, 0.04)
    assert second is not None
    assert (second.frames_received, second.frames_captured) == (30, 30)
    assert (second.began_s, second.duration_s) == (10.0, 1.0)
    assert second.fps == 30
    assert second.bitrate_bps == 2_000_000
    assert second.frame_delivery == 1.0
    assert second.loss == 0.0
    assert second.rtt_s == 0.04
    assert second.freeze_count == 0


def test_lost_frames_lower_delivery_in_the_second_of_the_frame_after_them() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, [1, 2, 3, 7, 8], 10.0)
    second = meter.second(11.0, Counters(), None)
    assert second is not None
    assert (second.frames_received, second.frames_captured) == (5, 8)
    assert second.frame_delivery == 5 / 8
    assert math.isnan(second.rtt_s)


def test_late_frames_of_an_old_id_are_received_but_not_captured_twice() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    for frame_id in (1, 3, 2):
        meter.received(frame_id, 10.0)
    second = meter.second(11.0, Counters(), None)
    assert second is not None
    assert (second.frames_received, second.frames_captured) == (3, 3)


def test_frames_without_a_marker_count_as_delivered() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    for i in range(10):
        meter.received(None, 10.0 + i / 10)
    second = meter.second(11.0, Counters(), None)
    assert second is not None
    assert second.frame_delivery == 1.0


def test_a_second_without_a_frame_has_no_delivery() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, [1], 10.0)
    meter.second(11.0, Counters(), None)
    second = meter.second(12.0, Counters(), None)
    assert second is not None
    assert (second.frame_delivery, second.loss, second.fps) == (None, None, 0)


def test_counters_are_shown_as_what_was_added_and_never_negative() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, [1], 10.0)
    meter.second(11.0, Counters(100, 5, 1000, 2, 1, 1, 0.001), None)
    second = meter.second(12.0, Counters(220, 3, 3000, 2, 1, 2, 0.003), None)
    assert second is not None
    assert second.added == Counters(120, 0, 2000, 0, 0, 1, 0.003)


def test_a_second_reports_its_own_freezes_and_inputs() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, list(range(1, 31)), 10.0)
    meter.input(1, 10.5, 10.5)
    first = meter.second(11.0, Counters(), None)
    play(meter, list(range(31, 41)), 11.6)
    meter.ack(31, (1,), 11.7)
    second = meter.second(12.0, Counters(), None)
    assert first is not None
    assert second is not None
    assert (first.freeze_count, first.inputs_sent, first.inputs_acked) == (0, 1, 0)
    assert (second.freeze_count, second.inputs_sent, second.inputs_acked) == (1, 0, 1)
    assert second.freeze_s == pytest.approx(0.6, abs=0.01)
    assert meter.freeze_ratio(12.0) == pytest.approx(0.3, abs=0.01)
    (sample,) = meter.take_inputs()
    assert sample.value_s == pytest.approx(1.1)
    assert meter.take_inputs() == []
    assert meter.totals.histograms["input.to_frame"].n == 1


def test_an_on_demand_stream_that_idles_between_inputs_never_freezes() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    now, frame_id = 10.0, 0
    for _ in range(10):
        for gap in [FRAME] * 15 + [0.5] * 6:
            now += gap
            frame_id += 1
            meter.received(frame_id, now + 0.02)
            meter.shown(frame_id, now, now + 0.02)
    second = meter.second(now + 0.1, Counters(), None)
    assert second is not None
    assert second.freeze_count == 0
    assert second.frame_delivery == 1.0


def test_the_last_partial_second_is_reported_but_is_no_sample_of_a_rate() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, list(range(1, 31)), 10.0)
    meter.second(11.0, Counters(30, 0, 3000), 0.01)
    play(meter, [31, 32], 11.0)
    last = meter.finish(11.1, Counters(32, 0, 3200), 0.01)
    assert last is not None
    assert last.duration_s == pytest.approx(0.1)
    totals = meter.totals
    assert (totals.frames_received, totals.bytes_received) == (32, 3200)
    assert totals.histograms["video.fps"].n == 1


def test_a_lost_input_is_censored_in_the_totals() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, [1], 10.0)
    meter.input(1, 10.0, 10.0)
    meter.second(13.0, Counters(), None)
    assert [s.lost for s in meter.take_inputs()] == [True]
    assert meter.totals.inputs_lost == 1
    assert meter.totals.histograms["input.to_frame"].censored == 1


def test_another_worker_begins_its_frame_ids_and_counters_anew() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, list(range(500, 510)), 10.0)
    meter.second(11.0, Counters(100, 2, 1000), None)
    meter.new_stream(11.0)
    play(meter, [1, 2, 3], 11.1)
    second = meter.second(12.0, Counters(30, 1, 300), None)
    assert second is not None
    assert second.frames_captured == 3
    assert second.added.packets_received == 30


def test_only_decoded_frames_are_counted_as_decoded() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    meter.received(1, 10.0)
    meter.received(2, 10.1)
    meter.shown(1, 0.0, 10.2, decoded=True)
    second = meter.second(11.0, Counters(), None)
    assert second is not None
    assert (second.frames_received, second.frames_decoded) == (2, 1)


def test_a_stop_of_more_than_two_seconds_is_an_interruption_and_frozen() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, list(range(1, 31)), 10.0)
    meter.new_stream(11.0)
    play(meter, list(range(1, 31)), 14.0)
    assert meter.interruptions == 1
    meter.finish(14.0 + 30 * FRAME, Counters(), None)
    assert meter.interruptions == 1
    assert meter.freeze_ratio(15.0) == pytest.approx((14.0 - 10.0 - 29 * FRAME) / 5.0)


def test_a_quick_move_is_no_interruption() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, [1, 2, 3], 10.0)
    meter.new_stream(10.5)
    play(meter, [1, 2, 3], 11.9)
    meter.finish(13.0, Counters(), None)
    assert meter.interruptions == 0


def test_silence_until_the_end_is_an_interruption() -> None:
    meter = SessionMeter(frame_time_s=FRAME)
    play(meter, [1, 2, 3], 10.0)
    meter.finish(13.0, Counters(), None)
    assert meter.interruptions == 1
