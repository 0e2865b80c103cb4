"""An event loop on a virtual clock: time stands still while anybody has something to do."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import Any

MICRO = 1_000_000
_NANO = 1e-9
"""Rounding of times in seconds, which are all below a million."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Whole microseconds; never sleeps, opens nothing, and is the same every time.

    ``at`` adds moments from outside. One comes when all callbacks have run and
    no timer is earlier; of one time those of lower rank come first, then those
    that were added first, and all of them before the timers of that time.
    """

    def __init__(self, begin_us: int = 0) -> None:
        super().__init__()
        self.now_us = begin_us
        self._selector = self
        self._moments: list[tuple[int, int, int, Callable[[], object]]] = []
        self._added = 0

    def time(self) -> float:
        return self.now_us / MICRO

    def at(self, at_us: int, rank: int, action: Callable[[], object]) -> None:
        """Call ``action`` at a time that is not before now."""
        assert at_us >= self.now_us
        self._added += 1
        heapq.heappush(self._moments, (at_us, rank, self._added, action))

    # --- what BaseEventLoop wants ----------------------------------------------

    def select(self, timeout: float | None) -> list[Any]:
        """Instead of waiting: let the next moment come, or the next timer be due."""
        self._clock_resolution = -_NANO  # what is due now stays so until nobody is ready
        if self._ready:
            return []
        due_us = None
        if timeout is not None:
            due_us = math.ceil((self.time() + timeout) * MICRO - 1e-2)
        if self._moments and (due_us is None or self._moments[0][0] <= due_us):
            self.now_us, _, _, action = heapq.heappop(self._moments)
            action()
        elif due_us is None:
            raise RuntimeError("everybody waits, and nothing will happen any more")
        else:
            self.now_us = max(due_us, self.now_us)
            self._clock_resolution = _NANO
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
