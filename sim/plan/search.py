"""Races candidates on common days, then confirms the cheapest on fresh ones.

The days on which a winner was found flatter it (it was chosen for them), so
nothing of them is reported: what is, comes from days that no search has seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from reports import student
from scenarios.model import Scenario
from sim.plan.evaluate import Candidate, Evaluator, cheapest
from sim.plan.space import candidates
from sim.plan.spread import Spread
from sim.scale import WORTH_S

ROUNDS = (1, 3, 6, 12, 20, 30)
"""Days after which candidates are compared."""

CONFIRM_DAYS = (30, 60, 120)
"""A winner is confirmed on the first number of days that tells."""

_CONFIRMED = 0.99
"""One-sided confidence of each of these looks: there are several, and bad days are rare and bad."""

FRESH_DAY = 1_000_000
"""Replications from here on are not looked at by the search."""

_SURE = 0.995
"""One-sided confidence for dropping a candidate."""

_HOPELESS = 4.0
"""A gate broken by so many times its limit on every day so far is not looked at again."""

ALTERNATIVES = 3
"""Of each kind."""

Progress = Callable[[int, int], None]
"""Told simulated days: those done, and those expected in all."""


@dataclass
class Found:
    """What a search found out."""

    evaluator: Evaluator
    """Of the confirmation."""
    searched: list[Candidate]
    best: Candidate | None = None
    """Confirmed: seen on fresh days only."""
    alternatives: list[Candidate] = field(default_factory=list)
    """The cheapest of each kind, on the same fresh days; the best among them."""
    nearest: Candidate | None = None
    """Where no policy holds: the one that comes nearest."""
    interrupted: bool = False
    out_of_time: bool = False
    days: int = 0


def search(
    scenario: Scenario, budget_s: float, progress: Progress, spread: Spread | None = None
) -> Found:
    """Find the cheapest policy that keeps the gates; an interrupt gives the best so far.

    ``spread`` says where else candidates may be raced; without it, here alone.
    """
    began_s = time.monotonic()
    deadline_s = began_s + budget_s
    racing = Evaluator(scenario)
    every = candidates(racing)
    found = Found(Evaluator(scenario, FRESH_DAY), every)
    try:
        _race(racing, every, began_s + 0.6 * budget_s, found, progress, spread)
        found.nearest = _nearest(racing, every)
        _confirm(racing, found, deadline_s, progress)
    except KeyboardInterrupt:
        found.interrupted = True
        if found.nearest is None:
            found.nearest = _nearest(racing, every)
    if found.best is None and (found.interrupted or found.out_of_time):
        found.best = cheapest([one for one in every if one.days > 1 and racing.keeps(one)])
    return found


def _race(
    evaluator: Evaluator,
    every: list[Candidate],
    deadline_s: float,
    found: Found,
    progress: Progress,
    spread: Spread | None,
) -> None:
    alive = [one for one in every if not one.out]
    total = len(alive) * ROUNDS[1] + len(alive) * 3
    day_s = 0.0
    for round_number, days in enumerate(ROUNDS):
        before = ROUNDS[round_number - 1] if round_number else 0
        began_s = time.monotonic()
        work_s = day_s * len(alive) * (days - before)
        for one in _looks(evaluator, list(alive), days, spread, work_s):
            found.days += one.days - before
            progress(found.days, total)
            if time.monotonic() > deadline_s and before > 0:
                found.out_of_time = True
                return
        if round_number == 0:
            day_s = (time.monotonic() - began_s) / max(len(alive), 1)
        _drop_broken(evaluator, alive)
        _drop_dear(evaluator, alive)
        alive = [one for one in every if not one.out]
        total = found.days + len(alive) * (ROUNDS[-1] - days)
        if len(alive) <= 1 and days >= ROUNDS[2]:
            return


def _looks(
    evaluator: Evaluator,
    alive: list[Candidate],
    days: int,
    spread: Spread | None,
    work_s: float,
) -> Iterator[Candidate]:
    """Look at each, yielding it; elsewhere where that was asked for, or is worth it."""
    asked = spread is not None and spread.backend not in ("auto", "serial")
    worth = spread is not None and spread.backend == "auto" and work_s > WORTH_S
    if spread is not None and (asked or worth):
        yield from spread.looks(evaluator, alive, days)
        return
    for one in alive:
        evaluator.look(one, days)
        yield one


def _drop_broken(evaluator: Evaluator, alive: list[Candidate]) -> None:
    """Those that break a gate for sure, as long as others may hold."""
    broken = []
    for one in alive:
        hopeless = evaluator.excess(one) > _HOPELESS
        if hopeless or (one.days > 2 and evaluator.verdict(one, _SURE) is False):
            broken.append(one)
    if len(broken) < len(alive):
        for one in broken:
            one.out = "breaks a gate"


def _drop_dear(evaluator: Evaluator, alive: list[Candidate]) -> None:
    """Those that surely cost more than one that surely holds; the best of each kind stay."""
    kept = [one for one in alive if not one.out]
    sure = [one for one in kept if one.days > 2 and evaluator.verdict(one, _SURE)]
    best = cheapest(sure)
    if best is None:
        return
    by_kind: dict[str, list[Candidate]] = {}
    for one in sorted(sure, key=lambda one: one.cost.mean):
        by_kind.setdefault(one.kind, []).append(one)
    spared = {id(one) for group in by_kind.values() for one in group[:ALTERNATIVES]}
    for kind in {one.kind for one in kept} - set(by_kind):
        likely = [one for one in kept if one.kind == kind and evaluator.keeps(one)]
        spared |= {id(one) for one in sorted(likely, key=lambda one: one.cost.mean)[:ALTERNATIVES]}
    for one in kept:
        rival = by_kind.get(one.kind, [best])[0]
        if id(one) not in spared and (_dearer(one, best) and _dearer(one, rival)):
            one.out = "costs more than another one that holds"


def _dearer(one: Candidate, other: Candidate) -> bool:
    """On the same days, beyond doubt."""
    days = min(one.days, other.days)
    if one is other or days < 3:
        return False
    differences = np.subtract(one.costs[:days], other.costs[:days])
    half = student.quantile(_SURE, days - 1) * float(differences.std(ddof=1)) / math.sqrt(days)
    return float(differences.mean()) - half > 0


def _nearest(evaluator: Evaluator, every: list[Candidate]) -> Candidate | None:
    looked = [one for one in every if one.days]
    return min(looked, key=lambda one: (evaluator.excess(one), one.cost.mean), default=None)


def _confirm(racing: Evaluator, found: Found, deadline_s: float, progress: Progress) -> None:
    """Look at the survivors, cheapest first, on fresh days, until one holds for sure."""
    evaluator = found.evaluator
    alive = [one for one in found.searched if one.days and not one.out]
    alive.sort(key=lambda one: one.cost.mean)
    shown: dict[str, int] = {}
    for one in alive:
        if found.best is not None:
            enough = shown.get(one.kind, 0) >= ALTERNATIVES
            if enough or not racing.keeps(one):
                continue
        fresh = Candidate(one.policy, one.index)
        for days in CONFIRM_DAYS:
            if time.monotonic() > deadline_s and found.best is not None:
                return
            before = fresh.days
            evaluator.look(fresh, days)
            found.days += fresh.days - before
            progress(found.days, found.days)
            if found.best is not None or evaluator.verdict(fresh, _CONFIRMED) is not None:
                break
        sure = evaluator.verdict(fresh, _CONFIRMED)
        if sure or (found.best is not None and evaluator.keeps(fresh)):
            shown[one.kind] = shown.get(one.kind, 0) + 1
            found.alternatives.append(fresh)
            if found.best is None:
                found.best = fresh
