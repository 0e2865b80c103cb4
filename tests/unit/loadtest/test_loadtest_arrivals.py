"""Which arrivals a process starts, and when."""

from __future__ import annotations

import pytest

from loadtest._arrivals import RateCap, Share, pace
from scenarios import schedule
from scenarios.loader import loads
from scenarios.schedule import Arrival

SCENARIO = loads(
    """\
version: 1
name: partition
load:
  model: open
  arrivals: {process: deterministic}
  session: 5s
  stages: [{name: hold, for: 20s, rate: 2/s}]
"""
)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_the_shares_of_all_processes_are_the_schedule_without_overlap(count: int) -> None:
    arrivals = schedule.arrivals(SCENARIO)
    shares = [list(Share(index, count).of(arrivals)) for index in range(count)]
    together = sorted((arrival for share in shares for arrival in share), key=lambda a: a.index)
    assert together == arrivals
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_viewer_numbers_of_all_processes_are_distinct_and_dense() -> None:
    numbers = [Share(index, 3).number(nth) for index in range(3) for nth in range(4)]
    assert sorted(numbers) == list(range(12))


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_a_share_that_cannot_be_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="share"):
        Share(index, count)


def test_each_arrival_begins_at_its_own_time() -> None:
    time = Time()
    begun: list[tuple[float, Arrival]] = []
    arrivals = schedule.arrivals(SCENARIO)[:5]
    pace(
        arrivals,
        start_at=103.0,
        clock=time.clock,
        sleep=time.sleep,
        begin=lambda arrival: begun.append((time.now, arrival)),
    )
    assert [arrival for _, arrival in begun] == arrivals
    assert [at for at, _ in begun] == pytest.approx([103.0 + a.at_s for a in arrivals])


def test_an_arrival_whose_time_has_passed_begins_at_once_and_none_is_dropped() -> None:
    time = Time()
    begun: list[float] = []
    pace(
        schedule.arrivals(SCENARIO)[:4],  # at 0.25, 0.75, 1.25, 1.75 s
        start_at=99.0,
        clock=time.clock,
        sleep=time.sleep,
        begin=lambda _: begun.append(time.now - 99.0),
    )
    assert begun == pytest.approx([1.0, 1.0, 1.25, 1.75])


def test_a_rate_cap_spaces_joins_evenly_and_saves_nothing_up() -> None:
    cap = RateCap(2.0)
    assert [cap.reserve(10.0) for _ in range(3)] == pytest.approx([0.0, 0.5, 1.0])
    assert cap.reserve(60.0) == 0.0
    assert cap.reserve(60.1) == pytest.approx(0.4)


def test_without_a_cap_nobody_waits() -> None:
    cap = RateCap(None)
    assert [cap.reserve(1.0) for _ in range(3)] == [0.0, 0.0, 0.0]
