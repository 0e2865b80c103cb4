"""Which arrivals a process starts and when: the schedule's share, paced against one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from scenarios.schedule import Arrival


@dataclass(frozen=True, slots=True)
class Share:
    """Process ``index`` of ``count``: it starts the arrivals whose index is congruent."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"share {self.index} of {self.count}")

    def of(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        return (arrival for arrival in arrivals if arrival.index % self.count == self.index)

    def number(self, nth: int) -> int:
        """The run-wide number of this process's ``nth`` viewer, counted from 0."""
        return self.index + nth * self.count


class RateCap:
    """Spaces joins at least ``1 / per_s`` apart; None lets everybody through at once."""

    def __init__(self, per_s: float | None) -> None:
        self._gap_s = 0.0 if per_s is None else 1.0 / per_s
        self._free_at = float("-inf")

    def reserve(self, now: float) -> float:
        """Take the next free moment; return how long to wait for it, in seconds."""
        at = max(now, self._free_at)
        self._free_at = at + self._gap_s
        return at - now


def pace(
    arrivals: Iterable[Arrival],
    *,
    start_at: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    begin: Callable[[Arrival], None],
) -> None:
    """Call ``begin`` for each arrival when its time has come, never earlier.

    ``start_at`` is the moment of the run's second 0 on ``clock``. An arrival
    whose time has passed is begun at once: how late it is, is measured, not hidden.
    """
    for arrival in arrivals:
        ahead = start_at + arrival.at_s - clock()
        # Also when nothing is ahead: other greenlets must run between two arrivals.
        sleep(max(ahead, 0.0))
        begin(arrival)
