"""What is a freeze, and what is only an idle stream."""

from __future__ import annotations

import pytest

from system.client.freezes import FreezeMeter

FRAME = 1 / 30


def meter(frames: list[tuple[int, float, float]]) -> FreezeMeter:
    """Fed with (frame id, capture time, time shown)."""
    made = FreezeMeter(FRAME)
    for frame in frames:
        made.shown(*frame)
    return made


def even(first: int, count: int, capture: float, shown: float) -> list[tuple[int, float, float]]:
    return [(first + i, capture + i * FRAME, shown + i * FRAME) for i in range(count)]


def test_an_even_stream_does_not_freeze() -> None:
    made = meter(even(1, 300, 0.0, 100.0))
    assert (made.count, made.frozen_s, made.w3c_count) == (0, 0.0, 0)


def test_an_idle_stream_does_not_freeze_though_w3c_says_so() -> None:
    frames = even(1, 30, 0.0, 50.0)
    frames += [(30 + i, 1.0 + 0.5 * i, 51.0 + 0.5 * i) for i in range(1, 20)]
    frames += even(50, 30, 12.0, 62.0)
    made = meter(frames)
    assert made.count == 0
    assert made.w3c_count >= 1


def test_a_late_frame_freezes_for_what_exceeds_the_capture_gap() -> None:
    made = meter([*even(1, 30, 0.0, 50.0), *even(31, 30, 1.0, 51.5)])
    assert made.count == 1
    assert made.frozen_s == pytest.approx(0.5)


def test_lateness_within_the_limit_is_no_freeze() -> None:
    made = meter([(1, 0.0, 10.0), (2, FRAME, 10.0 + FRAME + 0.149), (3, 2 * FRAME, 10.3)])
    assert made.count == 0


def test_slow_streams_have_a_wider_limit() -> None:
    made = FreezeMeter(0.2)
    made.shown(1, 0.0, 1.0)
    made.shown(2, 0.2, 1.0 + 0.2 + 0.39)
    assert made.count == 0
    made.shown(3, 0.4, 1.59 + 0.2 + 0.41)
    assert made.count == 1


def test_a_burst_of_lost_frames_is_a_freeze_though_captures_are_as_far_apart() -> None:
    made = meter([*even(1, 30, 0.0, 50.0), *even(46, 30, 1.5, 51.5)])
    assert made.count == 1
    assert made.frozen_s == pytest.approx(15 * FRAME, abs=1e-6)


def test_one_lost_frame_is_no_freeze() -> None:
    assert meter([*even(1, 30, 0.0, 50.0), *even(32, 30, 31 * FRAME, 50 + 31 * FRAME)]).count == 0


def test_frames_of_another_worker_begin_anew() -> None:
    made = meter([*even(500, 10, 900.0, 50.0), *even(1, 10, 3.0, 52.0)])
    assert made.count == 0
    made.shown(11, 3.0 + 10 * FRAME, 54.0)
    assert made.count == 1


def test_what_another_worker_takes_to_take_over_is_frozen() -> None:
    made = meter(even(500, 10, 900.0, 50.0))
    made.restart()
    for frame in even(501, 10, 3.0, 52.0):
        made.shown(*frame)
    assert made.count == 1
    assert made.frozen_s == pytest.approx(52.0 - 50.0 - 9 * FRAME)


def test_a_take_over_that_nobody_sees_is_no_freeze() -> None:
    made = meter(even(500, 10, 900.0, 50.0))
    made.restart()
    made.shown(1, 3.0, 50.0 + 9 * FRAME + 0.149)
    assert made.count == 0


def test_silence_at_the_end_counts_only_if_no_idle_stream_is_so_silent() -> None:
    made = meter(even(1, 30, 0.0, 50.0))
    made.finish(51.9)
    assert made.count == 0
    made = meter(even(1, 30, 0.0, 50.0))
    made.finish(60.0)
    assert made.frozen_s == pytest.approx(60.0 - 50.0 - 29 * FRAME)
    made.finish(90.0)
    assert made.count == 1
