"""Join phases are disjoint and sum to the join time, whatever overlaps or is missing."""

from __future__ import annotations

import random

import pytest

from system.client.join import JoinTimeline
from system.protocol.metrics import JOIN_PHASES


def timeline(scheduled: float, **marks: float) -> JoinTimeline:
    made = JoinTimeline(scheduled)
    for phase, at in marks.items():
        made.mark(phase, at)
    return made


def test_each_phase_ends_with_its_milestone() -> None:
    made = timeline(
        10.0,
        schedule=10.1,
        ws=10.3,
        allocate=10.4,
        queue=12.4,
        sdp=12.5,
        ice=12.6,
        dtls=12.7,
        first_packet=12.8,
        first_frame=13.0,
    )
    assert made.phases_us() == {
        "schedule": 100_000,
        "ws": 200_000,
        "allocate": 100_000,
        "queue": 2_000_000,
        "sdp": 100_000,
        "ice": 100_000,
        "dtls": 100_000,
        "first_packet": 100_000,
        "first_frame": 200_000,
    }
    assert made.join_time_s == pytest.approx(3.0)


def test_a_milestone_that_came_early_takes_no_time() -> None:
    made = timeline(0.0, schedule=0.1, ws=0.2, queue=0.5, sdp=0.4, first_frame=1.0)
    phases = made.phases_us()
    assert phases["sdp"] == 0
    assert phases["allocate"] == 0
    assert phases["queue"] == 300_000
    assert phases["first_frame"] == 500_000


def test_only_the_first_time_of_a_milestone_counts() -> None:
    made = timeline(0.0, ws=0.2, first_frame=1.0)
    made.mark("ws", 0.9)
    assert made.phases_us()["ws"] == 200_000


def test_the_phases_sum_exactly_for_any_order_of_milestones() -> None:
    rng = random.Random(8)
    for _ in range(500):
        scheduled = rng.uniform(0, 1e6)
        end = scheduled + rng.uniform(0, 100)
        made = JoinTimeline(scheduled)
        for phase in JOIN_PHASES[:-1]:
            if rng.random() < 0.8:
                made.mark(phase, rng.uniform(scheduled - 1, end + 1))
        made.mark("first_frame", end)
        phases = made.phases_us()
        assert list(phases) == list(JOIN_PHASES)
        assert min(phases.values()) >= 0
        assert sum(phases.values()) == round(end * 1e6) - round(scheduled * 1e6)


@pytest.mark.parametrize(
    ("marks", "phase"),
    [
        ({}, "schedule"),
        ({"schedule": 1.0}, "ws"),
        ({"schedule": 1.0, "ws": 1.0, "allocate": 2.0}, "queue"),
        ({"schedule": 1.0, "ws": 1.0, "sdp": 2.0}, "ice"),
        ({"dtls": 1.0}, "first_packet"),
        ({"first_frame": 1.0}, "first_frame"),
    ],
)
def test_a_join_stands_in_the_phase_after_the_last_that_ended(
    marks: dict[str, float], phase: str
) -> None:
    assert timeline(0.0, **marks).open_phase == phase


def test_an_unknown_phase_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no phase"):
        JoinTimeline(0.0).mark("media", 1.0)
