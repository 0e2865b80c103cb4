"""Delay, jitter and loss of one connection's datagrams, in user space and without root."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Path:
    """A network path: added round trip, its variation, and loss each way.

    Half of ``rtt_s`` is added in each direction, plus a uniform 0 to
    ``jitter_s``; datagrams keep their order. ``loss`` is a probability per
    datagram and direction.
    """

    rtt_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0


class Impairment:
    """Applies a path to what a connection sends and receives; at most ``limit`` in flight."""

    def __init__(self, path: Path, rng: random.Random, *, limit: int = 4096) -> None:
        self._path = path
        self._rng = rng
        self._limit = limit
        self._in_flight = 0
        self._last_due = [0.0, 0.0]
        self.dropped = 0

    def inbound(self, deliver: Callable[..., None], *args: Any) -> None:
        self._pass(0, deliver, args)

    def outbound(self, deliver: Callable[..., None], *args: Any) -> None:
        self._pass(1, deliver, args)

    def _pass(self, direction: int, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        path = self._path
        if (path.loss and self._rng.random() < path.loss) or self._in_flight >= self._limit:
            self.dropped += 1
            return
        delay = path.rtt_s / 2 + (self._rng.random() * path.jitter_s if path.jitter_s else 0.0)
        if delay <= 0:
            deliver(*args)
            return
        loop = asyncio.get_running_loop()
        due = max(loop.time() + delay, self._last_due[direction])
        self._last_due[direction] = due
        self._in_flight += 1
        loop.call_at(due, self._arrive, deliver, args)

    def _arrive(self, deliver: Callable[..., None], args: tuple[Any, ...]) -> None:
        self._in_flight -= 1
        deliver(*args)
