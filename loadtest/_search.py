"""Searches the capacity: raises the number of viewers step by step until a gate is missed.

A step that misses a gate while all viewers have pictures is held as long again
and judged by both parts together, so that one hiccup is not taken for a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from loadtest._live import Live, Window
from loadtest._pulse import PERIOD_S, Pulse
from reports.live import LiveGates
from reports.steps import Step
from scenarios.gates import Gate
from scenarios.load import CapacityLoad
from scenarios.schedule import StageSpan

JOIN_S: Final = 10.0
"""A step's viewers get so long to join, unless one fails to; who has not fails the step."""
SETTLE_S: Final = 2.0
"""From the last join to what is judged: first pictures and settings are no steady state."""
TOLD_S: Final = 1.5 * PERIOD_S
"""What a viewer sees is told by its helper, then by its process, each once a period."""
LOOK_EVERY_S: Final = 0.2
JOIN_OVER_S: Final = 2.0
"""A step's new viewers come within so long, one a second at least."""

Blame = Callable[[Step, str], str]
"""Names the component behind a step that broke, given the metric; "" where it cannot say."""


class Search:
    """One search; ``run`` is a greenlet's work, ``users`` is how many viewers it wants now."""

    def __init__(
        self,
        load: CapacityLoad,
        gates: Sequence[Gate],
        live: Live,
        *,
        enter: Callable[[str], None],
        elapsed_s: Callable[[], float],
        sleep: Callable[[float], object],
        blame: Blame,
    ) -> None:
        self.users = 0
        self.steps: list[Step] = []
        self.over = False
        self._load = load
        self._gates = gates
        self._live = live
        self._enter = enter
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._blame = blame
        self._window = Window()
        self._stage = ""
        self._judged = False
        self._failed = False

    @property
    def rate(self) -> float:
        """Viewers per second that join when a step begins."""
        new = self._load.step if self.steps else self._load.from_users
        return max(1.0, new / JOIN_OVER_S)

    def pulse(self, pulse: Pulse) -> None:
        """Take what a process tells of its viewers."""
        if self._judged:
            self._window.add_seconds(pulse)
        samples = pulse.by_stage.get(self._stage, {})
        self._window.add_sessions(samples)
        failed = samples.get("session.failed")
        self._failed = self._failed or bool(failed and failed["total"])

    def run(self) -> None:
        """Go through the steps."""
        for users in self._load.users:
            step = self._step(users)
            self.steps.append(step)
            if not step.held:
                break
        self.over = True

    def _step(self, users: int) -> Step:
        self._stage = f"viewers-{users}"
        self._window = Window()
        self._failed = False
        self._enter(self._stage)
        self.users = users
        deadline_s = self._elapsed_s() + JOIN_S + users / self.rate
        while self._watching < users and not self._failed and self._elapsed_s() < deadline_s:
            self._sleep(LOOK_EVERY_S)
        self._sleep(SETTLE_S)
        from_s = self._elapsed_s()
        self._sleep(TOLD_S)
        self._judged = True
        step = self._hold(users, from_s)
        if step.gate and not self._failed and self._watching >= users:
            step = self._hold(users, from_s)
        self._judged = False
        return self._blamed(step)

    def _hold(self, users: int, from_s: float) -> Step:
        self._sleep(self._load.hold_s)
        return self._judge(users, from_s, self._elapsed_s() - TOLD_S)

    @property
    def _watching(self) -> int:
        return sum(self._live.watching.values())

    def _judge(self, users: int, from_s: float, to_s: float) -> Step:
        gates = LiveGates(self._gates, [StageSpan(self._stage, 0.0, math.inf, True)])
        watching = self._live.watching.get(self._stage, 0)
        self._window.feed(gates, 0.0, watching=watching, pending=self._live.pending)
        missed = gates.missed(self._stage)
        if missed is not None:
            gate, reason = missed
            return Step(users, from_s, to_s, held=False, gate=gate.id, reason=reason)
        if self._watching < users:
            reason = f"{self._watching} of {users} viewers had pictures"
            return Step(users, from_s, to_s, held=False, reason=reason)
        return Step(users, from_s, to_s, held=True)

    def _blamed(self, step: Step) -> Step:
        if step.held:
            return step
        metrics = {gate.id: gate.metric for gate in self._gates}
        metric = metrics.get(step.gate, "session.join_time")
        return replace(step, component=self._blame(step, metric))
