"""The embedded stack of a load test: started for a scenario, watched while it is loaded."""

from __future__ import annotations

import logging
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import gevent
import psutil

from loadtest._blame import Evidence, Use
from loadtest._meter import system_row
from loadtest._target import policy_from, stack_config
from scenarios.model import Scenario
from scenarios.policies import Schedule
from system.protocol.messages import WorkerView
from system.protocol.records import SystemRow
from system.stack import EmbeddedStack, PoolCounts, ProcessUse
from system.stack.errors import StackError

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """The stack at one moment; ``machine_cpu`` is cores in use on the whole machine.

    ``answer_s`` is how long signaling took to answer. ``pool`` is None while
    the orchestrator cannot say.
    """

    t_s: float
    pool: PoolCounts | None
    processes: tuple[ProcessUse, ...]
    workers: tuple[WorkerView, ...]
    answer_s: float
    machine_cpu: float

    def rows(self) -> list[SystemRow]:
        """The same as rows of ``system``."""
        vitals = {worker.worker_id: worker.vitals for worker in self.workers}
        sessions = {worker.worker_id: len(worker.sessions) for worker in self.workers}
        rows = [
            system_row(
                use.node,
                use.role,
                self.t_s,
                cpu=use.cpu,
                rss_bytes=use.rss_bytes,
                loop_lag_s=self._lag_s(use, vitals.get(use.node, {})),
                sessions=sessions.get(use.node, 0),
            )
            for use in self.processes
        ]
        if self.pool is not None:
            row = system_row("pool-default", "pool", self.t_s)
            row["ready"], row["booting"] = self.pool.ready, self.pool.booting
            row["busy"], row["stopped"] = self.pool.busy, self.pool.stopped
            rows.append(row)
        return rows

    def _lag_s(self, use: ProcessUse, vitals: dict[str, float]) -> float:
        return self.answer_s if use.role == "signaling" else vitals.get("loop_lag_s", math.nan)


class Embedded:
    """At most one embedded stack at a time; made by the process that owns the run."""

    def __init__(self) -> None:
        self.stack: EmbeddedStack | None = None
        self.looks: list[Look] = []
        """Of the present run, one a second."""

    def start(self, scenario: Scenario) -> tuple[str, str]:
        """Have a stack for ``scenario`` running; its address and secret.

        Raises:
            Refusal: the scenario asks for what it cannot do.
            StackError: it did not start.
        """
        if self.stack is None:
            stack = EmbeddedStack(stack_config(scenario))
            logger.info("stack.starting")
            stack.start()
            logger.info("stack.ready after %.1f s", stack.ready_s)
            self.stack = stack
        return self.stack.url, self.stack.secret

    def begin(self, scenario: Scenario, epoch: float) -> None:
        """Tell policies that go by the time of day when second 0 is; raises StackError."""
        if self.stack is not None and isinstance(scenario.pool.policy, Schedule):
            self.stack.change_policy(policy_from(scenario, epoch))

    def stop(self) -> None:
        """End the stack, where there is one."""
        stack, self.stack = self.stack, None
        if stack is not None:
            stack.stop()

    def look_after(
        self, start_at: float, looked: Callable[[Look], None], broke: Callable[[str], None]
    ) -> None:
        """Look at the stack each second; a greenlet's work, for as long as it runs."""
        self.looks = []
        stack = self.stack
        psutil.cpu_percent()  # counts from here
        while stack is not None and stack is self.stack:
            began = time.monotonic()
            try:
                stack.check()
            except StackError as error:
                broke(f"the embedded stack broke: {error}")
                return
            look = _look(stack, began - start_at)
            self.looks.append(look)
            looked(look)
            gevent.sleep(max(LOOK_EVERY_S - (time.monotonic() - began), 0.05))

    @property
    def pool(self) -> PoolCounts | None:
        """The pool as it was last seen."""
        return self.looks[-1].pool if self.looks else None

    def renderer_and_encoder(self) -> tuple[str, str]:
        """What the workers render and encode with, as the orchestrator lists them."""
        workers = [] if self.stack is None else _workers(self.stack)
        renderers = sorted({worker.renderer for worker in workers if worker.renderer})
        encoders = sorted({worker.encoder for worker in workers if worker.encoder})
        return ", ".join(renderers) or "unknown", ", ".join(encoders) or "unknown"


def evidence(
    looks: Sequence[Look], *, generator_cpu: float, generator_lag_s: float, fps: float
) -> Evidence:
    """What several looks together say about where the system is at its limit.

    Of another host there are none: then the generator alone is seen.
    """
    cores = float(os.cpu_count() or 1)
    if not looks:
        return Evidence(cores, generator_cpu=generator_cpu, generator_lag_s=generator_lag_s)
    cpu: dict[tuple[str, str], list[float]] = {}
    lag: dict[str, list[float]] = {}
    encode: dict[str, list[float]] = {}
    for look in looks:
        for row in look.rows():
            if row["role"] == "pool":
                continue
            cpu.setdefault((row["node"], row["role"]), []).append(row["cpu"])
            if not math.isnan(row["loop_lag_s"]):
                lag.setdefault(row["node"], []).append(row["loop_lag_s"])
        for worker in look.workers:
            if worker.vitals.get("frames"):
                encode.setdefault(worker.worker_id, []).append(worker.vitals["encode_s"])
    return Evidence(
        cores=cores,
        uses=[
            Use(node, role, statistics.fmean(used), statistics.median(lag.get(node, [0.0])))
            for (node, role), used in cpu.items()
        ],
        generator_cpu=generator_cpu,
        generator_lag_s=generator_lag_s,
        machine_cpu=statistics.fmean(look.machine_cpu for look in looks),
        waiting=max(look.pool.waiting if look.pool else 0 for look in looks),
        encode_s=max((statistics.fmean(found) for found in encode.values()), default=0.0),
        frame_s=1.0 / fps,
    )


def _look(stack: EmbeddedStack, t_s: float) -> Look:
    snapshot = stack.pool_snapshot()
    return Look(
        t_s=t_s,
        pool=snapshot.pool,
        processes=snapshot.processes,
        workers=tuple(_workers(stack)),
        answer_s=stack.answer_s(),
        machine_cpu=psutil.cpu_percent() / 100.0 * (os.cpu_count() or 1),
    )


def _workers(stack: EmbeddedStack) -> list[WorkerView]:
    try:
        return stack.workers()
    except StackError:
        return []
