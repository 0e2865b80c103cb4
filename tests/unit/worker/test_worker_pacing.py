from __future__ import annotations

import random

import pytest

from system.worker.pacing import IDLE_FPS, SETTLE_FRAMES, Pacer, PacingMode

FPS = 30.0
INTERVAL = 1 / FPS


def settled(mode: PacingMode = "on_demand", *, settle: int = 0) -> Pacer:
    """A pacer whose first frame began at 0 and that owes ``settle`` settle frames."""
    pacer = Pacer(mode, FPS, settle_frames=settle)
    pacer.started(0.0)
    return pacer


def test_the_first_frame_is_due_at_once() -> None:
    assert Pacer("on_demand", FPS).next_at() < 0
    assert Pacer("constant", FPS).next_at() < 0


def test_a_change_after_a_quiet_interval_is_due_at_once() -> None:
    pacer = settled()
    pacer.changed()
    assert pacer.next_at() <= 0.1


def test_changes_within_an_interval_coalesce_to_its_end() -> None:
    pacer = settled()
    for _ in range(5):
        pacer.changed()
    assert pacer.next_at() == pytest.approx(INTERVAL)
    pacer.started(pacer.next_at())
    assert pacer.next_at() == pytest.approx(INTERVAL + 1 / IDLE_FPS)


def test_settle_frames_follow_a_change_and_then_the_idle_rate() -> None:
    pacer = Pacer("on_demand", FPS)
    now, gaps = 0.0, []
    for _ in range(SETTLE_FRAMES + 4):
        pacer.started(now)
        gaps.append(pacer.next_at() - now)
        now = pacer.next_at()
    assert gaps[:SETTLE_FRAMES] == pytest.approx([INTERVAL] * SETTLE_FRAMES)
    assert gaps[SETTLE_FRAMES:] == pytest.approx([1 / IDLE_FPS] * 4)


def test_a_change_during_settling_begins_the_settling_again() -> None:
    pacer = settled(settle=3)
    pacer.started(INTERVAL)
    pacer.changed()
    now, frames = INTERVAL, 0
    while pacer.next_at() - now < 0.1:
        now = pacer.next_at()
        pacer.started(now)
        frames += 1
    assert frames == 1 + 3


@pytest.mark.parametrize("mode", ["on_demand", "constant"])
def test_late_wake_ups_do_not_lower_the_rate(mode: PacingMode) -> None:
    rng = random.Random(3)
    pacer = Pacer(mode, FPS)
    now = 0.0
    for _ in range(300):
        pacer.changed()
        pacer.started(now)
        now = pacer.next_at() + rng.uniform(0, 0.002)
    assert now == pytest.approx(300 * INTERVAL, abs=0.003)


@pytest.mark.parametrize("mode", ["on_demand", "constant"])
def test_frames_that_took_too_long_are_skipped_and_never_caught_up(mode: PacingMode) -> None:
    pacer = Pacer(mode, FPS)
    pacer.started(0.0)
    pacer.changed()
    pacer.started(10.0)
    pacer.changed()
    assert 10.0 < pacer.next_at() <= 10.0 + INTERVAL + 1e-9


def test_a_constant_clock_keeps_its_phase_over_a_long_frame() -> None:
    pacer = settled("constant")
    pacer.started(3.4 * INTERVAL)
    assert pacer.next_at() == pytest.approx(4 * INTERVAL)


def test_a_constant_clock_needs_no_changes() -> None:
    pacer = settled("constant")
    for slot in range(1, 100):
        assert pacer.next_at() == pytest.approx(slot * INTERVAL)
        pacer.started(pacer.next_at())


def test_a_change_takes_the_next_slot_early_after_a_settle_frame() -> None:
    pacer = settled(settle=5)
    pacer.started(INTERVAL)
    pacer.changed()
    assert pacer.next_at() <= INTERVAL + 0.001
    pacer.started(INTERVAL + 0.001)
    assert pacer.next_at() == pytest.approx(3 * INTERVAL)


def test_a_second_change_waits_one_interval_for_the_first() -> None:
    pacer = settled(settle=5)
    pacer.started(INTERVAL)
    pacer.changed()
    pacer.started(1.6 * INTERVAL)
    pacer.changed()
    assert pacer.next_at() == pytest.approx(2.6 * INTERVAL)


def test_changes_at_any_time_never_raise_the_rate_above_the_frame_rate() -> None:
    rng = random.Random(11)
    pacer = Pacer("on_demand", FPS)
    now, begun, change_at = 0.0, [], 0.01
    while now < 30.0:
        due = pacer.next_at()
        if change_at < max(due, now):
            now = max(now, change_at)
            pacer.changed()
            change_at = now + rng.expovariate(20)
            continue
        now = max(now, due)
        pacer.started(now)
        begun.append(now)
    assert 20 * 30 < len(begun) <= 30 * FPS + 2
    for first, last in zip(begun, begun[40:], strict=False):
        assert last - first > 38 * INTERVAL


def test_the_idle_rate_is_never_above_the_frame_rate() -> None:
    pacer = Pacer("on_demand", 1.0, settle_frames=0, idle_fps=5.0)
    pacer.started(0.0)
    assert pacer.next_at() == pytest.approx(1.0)
