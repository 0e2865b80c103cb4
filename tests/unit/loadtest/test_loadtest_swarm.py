"""Viewers of one process on helpers that a test plays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pyarrow.parquet as pq
import pytest
from gevent.queue import Queue
from locust.exception import StopUser

from loadtest import _helpers
from loadtest._order import Order, machine_id
from loadtest._swarm import Swarm
from loadtest._table import Table
from scenarios import schedule
from scenarios.loader import loads
from scenarios.schedule import Arrival
from system.client import hostproto
from system.client.errors import HelperGone
from system.client.histogram import LogHistogram

OPEN = """\
version: 1
name: open
load:
  model: open
  arrivals: {process: deterministic}
  session: 5s
  stages: [{name: hold, for: 10s, rate: 1/s}]
"""
CLOSED = "version: 1\nname: closed\nload: {model: closed, users: 2, session: 2s, for: 10s}\n"
ARRIVALS = schedule.arrivals(loads(OPEN))


class FakeHelper:
    """A helper process whose events a test puts; it says ``drained`` by itself."""

    made: list[FakeHelper]

    def __init__(self, node: str) -> None:
        self.node = node
        self.sent: list[hostproto.Command] = []
        self.returncode: int | None = None
        self._events: Queue[hostproto.Event | None] = Queue()
        self.put(hostproto.Ready(pid=1))
        FakeHelper.made.append(self)

    def put(self, *events: hostproto.Event) -> None:
        for event in events:
            self._events.put(event)

    def send(self, command: hostproto.Command) -> None:
        if self.returncode is not None:
            raise HelperGone("gone")
        self.sent.append(command)
        if isinstance(command, hostproto.Drain):
            self.put(hostproto.Drained(parts=()))

    def events(self) -> Iterator[hostproto.Event]:
        while (event := self._events.get()) is not None:
            yield event

    def die(self) -> None:
        self.returncode = -9
        self._events.put(None)

    def kill(self) -> None:
        self.returncode = -9

    def close(self, timeout_s: float) -> int:
        self._events.put(None)
        return 0

    def started(self) -> list[hostproto.Start]:
        return [command for command in self.sent if isinstance(command, hostproto.Start)]


class Request:
    def __init__(self) -> None:
        self.failures: list[str] = []
        self.kinds: list[str] = []

    def fire(self, *, request_type: str, exception: str | None, **_: Any) -> None:
        self.kinds.append(request_type)
        if exception is not None:
            self.failures.append(exception)


class Bench:
    """A swarm of two helpers, and the users that live in it."""

    def __init__(self, order: Order) -> None:
        self.request = Request()
        self.swarm = Swarm(Table(self.request), helpers=2)
        self.swarm.begin(order)
        self.helpers = FakeHelper.made

    def user(self, arrival: Arrival | None = None) -> gevent.Greenlet:
        def live() -> str:
            try:
                self.swarm.watch(arrival)
            except StopUser:
                return "stopped"
            return "on"

        greenlet = gevent.spawn(live)
        gevent.idle()
        return greenlet

    def started(self) -> list[hostproto.Start]:
        return [start for helper in self.helpers for start in helper.started()]


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Order:
    FakeHelper.made = []
    monkeypatch.setattr(_helpers, "HelperProcess", FakeHelper)
    (tmp_path / "parts").mkdir()
    return Order(
        run_dir=str(tmp_path),
        machine=machine_id(),
        epoch=time.time(),
        scenario_text=OPEN,
        url="ws://127.0.0.1:9",
        share_index=1,
        share_count=2,
    )


Make = Callable[[Order], Bench]


@pytest.fixture
def make() -> Iterator[Make]:
    benches: list[Bench] = []

    def made(order: Order) -> Bench:
        benches.append(Bench(order))
        return benches[-1]

    yield made
    for bench in benches:
        bench.swarm.drain()
        bench.swarm.close()


def ended(start: hostproto.Start, outcome: hostproto.Outcome = "ok") -> hostproto.Ended:
    reason = "" if outcome == "ok" else "timeout"
    return hostproto.Ended(id=start.id, outcome=outcome, reason=reason, summary={})


def test_helpers_of_all_processes_have_names_of_their_own(make: Make, order: Order) -> None:
    bench = make(order)
    assert [helper.node for helper in bench.helpers] == ["helper-2", "helper-3"]
    (run,) = [c for c in bench.helpers[0].sent if isinstance(c, hostproto.Run)]
    assert run.parts == f"{order.run_dir}/parts"
    assert run.stages == (hostproto.Span("hold", 0.0, 10.0),)


def test_a_user_of_an_open_load_lives_for_one_session(make: Make, order: Order) -> None:
    bench = make(order)
    user = bench.user(ARRIVALS[3])
    (start,) = bench.started()
    assert start.id == "v3"
    assert start.scheduled_at == pytest.approx(order.epoch + ARRIVALS[3].at_s)
    assert not user.ready()
    bench.helpers[0].put(ended(start))
    assert user.get(timeout=1) == "stopped"


def test_a_user_that_the_schedule_did_not_bring_goes_away(make: Make, order: Order) -> None:
    assert make(order).user(None).get(timeout=1) == "stopped"


def test_viewers_are_spread_over_the_helpers(make: Make, order: Order) -> None:
    bench = make(order)
    for arrival in ARRIVALS[:4]:
        bench.user(arrival)
    assert [len(helper.started()) for helper in bench.helpers] == [2, 2]


def test_a_user_that_locust_stops_leaves_as_a_viewer_would(make: Make, order: Order) -> None:
    bench = make(order)
    user = bench.user(ARRIVALS[0])
    user.kill()
    assert hostproto.Stop(id="v0") in bench.helpers[0].sent


def test_a_lost_helper_fails_its_viewers_and_no_others(
    make: Make, order: Order, tmp_path: Path
) -> None:
    bench = make(order)
    users = [bench.user(arrival) for arrival in ARRIVALS[:2]]
    joined = hostproto.Joined(id="v0", join_time_s=0.1, phases={})
    bench.helpers[0].put(joined)
    bench.helpers[0].die()
    assert users[0].get(timeout=1) == "stopped"
    assert not users[1].ready()
    assert bench.request.failures == ["interrupted: the load generator's helper process was lost"]
    assert bench.swarm.drain().problems == ["helper helper-2 was lost: exit status -9"]
    rows = pq.read_table(tmp_path / "parts" / "events-locust-1.parquet").to_pylist()
    assert [r["session_id"] for r in rows if r["event"] == "session.failed"] == ["v0"]


def test_without_any_helper_left_a_viewer_fails_at_once(make: Make, order: Order) -> None:
    bench = make(order)
    for helper in bench.helpers:
        helper.die()
    gevent.idle()
    assert bench.user(ARRIVALS[0]).get(timeout=1) == "stopped"
    assert bench.request.failures == ["failed: the load generator's helper process was lost"]


def test_a_viewer_of_a_closed_load_goes_on_with_its_next_session(make: Make, order: Order) -> None:
    bench = make(replace(order, scenario_text=CLOSED, users=2))
    user = bench.user()
    (first,) = bench.started()
    bench.helpers[0].put(ended(first))
    gevent.idle()
    gevent.idle()
    again = bench.started()
    assert len(again) == 2
    assert again[1].user_id == first.user_id == "user-1"  # share 1 of 2
    assert again[1].id != first.id
    assert again[1].seed != first.seed
    bench.swarm.stop_arrivals()
    bench.helpers[0].put(ended(again[1]))
    assert user.get(timeout=1) == "stopped"


def test_a_viewer_of_a_closed_load_does_not_try_again_at_once_after_a_failure(
    make: Make, order: Order
) -> None:
    bench = make(replace(order, scenario_text=CLOSED, users=2))
    user = bench.user()
    (first,) = bench.started()
    bench.helpers[0].put(ended(first, "failed"))
    gevent.idle()
    gevent.idle()
    assert bench.request.failures == ["failed: timed out"]
    assert bench.started() == [first]
    assert not user.ready()
    user.kill()


def test_an_arrival_that_was_begun_is_written_down_even_if_it_leaves_no_other_trace(
    make: Make, order: Order, tmp_path: Path
) -> None:
    bench = make(order)
    bench.user(ARRIVALS[1])
    bench.swarm.drain()
    rows = pq.read_table(tmp_path / "parts" / "events-locust-1.parquet").to_pylist()
    assert [(r["session_id"], r["event"], r["stage"]) for r in rows] == [("v1", "arrival", "hold")]


def test_the_arrivals_of_a_process_are_its_share_and_wait_for_locust(
    make: Make, order: Order
) -> None:
    bench = make(replace(order, epoch=time.time() - 100.0))  # all are due
    begun: list[Arrival] = []
    ready = False
    bench.swarm.pace(begun.append, ready=lambda: ready)
    gevent.idle()
    assert begun == []
    ready = True
    with gevent.Timeout(5):
        while len(begun) < 5:
            gevent.idle()
    assert [arrival.index for arrival in begun] == [1, 3, 5, 7, 9]


def test_inputs_are_rows_while_their_viewers_still_watch(make: Make, order: Order) -> None:
    bench = make(order)
    user = bench.user(ARRIVALS[0])
    histogram = LogHistogram()
    histogram.add(0.02)
    bench.helpers[0].put(
        hostproto.Health(
            cpu=0.1,
            rss_bytes=1,
            loop_lag_s=0.0,
            udp_drops=0,
            sessions=1,
            inputs=histogram.to_json(),
        )
    )
    gevent.idle()
    assert bench.request.kinds == ["INPUT"]
    assert not user.ready()
    user.kill()


def test_a_drained_swarm_begins_nothing_more(make: Make, order: Order) -> None:
    bench = make(order)
    bench.swarm.drain()
    assert bench.user(ARRIVALS[0]).get(timeout=1) == "stopped"
    assert bench.started() == []


def test_a_closed_swarm_begins_nothing_more(make: Make, order: Order) -> None:
    bench = make(replace(order, scenario_text=CLOSED, users=2))
    user = bench.user()
    bench.swarm.close()
    assert user.get(timeout=1) == "stopped"
    assert len(bench.started()) == 1


def test_a_lost_helper_is_replaced_for_the_next_run(make: Make, order: Order) -> None:
    bench = make(order)
    bench.helpers[0].die()
    gevent.idle()
    bench.swarm.drain()
    bench.swarm.begin(order)
    assert len(bench.helpers) == 3
    assert bench.swarm.drain().problems == []
