"""Runs replications of a scenario on one of the engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from scenarios.policies import Policy
from sim import reference
from sim.from_scenario import Case, Crowd, Sizes, with_in_progress
from sim.model import ABSENT, Day, Flags, Ints, NeedsMoreDraws, Outcome, PoolModel

Engine = Literal["fast", "simpy"]

DRAWS_MAX: Final = 200_000_000


class TooMuch(ValueError):
    """A day on which more happens than anybody can mean; the text says what."""


@dataclass(frozen=True)
class Replication:
    """A simulated day: what became of its sessions, and one outcome per pool.

    ``session_us`` is how long each wanted to stay, ``before`` how many came
    before second 0.
    """

    number: int
    at_us: Ints
    wait_us: Ints
    outcome: Ints
    interrupted: Flags
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


def replicate(
    case: Case,
    number: int,
    engine: Engine = "fast",
    policies: Sequence[Policy | None] | None = None,
    on_decision: Callable[[int, list[tuple[Sequence[float], Sequence[float]]]], None] | None = None,
) -> Replication:
    """Simulate one replication; ``policies`` replace those of the pools where given.

    ``on_decision`` is told, per pool, every observation and its actions (simpy only).

    Raises:
        TooMuch: more is launched or more sessions come than can be meant.
    """
    crowd = case.crowd(number)
    sizes = case.sizes(crowd)
    while True:
        try:
            return _attempt(case, number, engine, crowd, sizes, policies, on_decision)
        except NeedsMoreDraws as lack:
            sizes = sizes.more(lack.what)
            if max(sizes.launches, sizes.starts, sizes.sessions) > DRAWS_MAX:
                raise TooMuch(
                    f"more than {DRAWS_MAX} {lack.what} in one day: is a time 0 that should not be?"
                ) from None
            if lack.what == "sessions":
                crowd = case.crowd(number, sizes.sessions)


def _attempt(
    case: Case,
    number: int,
    engine: Engine,
    crowd: Crowd,
    sizes: Sizes,
    policies: Sequence[Policy | None] | None,
    on_decision: Callable[[int, list[tuple[Sequence[float], Sequence[float]]]], None] | None,
) -> Replication:
    count = len(case.scenario.pools)
    chosen = [None] * count if policies is None else policies
    models = [
        with_in_progress(case.pool_model(index, chosen[index]), crowd.in_progress)
        for index in range(count)
    ]
    days = [case.day(index, number, crowd, sizes) for index in range(count)]
    homes = case.homes(number, len(crowd.arrival_us))
    if engine == "simpy":
        world = reference.Reference(list(zip(models, days, strict=True)), homes, case.overflow)
        if on_decision is not None:
            for pool in world.pools:
                pool.log = []
        outcomes = world.run()
        if on_decision is not None:
            for index, pool in enumerate(world.pools):
                on_decision(index, pool.log or [])
    else:
        outcomes = _fast(models, days, homes)
    first = outcomes[0]
    return Replication(
        number,
        first.at_us,
        first.wait_us,
        first.outcome.astype(np.int64),
        first.interrupted | _reaped(case, homes, crowd, first),
        crowd.session_us,
        crowd.before,
        tuple(outcomes),
    )


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
        np.zeros((0, 4), dtype=np.int64),
        np.zeros((0, 4), dtype=np.int64),
        0,
        0,
    )
    outcomes = []
    for index, (model, day) in enumerate(zip(models, days, strict=True)):
        mine = homes == index
        found = engine.simulate(model, _part(day, mine))
        for name in ("at_us", "wait_us", "outcome", "interrupted"):
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


def _reaped(case: Case, homes: Ints, crowd: Crowd, outcome: Outcome) -> Flags:
    """Sessions that a system without good manners ended although they wanted to go on."""
    found = np.zeros(len(homes), dtype=np.bool_)
    for index, pool in enumerate(case.scenario.pools):
        if pool.reap_s is not None:
            longer = crowd.session_us > pool.reap_s * 1e6
            ended = outcome.at_us + outcome.wait_us + pool.reap_s * 1e6 < case.end_us
            found |= longer & ended & (homes == index) & (outcome.outcome == 0)
    return found
