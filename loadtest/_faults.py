"""Injects the faults of a scenario into the embedded stack, and watches it recover."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final

import gevent

from loadtest._recovery import Recovery, choose
from reports.faults import fault_row
from scenarios.faults import Fault, WorkerHang, WorkerKill
from system.protocol.messages import WorkerView
from system.protocol.records import EventRow
from system.stack import EmbeddedStack
from system.stack.errors import StackError

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.25
TARGET_S: Final = 5.0
"""So long a fault waits for a worker that is what it wants, a busy one for instance."""


@dataclass(eq=False)
class _Injected:
    """A fault that was injected."""

    fault: WorkerKill | WorkerHang
    at_s: float
    hit: dict[str, int]
    """Process id by worker."""
    recovery: Recovery
    stopped: bool = False

    def row(self) -> EventRow:
        for_s = self.fault.for_s if isinstance(self.fault, WorkerHang) else None
        return fault_row(
            self.fault.kind,
            self.at_s,
            ", ".join(self.hit),
            target=self.fault.target,
            for_s=for_s or 0.0,
            whole_s=self.recovery.whole_s,
        )


@dataclass(eq=False)
class Faults:
    """The faults of one run; ``run`` is a greenlet's work.

    ``problem`` is told of a fault that could not be injected: the run is not
    the one that was asked for then.
    """

    faults: Sequence[Fault]
    seed: int
    stack: EmbeddedStack
    stalled: Callable[[], int]
    elapsed_s: Callable[[], float]
    problem: Callable[[str], None]
    _injected: list[_Injected] = field(default_factory=list)
    _greenlets: list[gevent.Greenlet] = field(default_factory=list)

    def run(self) -> None:
        """Begin each fault at its time; several may go on at once."""
        for index, fault in sorted(enumerate(self.faults), key=lambda each: each[1].at_s):
            gevent.sleep(max(0.0, fault.at_s - self.elapsed_s()))
            rng = Random(f"{self.seed}:fault:{index}")
            if isinstance(fault, WorkerKill | WorkerHang):
                self._greenlets.append(gevent.spawn(self._one, fault, rng))

    def stop(self) -> None:
        """Begin and watch nothing more; wake what hangs, so that it can end in order."""
        gevent.killall(self._greenlets)
        for injected in self._injected:
            self._wake(injected)

    def rows(self) -> list[EventRow]:
        """A row for each fault that was injected."""
        return [injected.row() for injected in self._injected]

    def _one(self, fault: WorkerKill | WorkerHang, rng: Random) -> None:
        injected = self._inject(fault, rng)
        if injected is None:
            self.problem(f"{fault.kind} at {fault.at_s:g} s: there was no {fault.target} worker")
            return
        for_s = fault.for_s if isinstance(fault, WorkerHang) else None
        while injected.recovery.whole_s is None or (injected.stopped and for_s is not None):
            gevent.sleep(LOOK_EVERY_S)
            now_s = self.elapsed_s()
            if for_s is not None and now_s >= injected.at_s + for_s:
                self._wake(injected)
            workers = self._workers()
            if workers is not None:
                injected.recovery.look(now_s, workers, self.stalled())
        logger.info("fault.recovered after %.1f s", injected.recovery.whole_s)

    def _inject(self, fault: WorkerKill | WorkerHang, rng: Random) -> _Injected | None:
        deadline_s = self.elapsed_s() + TARGET_S
        while True:
            workers = self._workers() or []
            pids = self.stack.worker_pids()
            hit = {name: pids[name] for name in choose(fault.target, workers, rng) if name in pids}
            if hit:
                break
            if self.elapsed_s() >= deadline_s:
                return None
            gevent.sleep(LOOK_EVERY_S)
        hangs = isinstance(fault, WorkerHang)
        at_s = self.elapsed_s()
        for pid in hit.values():
            _signal(pid, signal.SIGSTOP if hangs else signal.SIGKILL)
        logger.info("fault.injected %s %s", fault.kind, ", ".join(hit))
        injected = _Injected(fault, at_s, hit, Recovery(workers, hit, at_s), stopped=hangs)
        self._injected.append(injected)
        return injected

    def _wake(self, injected: _Injected) -> None:
        if not injected.stopped:
            return
        injected.stopped = False
        injected.recovery.woken()
        for pid in injected.hit.values():
            _signal(pid, signal.SIGCONT)

    def _workers(self) -> list[WorkerView] | None:
        try:
            return self.stack.workers()
        except StackError:
            return None


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
