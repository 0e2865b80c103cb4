"""Adds up the time that workers spend in each state, between given edges."""

from __future__ import annotations

import numpy as np

from sim.model import Ints

STATES = ("ready", "booting", "busy", "stopped")


class Meter:
    """Exact: counts times integer microseconds."""

    def __init__(self, begin_us: int, edges_us: Ints) -> None:
        self.areas = np.zeros((len(edges_us) - 1, len(STATES)), dtype=np.int64)
        self.states = np.zeros((len(edges_us), len(STATES)), dtype=np.int64)
        self._edges = [int(edge) for edge in edges_us]
        self._next = 0
        self._since_us = begin_us

    def begin(self, counts: tuple[int, int, int, int]) -> None:
        """These are the counts from the beginning on."""
        while self._next < len(self._edges) and self._edges[self._next] <= self._since_us:
            self.states[self._next] = counts
            self._next += 1

    def advance(self, now_us: int, counts: tuple[int, int, int, int]) -> None:
        """The counts have held since the last call."""
        while self._next < len(self._edges) and self._edges[self._next] <= now_us:
            edge = self._edges[self._next]
            self._add(edge, counts)
            self.states[self._next] = counts
            self._next += 1
        self._add(now_us, counts)

    def _add(self, until_us: int, counts: tuple[int, int, int, int]) -> None:
        passed_us = until_us - self._since_us
        self._since_us = until_us
        if passed_us > 0 and 0 < self._next < len(self._edges):
            self.areas[self._next - 1] += np.multiply(counts, passed_us)
