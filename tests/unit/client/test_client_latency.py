"""Inputs, acknowledgements and frames in every order in which they can come."""

from __future__ import annotations

import random

import pytest

from system.client.latency import MAX_FRAMES, MAX_PENDING, InputMeter, InputSample


def values(samples: list[InputSample]) -> list[float | None]:
    return [None if s.value_s is None else round(s.value_s, 6) for s in samples]


def test_the_sample_ends_with_the_frame_if_the_acknowledgement_was_first() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    assert meter.ack(7, (1,), 10.02) == []
    assert meter.seen(6, 10.03) == []
    assert values(meter.seen(7, 10.05)) == [0.05]
    assert values(meter.finish(20.0)) == []


def test_the_sample_ends_with_the_frame_though_the_acknowledgement_came_later() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    meter.seen(6, 10.03)
    meter.seen(7, 10.05)
    meter.seen(8, 10.08)
    assert values(meter.ack(7, (1,), 10.10)) == [0.05]


def test_it_counts_from_when_the_input_was_due_not_from_when_it_was_sent() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.5)
    meter.seen(1, 10.6)
    (sample,) = meter.ack(1, (1,), 10.7)
    assert (sample.value_s, sample.late_s) == (pytest.approx(0.6), pytest.approx(0.5))
    meter.input(2, 11.0, 11.2)
    (lost,) = meter.expire(14.0)
    assert (lost.value_s, lost.late_s) == (None, pytest.approx(0.2))


@pytest.mark.parametrize("ack_first", [True, False])
def test_a_lost_frame_is_stood_in_for_by_the_next_one(ack_first: bool) -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    meter.seen(5, 10.01)
    samples = meter.ack(6, (1,), 10.02) if ack_first else []
    samples += meter.seen(8, 10.2)
    samples += [] if ack_first else meter.ack(6, (1,), 10.3)
    assert values(samples) == [0.2]


def test_one_frame_may_show_many_inputs() -> None:
    meter = InputMeter()
    for seq in (1, 2, 3):
        meter.input(seq, 10.0 + seq / 100, 10.0 + seq / 100)
    meter.ack(4, (1, 2, 3), 10.04)
    assert values(meter.seen(4, 10.05)) == [0.04, 0.03, 0.02]


def test_no_acknowledgement_in_two_seconds_is_a_loss_that_a_late_one_does_not_undo() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    assert meter.expire(12.0) == []
    (sample,) = meter.expire(12.01)
    assert (sample.lost, sample.value_s, sample.after_s) == (True, None, pytest.approx(2.01))
    assert meter.ack(4, (1,), 12.02) == []
    assert meter.seen(4, 12.03) == []
    assert (meter.sent, meter.acked) == (1, 0)


def test_a_late_acknowledgement_is_a_loss_even_before_anybody_looked() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    meter.seen(4, 10.1)
    assert meter.ack(4, (1,), 12.5) == []
    assert [s.lost for s in meter.expire(12.6)] == [True]


def test_an_input_that_no_channel_took_is_lost_at_once() -> None:
    (sample,) = InputMeter().input(1, 10.0, None)
    assert sample.lost


def test_at_the_end_inputs_too_young_to_judge_leave_no_sample() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    meter.input(2, 11.0, 11.0)
    meter.input(3, 12.5, 12.5)
    meter.ack(9, (2,), 11.1)
    samples = meter.finish(13.0)
    assert [(s.seq, s.lost, s.value_s) for s in samples] == [(1, True, None), (2, False, None)]
    assert samples[1].after_s == pytest.approx(2.0)
    assert meter.finish(20.0) == []


def test_another_worker_leaves_what_was_acknowledged_unseen() -> None:
    meter = InputMeter()
    meter.input(1, 10.0, 10.0)
    meter.seen(100, 10.01)
    meter.ack(102, (1,), 10.02)
    (sample,) = meter.restart(11.0)
    assert (sample.lost, sample.value_s) == (False, None)
    meter.input(2, 11.0, 11.0)
    meter.ack(1, (2,), 11.1)
    assert values(meter.seen(1, 11.2)) == [0.2]


def test_acknowledgements_of_unknown_inputs_and_frames_seen_twice_change_nothing() -> None:
    meter = InputMeter()
    assert meter.ack(1, (5, 6), 1.0) == []
    meter.seen(3, 1.0)
    assert meter.seen(3, 2.0) == []
    assert meter.seen(2, 2.0) == []


def test_what_is_kept_is_bounded() -> None:
    meter = InputMeter()
    for i in range(3 * MAX_FRAMES):
        meter.seen(i, float(i))
    assert len(meter._ids) == len(meter._times) <= MAX_FRAMES
    lost = [s for i in range(MAX_PENDING + 5) for s in meter.input(i, 1.0, 1.0)]
    assert len(lost) == 5


def test_any_interleaving_gives_every_input_exactly_one_fate() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        meter = InputMeter()
        samples: list[InputSample] = []
        due: list[tuple[float, str, int]] = []
        shown: dict[int, float] = {}
        for frame in range(60):
            due.append((frame / 30 + rng.uniform(0.01, 0.1), "frame", frame))
        for seq in range(40):
            at = rng.uniform(0, 1.9)
            frame = int(at * 30) + 1
            due.append((at, "input", seq))
            if rng.random() < 0.8:
                due.append((at + rng.uniform(0.01, 0.5), f"ack{frame}", seq))
        due.sort()
        for at, kind, number in due:
            if kind == "frame":
                shown.setdefault(number, at)
                samples += meter.seen(number, at)
            elif kind == "input":
                samples += meter.input(number, at, at)
            else:
                samples += meter.ack(int(kind[3:]), (number,), at)
        samples += meter.finish(10.0)
        assert sorted(s.seq for s in samples) == list(range(40)), f"seed {seed}"
        assert all(s.value_s is None or s.value_s >= 0 for s in samples)
