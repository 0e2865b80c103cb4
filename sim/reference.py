"""The reference engine on simpy: sessions arrive, wait, are served or leave."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from sim import journal as log
from sim.journal import Journal
from sim.model import (
    ABANDONED,
    ABSENT,
    BLOCKED,
    NEVER_US,
    RANK_ARRIVAL,
    RANK_RENEGE,
    RANK_RETURN,
    SERVED,
    WAITING,
    Day,
    Flags,
    Ints,
    NeedsMoreDraws,
    Outcome,
    PoolModel,
)
from sim.pool import Pool
from sim.provider import Provider
from sim.world import Clock


class Reference:
    """One day of one or several pools.

    ``home[s]`` is the pool in whose queue session s waits; before it does, it
    may be served by one of ``overflow``. Session draws are those of the first
    day, launch draws those of each pool's own.
    """

    def __init__(
        self,
        pools: Sequence[tuple[PoolModel, Day]],
        home: Ints | None = None,
        overflow: Sequence[int] = (),
        journal: Journal | None = None,
    ) -> None:
        self._day = day = pools[0][1]
        self.clock = Clock(day.begin_us)
        self._regions = {
            model.region.name: Provider(model.region, self.clock)
            for model, _ in pools
            if model.region is not None
        }
        self.pools = [
            Pool(
                model,
                own,
                self.clock,
                partial(self._served, index),
                self._over,
                journal,
                None if model.region is None else self._regions[model.region.name],
            )
            for index, (model, own) in enumerate(pools)
        ]
        count = day.sessions
        self._home = np.zeros(count, dtype=np.int64) if home is None else home
        self._overflow = overflow
        self._journal = journal
        self._at_us = np.full(count, -1, dtype=np.int64)
        self._since_us = np.zeros(count, dtype=np.int64)
        self._wait_us = np.zeros(count, dtype=np.int64)
        self._outcome = np.full(count, ABSENT, dtype=np.int8)
        self._interrupted: Flags = np.zeros(count, dtype=np.bool_)
        self._left = np.zeros(count, dtype=np.int64)
        self.server = np.full(count, -1, dtype=np.int64)
        """By session the pool that serves it, or served it."""

    def run(self) -> list[Outcome]:
        """Simulate the day; one outcome per pool, which share what is known of sessions.

        Raises:
            NeedsMoreDraws: the day has too few.
        """
        for pool in self.pools:
            pool.begin()
        for region in self._regions.values():
            region.begin()
        self._expect(0)
        self.clock.run(self._day.end_us)
        waiting = self._outcome == WAITING
        self._wait_us[waiting] += self._day.end_us - self._since_us[waiting]
        for pool in self.pools:
            pool.fleet.finish(self._day.end_us)
        return [
            Outcome(
                self._at_us,
                self._wait_us,
                self._outcome,
                self._interrupted,
                self._left,
                pool.meter.areas,
                pool.meter.states,
                pool.launches,
                pool.decisions,
            )
            for pool in self.pools
        ]

    def _expect(self, session: int) -> None:
        """Wait for the next new arrival."""
        if session < (self._day.chain or self._day.sessions):
            at_us = int(self._day.arrival_us[session])
            self.clock.at(at_us, RANK_ARRIVAL, lambda: self._arrive_first(session))

    def _arrive_first(self, session: int) -> None:
        self._expect(session + 1)
        self._arrive(session)

    def _arrive(self, session: int) -> None:
        now_us = self.clock.now_us
        if self._at_us[session] < 0:
            self._at_us[session] = now_us
        self._since_us[session] = now_us
        self._outcome[session] = WAITING
        self._note(log.ARRIVES, session)
        home = self.pools[self._home[session]]
        home.arrivals += 1
        taker = next(
            (
                pool
                for pool in (home, *(self.pools[i] for i in self._overflow))
                if pool.fleet.has_room
            ),
            None,
        )
        patience_us = int(self._day.patience_us[session])
        if taker is not None:
            taker.serve(session)
        elif home.model.per_request and home.launch_for(session):
            pass
        elif patience_us == 0:
            self._note(log.BLOCKED, session)
            self._leave(session, BLOCKED)
        else:
            self._note(log.WAITS, session)
            home.queue.append(session)
            if patience_us < NEVER_US:
                self.clock.at(now_us + patience_us, RANK_RENEGE, lambda: self._renege(session))
        home.changed()
        if taker is not None and taker is not home:
            taker.changed()

    def _served(self, pool: int, session: int) -> None:
        self.server[session] = pool
        self._wait_us[session] += self.clock.now_us - self._since_us[session]
        self._outcome[session] = SERVED

    def _renege(self, session: int) -> None:
        if self._outcome[session] != WAITING:
            return
        home = self.pools[self._home[session]]
        home.queue.remove(session)
        self._wait_us[session] += self.clock.now_us - self._since_us[session]
        self._note(log.LEAVES, session)
        self._leave(session, ABANDONED)
        home.changed()

    def _leave(self, session: int, outcome: int) -> None:
        self._outcome[session] = outcome
        times = int(self._left[session])
        self._left[session] += 1
        if times < self._day.retry_us.shape[1] and self._day.retry_us[session, times] >= 0:
            at_us = self.clock.now_us + int(self._day.retry_us[session, times])
            self.clock.at(at_us, RANK_RETURN, lambda: self._arrive(session))
        else:
            self._follow(session)

    def _note(self, what: str, session: int) -> None:
        if self._journal is not None:
            self._journal.note(self.clock.now_us, what, session)

    def _over(self, session: int, whole: bool) -> None:
        self._interrupted[session] = not whole
        self._follow(session)

    def _follow(self, session: int) -> None:
        """In a closed load the next session of the same viewer begins."""
        if self._day.chain:
            following = session + self._day.chain
            if following >= self._day.sessions:
                raise NeedsMoreDraws("sessions")
            self.clock.at(self.clock.now_us, RANK_RETURN, lambda: self._arrive(following))


def simulate(pool: PoolModel, day: Day) -> Outcome:
    """One pool's day; raises NeedsMoreDraws."""
    return Reference([(pool, day)]).run()[0]
