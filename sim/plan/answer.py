"""What a plan tells: one sentence, a table of alternatives, and the same as JSON."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from scenarios.gates import Gate
from scenarios.model import Scenario
from scenarios.quantities import render
from sim.figures import Figure
from sim.plan.evaluate import Candidate, Evaluator
from sim.plan.search import FRESH_DAY, Found
from sim.plan.variations import SENSITIVITIES, SHARE, relaxations
from sim.plan.wording import as_written, in_words, meaning

_WHAT_IF_DAYS = 30


@dataclass(frozen=True)
class Sensitivity:
    """Of the chosen policy: cost and gate statistics, and with a quarter less and more."""

    name: str
    cost: float
    values: list[float]
    """As they are, on the same days."""
    low_cost: float
    high_cost: float
    low_values: list[float]
    high_values: list[float]


@dataclass
class Answer:
    """Everything about a plan that is shown."""

    scenario: Scenario
    found: Found
    sentence: str
    binding: str = ""
    sensitivities: list[Sensitivity] = field(default_factory=list)

    @property
    def others(self) -> list[str]:
        """A line for each kind that has no policy in the table."""
        if self.found.best is None:
            return []
        shown = {one.kind for one in self.found.alternatives}
        lines = []
        for kind in dict.fromkeys(one.kind for one in self.found.searched):
            looked = [one for one in self.found.searched if one.kind == kind and one.days]
            if kind in shown:
                continue
            if any(not one.out for one in looked) or not looked:
                lines.append(f"{kind}: there was no time to confirm one")
                continue
            near = min(looked, key=lambda one: (self.found.evaluator.excess(one), one.cost.mean))
            if self.found.evaluator.keeps(near):
                lines.append(f"{kind}: none keeps the gates for sure")
                continue
            index = self.found.evaluator.worst(near)
            gate = self.found.evaluator.gates[index]
            lines.append(
                f"{kind}: none keeps the gates; {in_words(near.policy)} comes nearest with "
                f"{gate.id} {_value(near.gate(index).mean, gate)}"
            )
        return lines

    def as_json(self) -> dict[str, Any]:
        """The document that ``--json -`` prints."""
        best = self.found.best
        evaluator = self.found.evaluator
        return {
            "name": self.scenario.name,
            "answer": self.sentence,
            "policy": None if best is None else as_written(best.policy),
            "cost": None if best is None else _cost(best, evaluator),
            "gates": [] if best is None else _gates(best, evaluator),
            "alternatives": [
                {
                    "kind": one.kind,
                    "policy": as_written(one.policy),
                    "cost": _cost(one, evaluator),
                    "gates": _gates(one, evaluator),
                }
                for one in self.found.alternatives
                if one is not best
            ],
            "binding": self.binding or None,
            "sensitivity": [
                {
                    "of": one.name,
                    "share": SHARE,
                    "cost": [_number(one.low_cost), _number(one.high_cost)],
                    "gates": [
                        [_number(low), _number(high)]
                        for low, high in zip(one.low_values, one.high_values, strict=True)
                    ],
                }
                for one in self.sensitivities
            ],
            "interrupted": self.found.interrupted,
            "simulated_days": self.found.days,
        }

    def as_text(self) -> str:
        """The sentence and the table."""
        rows = [("kind", "policy", f"cost, {self.found.evaluator.unit}", *self._gate_ids())]
        for one in self.found.alternatives:
            values = [
                render(one.gate(index).mean, gate.unit)
                for index, gate in enumerate(self.found.evaluator.gates)
            ]
            rows.append((one.kind, in_words(one.policy), _with_half(one.cost), *values))
        lines = [self.sentence]
        if len(rows) > 1:
            widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
            lines += ["", "The best of each kind, on days that the search has not seen:", ""]
            lines += [
                "  ".join(
                    cell.ljust(width) for cell, width in zip(row, widths, strict=True)
                ).rstrip()
                for row in rows
            ]
        if self.others:
            lines += ["", *self.others]
        return "\n".join(lines)

    def _gate_ids(self) -> list[str]:
        return [gate.id for gate in self.found.evaluator.gates]


def conclude(scenario: Scenario, found: Found) -> Answer:
    """Put what was found into words; looks into why, where nothing holds."""
    best = found.best
    if best is None:
        binding = "" if found.interrupted else _binding(scenario, found)
        return Answer(scenario, found, _no_policy(found, binding), binding)
    answer = Answer(scenario, found, _sentence(found, best))
    if not found.interrupted:
        with suppress(KeyboardInterrupt):
            answer.sensitivities = _sensitivities(scenario, found, best)
    return answer


def _sentence(found: Found, best: Candidate) -> str:
    evaluator = found.evaluator
    kept = " and ".join(
        f"{gate.metric} {gate.stat} {gate.op} {render(gate.limit, gate.unit)}"
        f"{_during(gate)} ({render(best.gate(index).mean, gate.unit)})"
        for index, gate in enumerate(evaluator.gates)
    )
    text = (
        f"The cheapest policy that keeps {kept} is {in_words(best.policy)}, "
        f"at {_with_half(best.cost)} {evaluator.unit}"
    )
    if best not in found.alternatives:
        why = "interrupted" if found.interrupted else "out of time"
        return f"{text}; {why}: the best so far, not confirmed on fresh days."
    return (
        f"{text}: {meaning(best.policy)}. {best.days} days that the search had not seen show "
        "with 99 % confidence that it holds."
    )


def _no_policy(found: Found, binding: str) -> str:
    near = found.nearest
    if near is None:
        return "No policy was looked at: there was no time."
    evaluator = found.evaluator
    broken = [
        (gate, near.gate(index).mean)
        for index, gate in enumerate(evaluator.gates)
        if evaluator.margin(index, near.gate(index).mean) < 0
    ] or [(gate, near.gate(index).mean) for index, gate in enumerate(evaluator.gates)]
    gate, value = broken[0]
    text = (
        f"No policy keeps {gate.metric} {gate.stat} {gate.op} {render(gate.limit, gate.unit)}"
        f"{_during(gate)} (gate {gate.id}); {in_words(near.policy)} comes nearest with "
        f"{_value(value, gate)}"
    )
    return f"{text}: {binding}." if binding else f"{text}."


def _during(gate: Gate) -> str:
    return "" if gate.during is None else f" during {gate.during}"


def _value(value: float, gate: Gate) -> str:
    return render(value, gate.unit) if math.isfinite(value) else "no finite value"


def _binding(scenario: Scenario, found: Found) -> str:
    """Take away one limit after another; with which would the nearest or amplest policy hold?"""
    near = found.nearest
    if near is None:
        return ""
    pool = found.evaluator.pool
    amplest = max(found.searched, key=lambda one: one.guess)
    closer: list[tuple[float, str]] = []
    for name, relaxed in relaxations(scenario, pool).items():
        evaluator = Evaluator(relaxed, FRESH_DAY)
        for policy in (near.policy, amplest.policy):
            candidate = Candidate(policy, 0)
            evaluator.look(candidate, _WHAT_IF_DAYS)
            if evaluator.keeps(candidate):
                return f"{name} binds, without it {in_words(policy)} would hold"
            closer.append((evaluator.excess(candidate), name))
    if closer and min(closer)[0] < 0.5 * found.evaluator.excess(near):
        return f"{min(closer)[1]} binds most, yet it is not the only limit"
    return "none of the pool's limits binds alone, the policies offered are too small for the load"


def _sensitivities(scenario: Scenario, found: Found, best: Candidate) -> list[Sensitivity]:
    pool = found.evaluator.pool
    as_it_is = Candidate(best.policy, 0)
    Evaluator(scenario, FRESH_DAY).look(as_it_is, _WHAT_IF_DAYS)
    made = []
    for name, change in SENSITIVITIES.items():
        ends = []
        for factor in (1 - SHARE, 1 + SHARE):
            changed = change(scenario, pool, factor)
            if changed is None:
                break
            candidate = Candidate(best.policy, 0)
            Evaluator(changed, FRESH_DAY).look(candidate, _WHAT_IF_DAYS)
            ends.append(candidate)
        if len(ends) == 2:
            three = [as_it_is, *ends]
            values = [
                [one.gate(index).mean for index in range(len(found.evaluator.gates))]
                for one in three
            ]
            costs = [one.cost.mean for one in three]
            made.append(
                Sensitivity(name, costs[0], values[0], costs[1], costs[2], values[1], values[2])
            )
    return made


def _cost(one: Candidate, evaluator: Evaluator) -> dict[str, Any]:
    return {
        "mean": one.cost.mean,
        "ci95": None if one.cost.ci95 is None else list(one.cost.ci95),
        "unit": evaluator.unit,
    }


def _gates(one: Candidate, evaluator: Evaluator) -> list[dict[str, Any]]:
    found = []
    for index, gate in enumerate(evaluator.gates):
        figure = one.gate(index)
        found.append(
            {
                "id": gate.id,
                "metric": gate.metric,
                "stat": gate.stat,
                "verdict": "PASS" if evaluator.margin(index, figure.mean) >= 0 else "FAIL",
                "value": _number(figure.mean),
                "limit": gate.limit,
                "ci95": None if figure.ci95 is None else list(figure.ci95),
            }
        )
    return found


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _with_half(figure: Figure) -> str:
    places = 2 if abs(figure.mean) < 1000 else 0
    text = f"{figure.mean:.{places}f}"
    if figure.ci95 is None:
        return text
    return f"{text} ± {(figure.ci95[1] - figure.ci95[0]) / 2:.{places}f}"
