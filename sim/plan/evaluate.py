"""Evaluates candidate policies on common days: cost, and the statistic of every gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from reports import student
from scenarios.gates import Gate, is_simulated
from scenarios.model import Scenario
from scenarios.policies import Policy
from sim import figures
from sim.figures import Figure
from sim.from_scenario import Case
from sim.model import BadModel, Floats
from sim.plan import wording
from sim.run import Draws, Engine, Replication, replicate, why_not_fast

KEPT_DAYS = 64


@dataclass
class Candidate:
    """A policy and what is known of it: per day the cost, and the statistic of each gate."""

    policy: Policy
    index: int
    guess: float = 0.0
    """Cost by a formula, to begin with what looks cheap."""
    costs: list[float] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    out: str = ""
    """Why it is no longer looked at."""

    @cached_property
    def kind(self) -> str:
        return wording.kind(self.policy)

    @property
    def days(self) -> int:
        return len(self.costs)

    @property
    def cost(self) -> Figure:
        return Figure.of(self.costs)

    def gate(self, index: int) -> Figure:
        """The statistic of a gate over days."""
        return Figure.of([float(values[index]) for values in self.values])


class Evaluator:
    """Simulates candidates for one pool of a scenario; the other pools keep their policies."""

    def __init__(self, scenario: Scenario, first_day: int = 0) -> None:
        """Days are replications from ``first_day`` on; others are fresh."""
        self.case = Case(scenario)
        self.gates = _gates(scenario)
        self.pool = _sought(scenario)
        self.engine: Engine = "simpy" if why_not_fast(self.case) else "fast"
        self.priced = any(pool.price.running or pool.price.stopped for pool in scenario.pools)
        self.first_day = first_day
        self._draws = Draws(self.case, keep=KEPT_DAYS)

    @property
    def unit(self) -> str:
        """Of the cost."""
        return "USD/h" if self.priced else "workers"

    def simulate(self, policy: Policy, day: int) -> Replication:
        """One day of one policy."""
        chosen: list[Policy | None] = [None] * len(self.case.scenario.pools)
        chosen[self.pool] = policy
        number = self.first_day + day
        return replicate(self.case, number, self.engine, chosen, draws=self._draws)

    def look(self, candidate: Candidate, days: int) -> None:
        """Simulate a candidate until it has been seen on so many days."""
        values, costs = self.days(candidate.policy, candidate.days, days)
        candidate.values += values
        candidate.costs += costs

    def days(self, policy: Policy, seen: int, until: int) -> tuple[list[Floats], list[float]]:
        """Statistics of the gates, and cost, of each day from ``seen`` to before ``until``."""
        values: list[Floats] = []
        costs: list[float] = []
        for day in range(seen, until):
            found = self.simulate(policy, day)
            values.append(self._values(found))
            costs.append(self.cost(found))
        return values, costs

    def cost(self, day: Replication) -> float:
        """Per hour: USD, or workers where nothing has a price."""
        if self.priced:
            return figures.of_pools("pool.cost", self.case, day)
        return sum(
            figures.of_pools(f"pool.workers.{state}", self.case, day)
            for state in ("ready", "booting", "busy")
        )

    def _values(self, day: Replication) -> Floats:
        """The statistic of each gate; one that is not defined is infinitely bad."""
        found = np.empty(len(self.gates))
        for index, gate in enumerate(self.gates):
            value = figures.of_day(self.case, day, gate.metric, gate.stat, gate.during)
            worst = math.inf if gate.op == "<=" else -math.inf
            found[index] = worst if math.isnan(value) else value
        return found

    def margin(self, index: int, value: float) -> float:
        """How far a value is inside of a gate's limit; negative outside."""
        gate = self.gates[index]
        return gate.limit - value if gate.op == "<=" else value - gate.limit

    def holds(self, candidate: Candidate, index: int, confidence: float = 0.95) -> bool | None:
        """Whether a gate holds for sure, or is broken for sure; None where days do not tell yet."""
        margins = np.array([self.margin(index, float(day[index])) for day in candidate.values])
        if not np.isfinite(margins).all():
            return False
        mean, spread = float(margins.mean()), float(margins.std(ddof=1)) if len(margins) > 1 else 0
        if len(margins) < 2:
            return None
        half = student.quantile(confidence, len(margins) - 1) * spread / math.sqrt(len(margins))
        if mean - half >= 0:
            return True
        return False if mean + half < 0 else None

    def verdict(self, candidate: Candidate, confidence: float = 0.95) -> bool | None:
        """The same of all gates together."""
        found = [self.holds(candidate, index, confidence) for index in range(len(self.gates))]
        if False in found:
            return False
        return None if None in found else True

    def keeps(self, candidate: Candidate) -> bool:
        """Whether the point estimates of all gates are inside their limits."""
        return all(
            self.margin(index, candidate.gate(index).mean) >= 0 for index in range(len(self.gates))
        )

    def worst(self, candidate: Candidate) -> int:
        """The gate that is broken most, or kept most narrowly, as a share of its limit."""
        shares = [
            self.margin(index, candidate.gate(index).mean) / max(abs(gate.limit), 1e-9)
            for index, gate in enumerate(self.gates)
        ]
        return int(np.argmin(shares))

    def excess(self, candidate: Candidate) -> float:
        """By which share of its limit the worst gate is broken; 0 where all hold."""
        worst = 0.0
        for index, gate in enumerate(self.gates):
            margin = self.margin(index, candidate.gate(index).mean)
            if margin < 0:
                worst = max(worst, -margin / max(abs(gate.limit), 1e-9))
        return worst


def _gates(scenario: Scenario) -> list[Gate]:
    """Those that the plan names, or all with a limit that a simulation has."""
    named = () if scenario.plan is None else scenario.plan.gates
    found = [
        gate
        for gate in scenario.gates
        if (gate.id in named if named else gate.kind == "limit" and is_simulated(gate.metric))
    ]
    if not found:
        raise BadModel("plan: no gate with a limit on a metric that a simulation has")
    return found


def _sought(scenario: Scenario) -> int:
    name = None if scenario.plan is None else scenario.plan.pool
    names = [pool.name for pool in scenario.pools]
    if name is None and len(names) > 1:
        raise BadModel(f"plan: pool is missing: one of {', '.join(names)}")
    return 0 if name is None else names.index(name)


def cheapest(candidates: Sequence[Candidate]) -> Candidate | None:
    """By mean cost; None of nothing."""
    return min(candidates, key=lambda one: (one.cost.mean, one.index), default=None)
