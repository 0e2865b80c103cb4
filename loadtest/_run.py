"""A run that has begun: what it is made of, and whether it ended before its time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import gevent

from loadtest._blame import GENERATOR
from loadtest._look import Look
from loadtest._watch import Watch
from reports.rundir import RunWriter
from scenarios.load import OpenLoad
from scenarios.model import Scenario
from system.protocol.records import EventRow, SystemRow

EARLY_S: Final = 2.0
"""A closed run's clock is Locust's, which starts a little before ours."""


@dataclass(eq=False)
class Run:
    """A run that has begun."""

    writer: RunWriter
    scenario: Scenario
    epoch: float
    start_at: float
    planned_s: float | None
    users: int
    rate: float
    watch: Watch
    drained: bool = False
    finished: bool = False
    aborted: bool = False
    rows: list[SystemRow] = field(default_factory=list)
    lives: list[EventRow] = field(default_factory=list)
    """Boots and scrubs of the embedded stack's workers."""
    greenlets: list[gevent.Greenlet] = field(default_factory=list)
    saw_pool: bool = False

    def look(self, look: Look) -> None:
        """Take in the system as it is at a moment."""
        self.rows += look.rows()
        self.saw_pool = self.saw_pool or look.pool is not None

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.start_at

    @property
    def problems(self) -> list[str]:
        """Why a run that ends now cannot be trusted."""
        search = self.watch.search
        if search is not None:
            found = [
                f"the load generator was at its own limit with {step.users} viewers"
                for step in search.steps
                if step.component == GENERATOR
            ]
            return found if search.over else [*found, "stopped before the search had an answer"]
        if self.aborted:
            return []
        is_open = isinstance(self.scenario.load, OpenLoad)
        found_early = early(self.planned_s, self.elapsed_s, is_open=is_open)
        return [found_early] if found_early else []


def early(planned_s: float | None, elapsed_s: float, *, is_open: bool) -> str:
    """Why a run that ended too soon cannot be trusted, or nothing."""
    if planned_s is None:
        return ""
    slack_s = 0.0 if is_open else max(EARLY_S, planned_s / 10)
    if elapsed_s >= planned_s - slack_s:
        return ""
    return f"stopped after {max(elapsed_s, 0.0):.0f} s of {planned_s:.0f} s"
