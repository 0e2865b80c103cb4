"""Ends an open load's run when its schedule is over; the schedule, not a shape, brings users."""

from __future__ import annotations

from collections.abc import Callable

from locust import LoadTestShape


class ScheduleShape(LoadTestShape):
    """A shape that asks Locust for nobody, until the schedule is over.

    Abstract, so that Locust does not instantiate it by itself: a shape that it
    finds silences ``-u``, ``-r`` and ``-t`` of every run.
    """

    abstract = True

    def __init__(self, over: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._over = over

    def tick(self) -> tuple[int, float] | None:
        return None if self._over() else (0, 1.0)
