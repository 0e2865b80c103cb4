"""What goes on beside the load of a run: live figures, gates that end it, a search, faults."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import gevent

from loadtest._blame import blame
from loadtest._embedded import Embedded
from loadtest._faults import Faults
from loadtest._live import Live, StageWindows
from loadtest._look import evidence
from loadtest._pulse import PERIOD_S, Pulse
from loadtest._scrape import Scrape
from loadtest._search import Search
from reports.runinfo import Aborted
from reports.steps import Step
from scenarios import schedule
from scenarios.load import CapacityLoad
from scenarios.model import Scenario
from system.protocol.records import EventRow

logger = logging.getLogger(__name__)

NODE: Final = "controller"


class Watch:
    """Watches one run; ``aborted`` is told once, of the gate that ends it.

    ``seen`` is the system as far as it can be looked into.
    """

    def __init__(
        self,
        scenario: Scenario,
        seen: Embedded | Scrape,
        *,
        elapsed_s: Callable[[], float],
        enter: Callable[[str], None],
        aborted: Callable[[Aborted], None],
        problem: Callable[[str], None],
    ) -> None:
        self.live = Live()
        self.search: Search | None = None
        self._scenario = scenario
        self._seen = seen
        self._elapsed_s = elapsed_s
        self._aborted = aborted
        self._windows: StageWindows | None = None
        self._faults: Faults | None = None
        self._greenlets: list[gevent.Greenlet] = []
        if isinstance(scenario.load, CapacityLoad):
            self.search = Search(
                scenario.load,
                scenario.gates,
                self.live,
                enter=enter,
                elapsed_s=elapsed_s,
                sleep=gevent.sleep,
                blame=self._blame,
            )
        elif any(gate.abort is not None for gate in scenario.gates):
            self._windows = StageWindows(schedule.stages(scenario))
        stack = seen.stack if isinstance(seen, Embedded) else None
        if scenario.faults and stack is not None:
            self._faults = Faults(
                scenario.faults,
                scenario.seed,
                stack,
                stalled=lambda: self.live.stalled,
                elapsed_s=elapsed_s,
                problem=problem,
            )

    def start(self) -> None:
        """Begin to watch."""
        self._greenlets.append(gevent.spawn(self._tick))
        for part in (self.search, self._faults):
            if part is not None:
                self._greenlets.append(gevent.spawn(part.run))

    def stop(self) -> None:
        """End everything that goes on here."""
        gevent.killall(self._greenlets)
        if self._faults is not None:
            self._faults.stop()

    def pulse(self, pulse: Pulse) -> None:
        """Take what a process of the load generator tells."""
        self.live.add(pulse)
        if self.search is not None:
            self.search.pulse(pulse)
        if self._windows is not None:
            self._windows.add(pulse, self._elapsed_s())

    def rows(self) -> list[EventRow]:
        """What the run's events must have of it."""
        rows = [] if self._faults is None else self._faults.rows()
        steps = [] if self.search is None else self.search.steps
        return rows + [step.row(NODE) for step in steps]

    def _tick(self) -> None:
        before_s = self._elapsed_s()
        while True:
            gevent.sleep(PERIOD_S)
            now_s = self._elapsed_s()
            pool = self._seen.pool
            self.live.tick(now_s, max(now_s - before_s, 1e-3), pool)
            before_s = now_s
            if self._windows is None:
                continue
            if pool is not None:
                states = ("ready", "booting", "busy", "stopped")
                counts = {f"pool.workers.{state}": float(getattr(pool, state)) for state in states}
                self._windows.add_pool(counts, now_s)
            found = self._windows.gates(self._scenario.gates, self.live.watching).aborted(now_s)
            if found is not None:
                logger.info("gate %s ends the run: %s", found.gate, found.reason)
                self._aborted(found)
                return

    def _blame(self, step: Step, metric: str) -> str:
        looks = [look for look in self._seen.looks if step.from_s <= look.t_s < step.to_s]
        seen = evidence(
            looks,
            generator_cpu=self.live.cpu,
            generator_lag_s=self.live.loop_lag_s,
            fps=self._scenario.stream.fps,
            shared=self._seen.shared,
        )
        return blame(metric, seen)
