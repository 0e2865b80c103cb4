"""Runs replications of a scenario on one of the engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from scenarios.policies import Policy
from sim import reference
from sim.from_scenario import Case, Crowd, Sizes, with_in_progress
from sim.model import (
    ABSENT,
    NEVER_US,
    SECOND_US,
    WAITING,
    Day,
    Flags,
    Ints,
    NeedsMoreDraws,
    Outcome,
    PoolModel,
)

Engine = Literal["fast", "simpy"]

DRAWS_MAX: Final = 200_000_000

JOIN_ROUND_TRIPS: Final = 8
"""To connect: TCP, TLS and WebSocket 3, offer and answer 1, ICE 1, DTLS 2, the first frame 1."""


class TooMuch(ValueError):
    """A day on which more happens than anybody can mean; the text says what."""


@dataclass(frozen=True)
class Replication:
    """A simulated day: what became of its sessions, and one outcome per pool.

    ``session_us`` is how long each wanted to stay, ``before`` how many came
    before second 0. ``left`` is how often each was turned away or gave up,
    ``join_us`` from its first arrival until it was in: all waits, the times
    that it stayed away between, and the round trips of connecting.
    """

    number: int
    at_us: Ints
    wait_us: Ints
    outcome: npt.NDArray[np.int8]
    interrupted: Flags
    left: Ints
    join_us: Ints
    session_us: Ints
    before: int
    pools: tuple[Outcome, ...]


def why_not_fast(case: Case) -> str:
    """What keeps the fast engine from this scenario; empty if nothing does."""
    if case.overflow:
        return "a pool that takes the overflow of others"
    from sim.fast import engine

    pools = [case.pool_model(index) for index in range(len(case.scenario.pools))]
    return next((why for pool in pools if (why := engine.unsupported(pool))), "")


Log: TypeAlias = list[tuple[Sequence[float], Sequence[float]]]
"""Observations of a pool, each with the actions that followed."""


class Draws:
    """The draws of a case's days; those of the last few days are kept."""

    def __init__(self, case: Case, keep: int = 1) -> None:
        self._case = case
        self._keep = keep
        self._known: dict[int, tuple[Sizes, Crowd, list[Day], Ints]] = {}

    def of(self, number: int) -> tuple[Crowd, list[Day], Ints]:
        """Sessions, a day per pool, and the home of each session."""
        if number not in self._known:
            crowd = self._case.crowd(number)
            self._draw(number, crowd, self._case.sizes(crowd))
        return self._known[number][1:]

    def more(self, number: int, what: str) -> None:
        """Draw a day with more of ``what`` it had too few.

        Raises:
            TooMuch: of what nobody can mean.
        """
        before, crowd, _, _ = self._known[number]
        sizes = before.more(what)
        if max(sizes.launches, sizes.starts, sizes.sessions) > DRAWS_MAX:
            raise TooMuch(
                f"more than {DRAWS_MAX} {what} in one day: is a time 0 that should not be?"
            )
        if what == "sessions":
            crowd = self._case.crowd(number, sizes.sessions)
        self._draw(number, crowd, sizes)

    def _draw(self, number: int, crowd: Crowd, sizes: Sizes) -> None:
        pools = range(len(self._case.scenario.pools))
        days = [self._case.day(index, number, crowd, sizes) for index in pools]
        homes = self._case.homes(number, len(crowd.arrival_us))
        while len(self._known) >= self._keep and number not in self._known:
            del self._known[next(iter(self._known))]
        self._known[number] = (sizes, crowd, days, homes)


def replicate(
    case: Case,
    number: int,
    engine: Engine = "fast",
    policies: Sequence[Policy | None] | None = None,
    on_decisions: Callable[[int, Log], None] | None = None,
    draws: Draws | None = None,
) -> Replication:
    """Simulate one replication; ``policies`` replace those of the pools where given.

    ``on_decisions`` is told what each pool's policy saw and did (simpy only).

    Raises:
        TooMuch: more is launched or more sessions come than can be meant.
    """
    drawn = Draws(case) if draws is None else draws
    while True:
        try:
            return _attempt(case, number, engine, drawn, policies, on_decisions)
        except NeedsMoreDraws as lack:
            drawn.more(number, lack.what)


def _attempt(
    case: Case,
    number: int,
    engine: Engine,
    draws: Draws,
    policies: Sequence[Policy | None] | None,
    on_decisions: Callable[[int, Log], None] | None,
) -> Replication:
    crowd, days, homes = draws.of(number)
    count = len(case.scenario.pools)
    chosen = [None] * count if policies is None else policies
    models = [
        with_in_progress(
            case.pool_model(index, chosen[index]), case.in_progress(index, crowd.in_progress)
        )
        for index in range(count)
    ]
    found = _simulated(case, engine, models, days, homes, on_decisions)
    if case.drains and (found[0][0].outcome == WAITING).any():
        later = [replace(day, end_us=day.end_us + _drain_us(day)) for day in days]
        drained = _simulated(case, engine, models, later, homes, on_decisions)
        if not (drained[0][0].outcome == WAITING).any():
            found = drained
    outcomes, server = found
    first = outcomes[0]
    return Replication(
        number,
        first.at_us,
        first.wait_us,
        first.outcome,
        first.interrupted | _reaped(case, homes, crowd, first),
        first.left,
        first.wait_us + _away_us(days[0], first) + _connecting_us(case, server),
        crowd.session_us,
        crowd.before,
        tuple(outcomes),
    )


def _simulated(
    case: Case,
    engine: Engine,
    models: Sequence[PoolModel],
    days: Sequence[Day],
    homes: Ints,
    on_decisions: Callable[[int, Log], None] | None,
) -> tuple[list[Outcome], Ints]:
    """An outcome per pool, and by session the pool that served it."""
    if engine == "simpy":
        world = reference.Reference(list(zip(models, days, strict=True)), homes, case.overflow)
        for pool in world.pools:
            pool.log = None if on_decisions is None else []
        outcomes = world.run()
        if on_decisions is not None:
            for index, pool in enumerate(world.pools):
                on_decisions(index, pool.log or [])
        return outcomes, world.server
    return _fast(models, days, homes), homes


def _drain_us(day: Day) -> int:
    """One worker would have served everybody by then."""
    held = day.hold_us[day.hold_us < NEVER_US]
    boots = day.boot_us[day.boot_us < NEVER_US]
    return int(held.sum() + day.scrub_us.sum() + boots.max(initial=0) + SECOND_US)


def _fast(models: Sequence[PoolModel], days: Sequence[Day], homes: Ints) -> list[Outcome]:
    """Pools that share no session are days of their own."""
    from sim.fast import engine

    if len(models) == 1:
        return [engine.simulate(models[0], days[0])]
    count = len(homes)
    whole = Outcome(
        np.full(count, -1, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
        np.full(count, ABSENT, dtype=np.int8),
        np.zeros(count, dtype=np.bool_),
        np.zeros(count, dtype=np.int64),
        np.zeros((0, 4), dtype=np.int64),
        np.zeros((0, 4), dtype=np.int64),
        0,
        0,
    )
    outcomes = []
    for index, (model, day) in enumerate(zip(models, days, strict=True)):
        mine = homes == index
        found = engine.simulate(model, _part(day, mine))
        for name in ("at_us", "wait_us", "outcome", "interrupted", "left"):
            getattr(whole, name)[mine] = getattr(found, name)
        outcomes.append(
            replace(
                whole,
                areas=found.areas,
                states=found.states,
                launches=found.launches,
                decisions=found.decisions,
            )
        )
    return outcomes


def _part(day: Day, mine: Flags) -> Day:
    return replace(
        day,
        arrival_us=day.arrival_us[mine],
        hold_us=day.hold_us[mine],
        patience_us=day.patience_us[mine],
        scrub_us=day.scrub_us[mine] if len(day.scrub_us) else day.scrub_us,
        retry_us=day.retry_us[mine] if len(day.retry_us) else day.retry_us,
        chain=int(mine[: day.chain].sum()),
    )


def _away_us(day: Day, outcome: Outcome) -> Ints:
    """How long each session stayed away between its attempts."""
    if day.retry_us.shape[1] == 0:
        return np.zeros(day.sessions, dtype=np.int64)
    came_back = np.arange(day.retry_us.shape[1]) < outcome.left[:, np.newaxis]
    away_us: Ints = np.where(came_back, np.maximum(day.retry_us, 0), 0).sum(axis=1)
    return away_us


def _connecting_us(case: Case, server: Ints) -> Ints:
    each_s = JOIN_ROUND_TRIPS * case.rtts_s + case.scenario.sim.adds.session_s
    each_us = np.rint(each_s * 1e6).astype(np.int64)
    return np.asarray(each_us[server])


def _reaped(case: Case, homes: Ints, crowd: Crowd, outcome: Outcome) -> Flags:
    """Sessions that a system without good manners ended although they wanted to go on."""
    found: Flags = np.zeros(len(homes), dtype=np.bool_)
    for index, pool in enumerate(case.scenario.pools):
        if pool.reap_s is not None:
            longer = crowd.session_us > pool.reap_s * 1e6
            ended = outcome.at_us + outcome.wait_us + pool.reap_s * 1e6 < case.end_us
            found |= longer & ended & (homes == index) & (outcome.outcome == 0)
    return found
