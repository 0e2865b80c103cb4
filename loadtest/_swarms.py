"""All load-generating processes of a run as its owner sees them: this one, or Locust's workers.

Messages between master and workers, by name:

==========  =========  =====================================================
prepare     to worker  have helpers ready; answered with ``prepared``
prepared    to master  ``{"error": str | None, "machine": str}``
file        to worker  ``{"name", "data", "last"}``: a file of the scenario, to another machine
begin       to worker  an ``Order``; comes before Locust's own start of users
drain       to worker  end the share; answered with parts, then ``drained``
enter       to worker  ``{"stage"}``: a capacity search goes on to its next step
pulse       to master  a ``Pulse``, once a second
part        to master  ``{"name", "data", "last"}``: a piece of a Parquet part
drained     to master  ``{"problems": [...]}``
==========  =========  =====================================================
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import gevent
from gevent.event import Event
from gevent.lock import RLock
from locust.runners import MasterRunner, WorkerRunner

from loadtest._helpers import DRAIN_S, READY_S
from loadtest._order import Order, machine_id
from loadtest._pulse import Pulse
from loadtest._swarm import Outcome, Swarm
from system.client.errors import HelperGone

logger = logging.getLogger(__name__)

PREFIX: Final = "remote-render-"
PIECE_BYTES: Final = 1024 * 1024
DRAIN_MARGIN_S: Final = 5.0
_PART: Final = re.compile(r"(?:events|samples|system)-[\w.-]+\.parquet")


class Swarms(Protocol):
    """What the owner of a run asks of those that make its load."""

    def prepare(self) -> None:
        """Have all helpers ready; raises HelperGone."""

    def hear(self, pulses: Callable[[Pulse], None]) -> None:
        """Have ``pulses`` told of every process, once a second, while a run goes on."""

    def begin(self, order: Order) -> None:
        """Give every process its share of the run; raises HelperGone."""

    def enter(self, stage: str) -> None:
        """Let what begins from now on belong to ``stage``, a step of a capacity search."""

    def drain(self) -> list[str]:
        """End all shares, bounded; their rows are parts of the run then. Problems, one a line."""

    def close(self) -> None:
        """Release what is held here."""


class LocalSwarm:
    """The one process of an undistributed run."""

    def __init__(self, swarm: Swarm, pace: Callable[[], None]) -> None:
        self._swarm = swarm
        self._pace = pace

    def prepare(self) -> None:
        self._swarm.start_helpers()

    def hear(self, pulses: Callable[[Pulse], None]) -> None:
        self._swarm.tell = pulses

    def begin(self, order: Order) -> None:
        self._swarm.begin(order)
        self._pace()

    def enter(self, stage: str) -> None:
        self._swarm.enter(stage)

    def drain(self) -> list[str]:
        return self._swarm.drain().problems

    def close(self) -> None:
        self._swarm.close()


class WorkerSwarms:
    """Locust's workers, from the master."""

    def __init__(self, runner: MasterRunner) -> None:
        self._runner = runner
        self._parts = Path()
        self._errors: dict[str, str | None] = {}
        self._machines: dict[str, str] = {}
        self._outcomes: dict[str, list[str]] = {}
        self._members: list[str] = []
        self._changed = Event()
        self._pulses: Callable[[Pulse], None] = lambda pulse: None
        for name, listener in (
            ("prepared", self._on_prepared),
            ("pulse", self._on_pulse),
            ("part", self._on_part),
            ("drained", self._on_drained),
        ):
            runner.register_message(PREFIX + name, listener)

    def prepare(self) -> None:
        members = sorted(
            (client.id for client in self._runner.clients.ready),
            key=self._number,
        )
        if not members:
            raise HelperGone("no Locust worker is connected")
        self._members = members
        self._errors = {}
        for member in members:
            self._runner.send_message(PREFIX + "prepare", {}, member)
        self._wait(lambda: all(member in self._errors for member in self._present()), READY_S)
        for member in members:
            error = self._errors.get(member, "was lost or did not answer")
            if error is not None:
                raise HelperGone(f"Locust worker {self._number(member)}: {error}")

    def hear(self, pulses: Callable[[Pulse], None]) -> None:
        self._pulses = pulses

    def enter(self, stage: str) -> None:
        for member in self._present():
            self._runner.send_message(PREFIX + "enter", {"stage": stage}, member)

    def begin(self, order: Order) -> None:
        self._parts = Path(order.run_dir) / "parts"
        self._outcomes = {}
        for index, member in enumerate(self._members):
            if order.files is not None and self._machines.get(member) != order.machine:
                for file in sorted(Path(order.files).iterdir()):
                    for piece in _pieces(file):
                        self._runner.send_message(PREFIX + "file", piece, member)
            mine = replace(order, share_index=index, share_count=len(self._members))
            self._runner.send_message(PREFIX + "begin", mine.plain(), member)

    def drain(self) -> list[str]:
        for member in self._present():
            self._runner.send_message(PREFIX + "drain", {}, member)
        self._wait(
            lambda: all(member in self._outcomes for member in self._present()),
            DRAIN_S + DRAIN_MARGIN_S,
        )
        problems = []
        for member in self._members:
            problems += self._outcomes.get(
                member, [f"Locust worker {self._number(member)} was lost or did not report"]
            )
        return problems

    def close(self) -> None:
        """Nothing: workers end by themselves."""

    def _present(self) -> list[str]:
        gone = {client.id for client in self._runner.clients.missing}
        return [m for m in self._members if m in self._runner.clients and m not in gone]

    def _number(self, member: str) -> int:
        return self._runner.worker_indexes[member]

    def _wait(self, done: Callable[[], bool], timeout_s: float) -> None:
        with gevent.Timeout(timeout_s, False):
            while not done():
                self._changed.clear()
                self._changed.wait(0.5)

    def _on_prepared(self, environment: Any, msg: Any) -> None:
        self._errors[msg.node_id] = msg.data["error"]
        self._machines[msg.node_id] = str(msg.data["machine"])
        self._changed.set()

    def _on_pulse(self, environment: Any, msg: Any) -> None:
        if msg.node_id in self._members:
            self._pulses(Pulse(**msg.data))

    def _on_drained(self, environment: Any, msg: Any) -> None:
        self._outcomes[msg.node_id] = [str(problem) for problem in msg.data["problems"]]
        self._changed.set()

    def _on_part(self, environment: Any, msg: Any) -> None:
        name = str(msg.data["name"])
        if msg.node_id not in self._members or not _PART.fullmatch(name):
            logger.warning("refused a part that no worker of this run should send")
            return
        partial = self._parts / f".{name}"
        with partial.open("ab") as file:
            file.write(msg.data["data"])
        if msg.data["last"]:
            partial.replace(self._parts / name)


class WorkerSide:
    """One of Locust's workers, obeying its master."""

    def __init__(self, runner: WorkerRunner, swarm: Swarm, pace: Callable[[], None]) -> None:
        self._runner = runner
        self._swarm = swarm
        self._pace = pace
        self._lock = RLock()
        runner.register_message(PREFIX + "prepare", self._on_prepare, concurrent=True)
        runner.register_message(PREFIX + "file", self._on_file)
        runner.register_message(PREFIX + "begin", self._on_begin)
        runner.register_message(PREFIX + "enter", self._on_enter)
        runner.register_message(PREFIX + "drain", self._on_drain, concurrent=True)
        self._order: Order | None = None
        self._files: Path | None = None
        swarm.tell = lambda pulse: self._send("pulse", pulse.plain())

    def start(self) -> None:
        """Take the share that the master gave; for Locust's ``test_start``."""
        if self._order is None:
            return
        try:
            self._swarm.begin(self._order)
        except HelperGone as error:
            logger.error("%s", error)
        else:
            self._pace()

    def drain(self) -> None:
        """End the share and tell the master, once."""
        with self._lock:
            if self._order is None:
                return
            self._order = None
            outcome = self._swarm.drain()
            if self._files is not None:
                shutil.rmtree(self._files, ignore_errors=True)
                self._files = None
            self._send_parts(outcome)
            self._send("drained", {"problems": outcome.problems})

    def close(self) -> None:
        """Leave nothing behind."""
        self.drain()
        self._swarm.close()

    def _send_parts(self, outcome: Outcome) -> None:
        for file in outcome.files:
            for piece in _pieces(file):
                self._send("part", piece)
        self._swarm.forget(outcome)

    def _send(self, name: str, data: dict[str, Any]) -> None:
        self._runner.send_message(PREFIX + name, data)

    def _on_prepare(self, environment: Any, msg: Any) -> None:
        error = None
        try:
            self._swarm.start_helpers()
        except HelperGone as gone:
            error = str(gone)
        self._send("prepared", {"error": error, "machine": machine_id()})

    def _on_file(self, environment: Any, msg: Any) -> None:
        if self._files is None:
            self._files = Path(tempfile.mkdtemp(prefix="remote-render-files-"))
        with (self._files / Path(str(msg.data["name"])).name).open("ab") as file:
            file.write(msg.data["data"])

    def _on_begin(self, environment: Any, msg: Any) -> None:
        order = Order(**msg.data)
        if self._files is not None:
            order = replace(order, files=str(self._files))
        self._order = order

    def _on_enter(self, environment: Any, msg: Any) -> None:
        self._swarm.enter(str(msg.data["stage"]))

    def _on_drain(self, environment: Any, msg: Any) -> None:
        self.drain()


def _pieces(file: Path) -> Iterator[dict[str, Any]]:
    """A file as messages that are not too long."""
    data = file.read_bytes()
    pieces = range(0, max(len(data), 1), PIECE_BYTES)
    for at in pieces:
        yield {
            "name": file.name,
            "data": data[at : at + PIECE_BYTES],
            "last": at == pieces[-1],
        }
