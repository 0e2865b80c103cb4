"""Tells Locust how many users a run wants, where the command line does not."""

from __future__ import annotations

from collections.abc import Callable

from locust import LoadTestShape


class RunShape(LoadTestShape):
    """A shape that asks for as many users as ``wanted`` says, until the run is over.

    Nobody in an open load, whose schedule brings the users.

    Abstract, so that Locust does not instantiate it by itself: a shape that it
    finds silences ``-u``, ``-r`` and ``-t`` of every run.
    """

    abstract = True

    def __init__(self, wanted: Callable[[], tuple[int, float]], over: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._wanted = wanted
        self._over = over

    def tick(self) -> tuple[int, float] | None:
        return None if self._over() else self._wanted()
