"""The clock of the reference model: simpy, with integer microseconds and ranked events."""

from __future__ import annotations

from collections.abc import Callable

import simpy
from simpy.core import EmptySchedule
from simpy.events import EventPriority


class Moment(simpy.Event):
    """An event that calls one function when its time has come.

    At one time lower ranks come first, then what was scheduled first: simpy
    orders by time, priority and number.
    """

    def __init__(self, clock: Clock, at_us: int, rank: int, action: Callable[[], None]) -> None:
        super().__init__(clock.environment)
        self._ok = True
        self._value = None
        self.callbacks = [lambda _: action()]
        clock.environment.schedule(self, EventPriority(rank), at_us - clock.now_us)


class Clock:
    """Time of a simulation."""

    def __init__(self, begin_us: int) -> None:
        self.environment = simpy.Environment(begin_us)

    @property
    def now_us(self) -> int:
        return int(self.environment.now)

    def at(self, at_us: int, rank: int, action: Callable[[], None]) -> None:
        """Have ``action`` called at a time that is not before now."""
        Moment(self, at_us, rank, action)

    def run(self, end_us: int) -> None:
        """Let everything happen that comes before ``end_us``."""
        try:
            while self.environment.peek() < end_us:
                self.environment.step()
        except EmptySchedule:
            return
