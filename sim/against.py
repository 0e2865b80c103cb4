"""The same days under another design: what ``sim.against`` of a scenario asks for.

Both scenarios get the seed of the first, so that the same sessions arrive and
the differences are of the designs, not of the days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scenarios import loader
from scenarios.model import Scenario
from scenarios.quantities import render
from sim import figures
from sim.figures import Figure
from sim.from_scenario import Case
from sim.run import Engine, Replication, replicate, why_not_fast
from system.protocol.metrics import METRICS

SHOWN = (
    "pool.wait",
    "pool.wait_time",
    "session.abandoned",
    "session.interrupted",
    "pool.workers.ready",
    "pool.workers.booting",
    "pool.workers.busy",
    "pool.cost",
)


@dataclass(frozen=True)
class Row:
    """The mean of a metric here and there, and the difference (there less here) over days."""

    metric: str
    here: float
    there: float
    difference: Figure


@dataclass(frozen=True)
class Comparison:
    """Two designs on common days."""

    here: str
    there: str
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """What ``sim run`` adds to its JSON document."""
        return {
            "name": self.there,
            "metrics": {
                row.metric: {
                    "unit": METRICS[row.metric].unit,
                    "here": _number(row.here),
                    "there": _number(row.there),
                    "difference": _number(row.difference.mean),
                    "ci95": None if row.difference.ci95 is None else list(row.difference.ci95),
                }
                for row in self.rows
            },
        }

    def as_text(self) -> str:
        """A table."""
        lines = [("mean of", self.here, self.there, "difference")]
        for row in self.rows:
            unit = METRICS[row.metric].unit
            lines.append(
                (row.metric, render(row.here, unit), render(row.there, unit), _change(row, unit))
            )
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def other_case(scenario: Scenario) -> Case | None:
    """The design to compare with, on the days of this one; None where none is named.

    Raises:
        ScenarioError, BadModel: of the other file.
    """
    file = scenario.sim.against_file
    if file is None:
        return None
    other = loader.load(file, host="simulated")
    return Case(other.model_copy(update={"seed": scenario.seed}))


def compare(case: Case, days: Sequence[Replication], other: Case) -> Comparison:
    """Simulate the other design on as many days."""
    engine: Engine = "simpy" if why_not_fast(other) else "fast"
    others = [replicate(other, day.number, engine) for day in days]
    rows = []
    for metric in SHOWN:
        pairs = [
            (figures.of_day(case, here, metric), figures.of_day(other, there, metric))
            for here, there in zip(days, others, strict=True)
        ]
        if not all(math.isfinite(value) for pair in pairs for value in pair):
            continue
        here, there = (Figure.of(column).mean for column in zip(*pairs, strict=True))
        difference = Figure.of([after - before for before, after in pairs])
        rows.append(Row(metric, here, there, difference))
    return Comparison(case.scenario.name, other.scenario.name, rows)


def _change(row: Row, unit: str) -> str:
    sign = "+" if row.difference.mean >= 0 else "-"
    text = f"{sign}{render(abs(row.difference.mean), unit)}"
    if row.difference.ci95 is None:
        return text
    half = (row.difference.ci95[1] - row.difference.ci95[0]) / 2
    return f"{text} ± {render(half, unit)}"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
