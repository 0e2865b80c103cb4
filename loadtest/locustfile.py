"""The locustfile: headless viewers of a remote-rendering system.

    locust -f loadtest/ [--host URL] [--scenario FILE] [--headless] …

Without ``--host`` an embedded stack is started and loaded. Viewers live in
helper processes; a Locust user only waits for the end of its session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import User, events, task

from loadtest._wiring import LoadTest

if TYPE_CHECKING:
    from scenarios.schedule import Arrival

load_test = LoadTest("Viewer")
load_test.install(events)


class Viewer(User):
    """A viewer in progress: one session of an open load, or one after the other of a closed."""

    arrival: Arrival | None = None

    @task
    def watch(self) -> None:
        assert load_test.swarm is not None
        load_test.swarm.watch(self.arrival)
