"""The embedded stack of a load test: started for a scenario, watched while it is loaded."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from typing import Final

import gevent
import psutil

from loadtest._look import Look, Process
from loadtest._target import policy_from, stack_config
from scenarios.model import Scenario
from system.protocol.messages import WorkerView
from system.stack import EmbeddedStack, PoolCounts, ProcessUse
from system.stack.embedded import ORCHESTRATOR
from system.stack.errors import StackError

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0


class Embedded:
    """At most one embedded stack at a time; made by the process that owns the run."""

    shared: Final = True
    """It runs on this machine."""

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
        """Let the scenario's policy keep the pool from now on; raises StackError.

        Until then it kept what it begins with, be that more or less than the
        policy holds at rest. ``epoch``: second 0, for policies by the time of day.
        """
        if self.stack is not None:
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

    def log(self) -> list[str]:
        """What its orchestrator has logged until now."""
        return [] if self.stack is None else self.stack.log_lines(ORCHESTRATOR)

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


def _look(stack: EmbeddedStack, t_s: float) -> Look:
    snapshot = stack.pool_snapshot()
    workers = {worker.worker_id: worker for worker in _workers(stack)}
    answer_s = stack.answer_s()
    return Look(
        t_s=t_s,
        pool=snapshot.pool,
        processes=tuple(
            _process(use, workers.get(use.node), answer_s) for use in snapshot.processes
        ),
        machine_cpu=psutil.cpu_percent() / 100.0 * (os.cpu_count() or 1),
    )


def _process(use: ProcessUse, worker: WorkerView | None, answer_s: float) -> Process:
    """Signaling is as late as its answer; workers say it of themselves."""
    vitals = {} if worker is None else worker.vitals
    return Process(
        node=use.node,
        role=use.role,
        cpu=use.cpu,
        rss_bytes=use.rss_bytes,
        lag_s=answer_s if use.role == "signaling" else vitals.get("loop_lag_s", math.nan),
        sessions=0 if worker is None else len(worker.sessions),
        encode_s=vitals.get("encode_s", 0.0) if vitals.get("frames") else 0.0,
    )


def _workers(stack: EmbeddedStack) -> list[WorkerView]:
    try:
        return stack.workers()
    except StackError:
        return []
