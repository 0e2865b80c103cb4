"""Master and workers of a distributed run, with messages that a test delivers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest
from locust.runners import MasterRunner, WorkerRunner

from loadtest import _swarms
from loadtest._order import Order, machine_id
from loadtest._swarm import Outcome, Swarm
from loadtest._swarms import PREFIX, WorkerSide, WorkerSwarms
from system.client.errors import HelperGone

Message = tuple[str, dict[str, Any]]


class FakeSwarm:
    """A worker's swarm that has nothing but parts."""

    def __init__(self, files: list[Path], problems: list[str]) -> None:
        self.begun: list[Order] = []
        self.drains = 0
        self.error: HelperGone | None = None
        self._outcome = Outcome(problems, files)

    def start_helpers(self) -> None:
        if self.error is not None:
            raise self.error

    def begin(self, order: Order) -> None:
        self.begun.append(order)

    def drain(self) -> Outcome:
        self.drains += 1
        return self._outcome

    def forget(self, outcome: Outcome) -> None:
        pass

    def close(self) -> None:
        pass


class Net:
    """A master's runner and workers' runners; a worker's answers reach the master at once."""

    def __init__(self, names: list[str]) -> None:
        self.worker_indexes = {name: index for index, name in enumerate(names)}
        self.clients = Clients({name: SimpleNamespace(id=name) for name in names})
        self.listeners: dict[str, Callable[..., None]] = {}
        self.workers: dict[str, dict[str, Callable[..., None]]] = {name: {} for name in names}
        self.silent: set[str] = set()
        self.sides: dict[str, WorkerSide] = {}
        self.swarms: dict[str, FakeSwarm] = {}

    def register_message(self, name: str, listener: Callable[..., None]) -> None:
        self.listeners[name] = listener

    def send_message(self, name: str, data: Any, member: str) -> None:
        if member not in self.silent:
            message = SimpleNamespace(data=data, node_id="master")
            gevent.spawn(self.workers[member][name], environment=None, msg=message)

    def join(self, member: str, swarm: FakeSwarm) -> None:
        def register(name: str, listener: Callable[..., None], concurrent: bool = False) -> None:
            self.workers[member][name] = listener

        def send(name: str, data: Any) -> None:
            message = SimpleNamespace(data=data, node_id=member)
            self.listeners[name](environment=None, msg=message)

        runner = SimpleNamespace(register_message=register, send_message=send)
        self.swarms[member] = swarm
        self.sides[member] = WorkerSide(
            cast(WorkerRunner, runner), cast(Swarm, swarm), lambda: None
        )


class Clients(dict[str, Any]):
    """Locust's table of workers."""

    missing: tuple[Any, ...] = ()

    @property
    def ready(self) -> list[Any]:
        return list(self.values())


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "run" / "parts").mkdir(parents=True)
    return Order(
        run_dir=str(tmp_path / "run"),
        machine="m",
        epoch=time.time(),
        scenario_text="",
        url="ws://127.0.0.1:9",
    )


@pytest.fixture
def net() -> Net:
    return Net(["b", "a"])


@pytest.fixture
def master(net: Net) -> WorkerSwarms:
    master = WorkerSwarms(cast(MasterRunner, net))
    for name in net.workers:
        net.join(name, FakeSwarm([], []))
    return master


def begin(net: Net, master: WorkerSwarms, order: Order) -> None:
    master.prepare()
    master.begin(order)
    gevent.sleep(0)
    for side in net.sides.values():
        side.start()


def test_each_worker_gets_one_share_in_the_order_of_its_index(
    net: Net, master: WorkerSwarms, order: Order
) -> None:
    begin(net, master, order)
    shares = {name: swarm.begun[0].share for name, swarm in net.swarms.items()}
    assert [(shares[n].index, shares[n].count) for n in ("b", "a")] == [(0, 2), (1, 2)]


def test_a_worker_whose_helpers_do_not_start_is_named(
    net: Net, master: WorkerSwarms, order: Order
) -> None:
    net.swarms["a"].error = HelperGone("helper helper-0 ended while it started")
    with pytest.raises(HelperGone, match="Locust worker 1: helper helper-0 ended"):
        master.prepare()


def test_a_worker_that_does_not_answer_is_named(
    net: Net, master: WorkerSwarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_swarms, "READY_S", 0.01)
    net.silent.add("b")
    with pytest.raises(HelperGone, match="Locust worker 0: was lost or did not answer"):
        master.prepare()


def test_nobody_waits_for_a_worker_that_is_gone_before_it_is_ready(
    net: Net, master: WorkerSwarms
) -> None:
    net.silent.add("b")
    gevent.spawn(net.clients.pop, "b")
    with gevent.Timeout(5), pytest.raises(HelperGone, match="Locust worker 0: was lost"):
        master.prepare()


def test_without_workers_there_is_no_run() -> None:
    with pytest.raises(HelperGone, match="no Locust worker"):
        WorkerSwarms(cast(MasterRunner, Net([]))).prepare()


def test_to_drain_gathers_the_problems_of_all(net: Net, master: WorkerSwarms, order: Order) -> None:
    net.join("a", FakeSwarm([], ["helper helper-1 was lost"]))
    begin(net, master, order)
    assert master.drain() == ["helper helper-1 was lost"]
    assert [swarm.drains for swarm in net.swarms.values()] == [1, 1]


def test_a_worker_that_was_lost_is_a_problem_and_nobody_waits_for_it(
    net: Net, master: WorkerSwarms, order: Order
) -> None:
    begin(net, master, order)
    del net.clients["b"]
    assert master.drain() == ["Locust worker 0 was lost or did not report"]


def test_a_worker_that_ends_by_itself_reports_once(
    net: Net, master: WorkerSwarms, order: Order
) -> None:
    begin(net, master, order)
    net.sides["a"].close()  # Ctrl-C reaches the workers too
    del net.clients["a"]
    assert master.drain() == []
    assert net.swarms["a"].drains == 1


def test_parts_of_another_machine_arrive_in_pieces_and_whole(
    net: Net, master: WorkerSwarms, order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_swarms, "PIECE_BYTES", 10)
    contents = {"events-helper-1-0.parquet": bytes(range(95)), "system-locust-1.parquet": b""}
    files = [tmp_path / name for name in contents]
    for file in files:
        file.write_bytes(contents[file.name])
    net.join("a", FakeSwarm(files, []))
    begin(net, master, order)
    assert master.drain() == []
    parts = Path(order.run_dir) / "parts"
    assert {file.name: file.read_bytes() for file in parts.iterdir()} == contents


def test_files_of_the_scenario_reach_workers_on_other_machines(
    net: Net,
    master: WorkerSwarms,
    order: Order,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_swarms, "PIECE_BYTES", 10)
    files = tmp_path / "files"
    files.mkdir()
    (files / "1-day.csv").write_text("at,length\n" + "1,2\n" * 30)
    begin(net, master, replace(order, files=str(files)))
    (begun,) = net.swarms["a"].begun
    assert begun.files is not None
    assert begun.files != str(files)
    copy = Path(begun.files) / "1-day.csv"
    assert copy.read_bytes() == (files / "1-day.csv").read_bytes()
    master.drain()
    assert not copy.exists()


def test_workers_on_this_machine_read_the_files_where_they_are(
    net: Net, master: WorkerSwarms, order: Order, tmp_path: Path
) -> None:
    begin(net, master, replace(order, machine=machine_id(), files=str(tmp_path)))
    assert net.swarms["a"].begun[0].files == str(tmp_path)


@pytest.mark.parametrize(
    "name", ["../run.json", "run.json", "events-a.parquet/../x", "events-.exe"]
)
def test_a_part_cannot_be_written_anywhere_else(
    net: Net, master: WorkerSwarms, order: Order, name: str
) -> None:
    begin(net, master, order)
    data = {"name": name, "data": b"x", "last": True}
    net.listeners[PREFIX + "part"](environment=None, msg=SimpleNamespace(data=data, node_id="a"))
    assert list((Path(order.run_dir) / "parts").iterdir()) == []


def test_a_stranger_cannot_send_parts(net: Net, master: WorkerSwarms, order: Order) -> None:
    begin(net, master, order)
    data = {"name": "events-x.parquet", "data": b"x", "last": True}
    net.listeners[PREFIX + "part"](
        environment=None, msg=SimpleNamespace(data=data, node_id="stranger")
    )
    assert list((Path(order.run_dir) / "parts").iterdir()) == []
