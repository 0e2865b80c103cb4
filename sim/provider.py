"""What a provider allows, to one pool or to all pools in a region: quota, launch tokens, capacity.

It never decides; pools ask it, and are told when something has come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.model import RANK_REFILL, Limits
from sim.world import Clock

if TYPE_CHECKING:
    from sim.pool import Pool


class Provider:
    """``pools`` share these limits."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.pools: list[Pool] = []
        self._limits = limits
        self._clock = clock
        self._tokens_us = limits.burst * limits.refill_us
        self._tokens_at_us = clock.now_us
        self._refill_awaited = False

    def begin(self) -> None:
        """Be there to tell when capacity comes back."""
        for _, to_us in self._limits.outages_us:
            self._clock.at(to_us, RANK_REFILL, self._came_back)

    @property
    def has_room(self) -> bool:
        """Whether one more worker may run."""
        return sum(pool.running for pool in self.pools) < self._limits.max_workers

    @property
    def is_out(self) -> bool:
        """Whether there is no capacity."""
        now_us = self._clock.now_us
        return any(from_us <= now_us < to_us for from_us, to_us in self._limits.outages_us)

    def has_token(self) -> bool:
        """Whether one more may be launched; if not, policies without interval hear of the next."""
        each_us = self._limits.refill_us
        if self._limits.burst == 0:
            return True
        now_us = self._clock.now_us
        level = self._tokens_us + now_us - self._tokens_at_us
        self._tokens_us = min(self._limits.burst * each_us, level)
        self._tokens_at_us = now_us
        if self._tokens_us >= each_us:
            return True
        on_every = any(pool.model.policy.interval_us == 0 for pool in self.pools)
        if on_every and not self._refill_awaited:
            self._refill_awaited = True
            self._clock.at(now_us + each_us - self._tokens_us, RANK_REFILL, self._refilled)
        return False

    def take_token(self) -> None:
        """One is launched."""
        if self._limits.burst:
            self._tokens_us -= self._limits.refill_us

    def _refilled(self) -> None:
        self._refill_awaited = False
        self._came_back()

    def _came_back(self) -> None:
        for pool in self.pools:
            pool.decide_if_asked()
