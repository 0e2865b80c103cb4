"""Key frames, bitrate, silence, backoff, the tally: small pure decisions."""

from __future__ import annotations

import random

import pytest

from system.worker.backoff import BASE_S, CAP_S, full_jitter_s
from system.worker.bitrate import BitrateControl
from system.worker.keyframes import MIN_INTERVAL_S, KeyframeGate
from system.worker.pacing import SETTLE_FRAMES
from system.worker.silence import SILENT_S, Life, verdict
from system.worker.tally import Tally, UsageMeter

CEILING = 2_500_000


def test_the_first_frame_is_a_key_frame_and_the_second_is_not() -> None:
    gate = KeyframeGate()
    assert gate.take(0.0)
    assert not gate.take(10.0)


def test_requests_coalesce_into_one_key_frame() -> None:
    gate = KeyframeGate()
    gate.take(0.0)
    for _ in range(50):
        gate.request()
    assert gate.take(1.0)
    assert not gate.take(2.0)


def test_a_request_right_after_a_key_frame_waits_for_the_interval() -> None:
    gate = KeyframeGate()
    gate.take(0.0)
    gate.request()
    assert not gate.take(MIN_INTERVAL_S * 0.9)
    assert gate.take(MIN_INTERVAL_S * 1.1)


def test_a_held_back_key_frame_comes_with_a_settle_frame() -> None:
    assert MIN_INTERVAL_S < SETTLE_FRAMES / 30


def test_a_new_receiver_gets_a_key_frame_however_recent_the_last_one() -> None:
    gate = KeyframeGate()
    gate.take(0.0)
    gate.restart()
    assert gate.take(0.01)


def streaming(control: BitrateControl, since_s: float, seconds: float, bps: float) -> float:
    """Send at a rate for a while; the time afterwards."""
    frames = int(seconds * 30)
    for i in range(frames):
        control.sent(since_s + i / 30, int(bps / 30 / 8))
    return since_s + frames / 30


def test_an_estimate_below_what_is_sent_lowers_the_target() -> None:
    control = BitrateControl(CEILING)
    now = streaming(control, 0.0, 2.0, 2_400_000)
    control.estimated(now, 1_000_000)
    assert control.target_bps == 1_000_000


def test_a_low_estimate_of_an_idle_stream_changes_nothing() -> None:
    control = BitrateControl(CEILING)
    now = streaming(control, 0.0, 2.0, 40_000)
    control.estimated(now, 60_000)
    assert control.target_bps == CEILING


def test_the_target_stays_within_its_bounds() -> None:
    control = BitrateControl(CEILING)
    now = streaming(control, 0.0, 2.0, 2_400_000)
    control.estimated(now, 1)
    floor = control.target_bps
    assert 0 < floor < CEILING / 4
    control.estimated(now + 5, 50_000_000)
    assert control.target_bps == CEILING


def test_the_target_grows_back_when_no_estimate_lowers_it_again() -> None:
    control = BitrateControl(CEILING)
    now = streaming(control, 0.0, 2.0, 2_400_000)
    control.estimated(now, 1_000_000)
    now = streaming(control, now, 1.5, 900_000)
    assert control.target_bps == 1_000_000
    now = streaming(control, now, 20.0, 900_000)
    assert control.target_bps == CEILING


def test_the_encoder_is_told_of_steps_not_of_every_change() -> None:
    control = BitrateControl(CEILING)
    now = streaming(control, 0.0, 2.0, 2_400_000)
    control.estimated(now, 1_000_000)
    told = set()
    for i in range(300):
        control.sent(now + i / 30, 1000)
        told.add(control.target_bps)
    assert 1 < len(told) < 20


HEARTBEAT_S = 2.0


@pytest.mark.parametrize(
    ("life", "now_s", "expected"),
    [
        (Life(attached=True, heard_s=None, deadline_s=15.0), 14.9, None),
        (Life(attached=True, heard_s=None, deadline_s=15.0), 15.0, "connect_timeout"),
        (Life(attached=True, heard_s=0.0, deadline_s=None), 29.0, None),
        (Life(attached=True, heard_s=0.0, deadline_s=None), SILENT_S, "media_silent"),
        (Life(attached=False, heard_s=0.0, deadline_s=None), 2.9, None),
        (Life(attached=False, heard_s=0.0, deadline_s=None), 3.0, "client_gone"),
        (Life(attached=False, heard_s=100.0, deadline_s=None), 101.0, None),
        (Life(attached=False, heard_s=9.0, deadline_s=None, closed_s=10.0), 10.6, None),
        (Life(attached=False, heard_s=9.0, deadline_s=None, closed_s=10.0), 10.75, "client_gone"),
        (Life(attached=False, heard_s=10.5, deadline_s=None, closed_s=10.0), 11.1, None),
        (Life(attached=True, heard_s=9.0, deadline_s=None, closed_s=None), 11.0, None),
    ],
)
def test_silence_ends_a_session_soon_when_detached_and_late_when_attached(
    life: Life, now_s: float, expected: str | None
) -> None:
    assert verdict(life, now_s, HEARTBEAT_S) == expected


def test_full_jitter_spreads_over_the_whole_growing_range() -> None:
    rng = random.Random(1)
    first = [full_jitter_s(1, rng) for _ in range(500)]
    late = [full_jitter_s(30, rng) for _ in range(500)]
    assert max(first) <= 2 * BASE_S
    assert min(late) < 0.05 * CAP_S
    assert 0.95 * CAP_S < max(late) <= CAP_S


def test_the_meter_gives_frames_and_their_mean_cost_since_the_last_look() -> None:
    tally = Tally(frames=5, encode_s=9.0)
    meter = UsageMeter(tally)
    tally.frames, tally.encode_s = 9, 9.2
    usage = meter.look()
    assert usage.frames == 4
    assert usage.encode_s == pytest.approx(0.05)
    assert meter.look().frames == 0
