"""What a process tells once a second, and what is known of a run from that."""

from __future__ import annotations

import math
from typing import Any

import pytest

from loadtest._live import Live, StageWindows, Window
from loadtest._pulse import Pulse, PulseMaker, repeated
from reports.live import LiveGates
from scenarios.gates import Gate
from scenarios.schedule import StageSpan
from system.client import hostproto
from system.client.histogram import LogHistogram
from system.stack import PoolCounts

SPANS = [StageSpan("warmup", 0.0, 10.0, False), StageSpan("hold", 10.0, 20.0, True)]


def histogram(*values: float, censored: int = 0) -> LogHistogram:
    made = LogHistogram()
    for value in values:
        made.add(value)
    made.censored = censored
    return made


def health(cpu: float = 0.1, lag_s: float = 0.0, **figures: Any) -> hostproto.Health:
    return hostproto.Health(
        cpu=cpu,
        rss_bytes=1,
        loop_lag_s=lag_s,
        udp_drops=0,
        sessions=1,
        figures=hostproto.Figures(**figures),
    )


def ended(
    outcome: hostproto.Outcome, reason: str = "timeout", **summary: object
) -> hostproto.Ended:
    return hostproto.Ended(id="v1", outcome=outcome, reason=reason, summary=summary)


JOINED = hostproto.Joined(id="v1", join_time_s=0.5, phases={"ws": 0.1, "queue": 0.4})


def found(pulse: Pulse, stage: str, metric: str) -> LogHistogram:
    return LogHistogram.from_json(pulse.by_stage[stage][metric])


def gate(metric: str, stat: str, limit: str | float, *, least: bool = False, **more: Any) -> Gate:
    rule = {">=" if least else "<=": limit}
    return Gate.model_validate({"id": "g", "metric": metric, "stat": stat} | rule | more)


def test_helpers_figures_are_one_pulse_and_survive_being_a_message() -> None:
    maker = PulseMaker()
    fps = {"video.fps": histogram(30.0).to_json()}
    maker.health("helper-0", health(0.2, 0.01, frames=30, watching=2, stalled=1, samples=fps))
    maker.health("helper-1", health(0.3, 0.04, frames=20, watching=1, samples=fps))
    maker.inputs(histogram(0.1, 0.2, censored=1))
    pulse = maker.take("locust-0", 0.05, [("hold", True), ("hold", True), ("hold", False)])
    assert (pulse.frames, pulse.stalled, pulse.loop_lag_s) == (50, 1, 0.04)
    assert pulse.cpu == pytest.approx(0.55)
    assert (pulse.watching, pulse.pending) == ({"hold": 2}, {"hold": 1})
    assert LogHistogram.from_json(pulse.seconds["video.fps"]).n == 2
    lost = LogHistogram.from_json(pulse.seconds["input.lost"])
    assert (lost.n, lost.total) == (3, 1.0)
    assert Pulse(**pulse.plain()) == pulse


def test_what_was_told_is_not_told_again() -> None:
    maker = PulseMaker()
    maker.inputs(histogram(0.1))
    maker.joined("hold", JOINED)
    maker.take("locust-0", 0.0, [])
    assert maker.take("locust-0", 0.0, []) == Pulse("locust-0")


def test_a_join_is_a_sample_of_each_of_its_phases_and_of_the_wait() -> None:
    maker = PulseMaker()
    maker.joined("hold", JOINED)
    pulse = maker.take("locust-0", 0.0, [])
    assert found(pulse, "hold", "session.join_time").maximum == 0.5
    assert found(pulse, "hold", "session.join.ws").maximum == 0.1
    assert found(pulse, "hold", "pool.wait").total == 1.0
    assert found(pulse, "hold", "pool.wait_time").total == pytest.approx(0.4)


def test_a_session_that_failed_is_a_join_that_never_came() -> None:
    maker = PulseMaker()
    maker.ended("hold", ended("failed", cut_short=False), joined=False)
    pulse = maker.take("locust-0", 0.0, [])
    assert found(pulse, "hold", "session.join_time").censored == 1
    assert found(pulse, "hold", "session.failed").total == 1.0
    assert found(pulse, "hold", "session.interrupted").total == 0.0


def test_a_session_that_was_stopped_before_it_joined_says_nothing() -> None:
    maker = PulseMaker()
    maker.ended("hold", ended("ok", "", cut_short=True), joined=False)
    assert maker.take("locust-0", 0.0, []).by_stage == {}


def test_a_session_that_went_on_elsewhere_was_interrupted_too() -> None:
    maker = PulseMaker()
    maker.ended("hold", ended("ok", "", interruptions=1), joined=True)
    pulse = maker.take("locust-0", 0.0, [])
    assert found(pulse, "hold", "session.interrupted").total == 1.0


def test_sessions_that_go_on_have_not_failed_so_far() -> None:
    windows = StageWindows(SPANS)
    maker = PulseMaker()
    maker.ended("hold", ended("failed"), joined=False)
    windows.add(maker.take("locust-0", 0.0, []), 12.0)
    failed = gate("session.failed", "mean", "50%")
    assert windows.gates([failed], {}).value(failed) == 1.0
    assert windows.gates([failed], {"hold": 3}).value(failed) == 0.25


def test_seconds_count_in_their_stage_and_sessions_in_that_of_their_arrival() -> None:
    windows = StageWindows(SPANS)
    maker = PulseMaker()
    maker.inputs(histogram(0.3))
    maker.joined("hold", JOINED)
    windows.add(maker.take("locust-0", 0.0, []), 9.0)
    join, i2f = gate("session.join_time", "p95", "1s"), gate("input.to_frame", "p95", "1s")
    live = windows.gates([join, i2f], {})
    assert live.value(join) == 0.5
    assert live.value(i2f) is None  # in warmup
    assert live.value(i2f, "warmup") == pytest.approx(0.3, rel=0.02)


def test_the_pool_and_the_time_frozen_are_gates_too() -> None:
    windows = StageWindows(SPANS)
    windows.add(Pulse("locust-0", watched_s=8.0, frozen_s=2.0), 11.0)
    for ready in (3.0, 1.0):
        windows.add_pool({"pool.workers.ready": ready}, 12.0)
    freeze, ready = (
        gate("video.freeze_ratio", "mean", "10%"),
        gate("pool.workers.ready", "mean", 1, least=True),
    )
    live = windows.gates([freeze, ready], {})
    assert live.value(freeze) == 0.25
    assert live.value(ready) == 2.0


def test_viewers_that_still_wait_to_join_rank_last() -> None:
    window = Window()
    window.add_sessions({"session.join_time": histogram(0.2, 0.2).to_json()})
    join = gate("session.join_time", "p95", "1s")
    live = LiveGates([join], SPANS)
    window.feed(live, 12.0, watching=2, pending=1)
    assert live.value(join) == math.inf


def test_a_second_of_the_charts_is_all_processes_together() -> None:
    live = Live(clock=lambda: 100.0)
    told = {"input.to_frame": histogram(*[0.05] * 9, 0.5).to_json()}
    live.add(
        Pulse("a", frames=40, watched_s=2.0, bytes_received=1000, seconds=told, watching={"x": 2})
    )
    live.add(Pulse("b", frames=20, watched_s=1.0, bytes_received=500, watching={"x": 1}, stalled=1))
    live.tick(7.0, 1.0, PoolCounts(ready=1, busy=2))
    (tick,) = live.history
    assert (tick.t_s, tick.watching, tick.stalled, tick.fps) == (7.0, 3, 1, 20.0)
    assert tick.bitrate_bps == 12_000.0
    assert tick.i2f_p50_s == pytest.approx(0.05, rel=0.02)
    assert tick.i2f_p95_s == pytest.approx(0.5, rel=0.02)
    assert (tick.ready, tick.busy) == (1, 2)
    live.tick(8.0, 1.0, None)
    assert (live.history[-1].fps, live.history[-1].ready) == (None, None)


def test_a_process_that_is_silent_counts_for_nothing() -> None:
    now = 100.0
    live = Live(clock=lambda: now)
    live.add(Pulse("a", watching={"x": 2}, cpu=0.5))
    assert (live.watching, live.cpu) == ({"x": 2}, 0.5)
    now = 110.0
    assert (live.watching, live.cpu, live.loop_lag_s) == ({}, 0.0, 0.0)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.25])
def test_many_samples_of_one_value_are_like_as_many_additions(value: float) -> None:
    assert repeated(value, 3).to_json() == histogram(value, value, value).to_json()
    assert repeated(value, 0).to_json() == histogram().to_json()
