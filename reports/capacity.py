"""What a capacity search found: how many viewers were held, and what broke first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import gates
from reports.component import component
from reports.evidence import RunFigures
from reports.rundir import RunReader
from reports.samples import Samples
from reports.steps import EVENT, Step, read_steps
from scenarios.gates import Gate
from scenarios.load import CapacityLoad
from scenarios.schedule import StageSpan


@dataclass(frozen=True)
class Level:
    """A step and the figure of every gate in it; None where it has no sample."""

    step: Step
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Capacity:
    """``held`` viewers kept every gate; at ``broke_at`` the first was missed (None: none was).

    ``component`` is the part of the system that the gate's figures point to.
    """

    held: int | None
    broke_at: int | None
    first_gate: str | None
    component: str | None
    reason: str
    levels: tuple[Level, ...]

    @property
    def sentence(self) -> str:
        """Say what was found."""
        if not self.levels:
            return "The search did not finish a step."
        if self.broke_at is None:
            return f"{self.held} viewers were held; no gate failed up to there."
        where = f"; to blame: {self.component}" if self.component else ""
        held = f"{self.held} viewers were held" if self.held else "Not even the first step was held"
        gate = f": gate {self.first_gate} broke first{where}" if self.first_gate else ""
        return f"{held}, {self.broke_at} were not{gate}."

    def summary(self) -> dict[str, Any]:
        """Build ``capacity`` of ``summary.json``."""
        return {
            "held": self.held,
            "broke_at": self.broke_at,
            "first_gate": self.first_gate,
            "component": self.component,
        }


def limits(run: RunReader) -> list[Gate]:
    """List the gates that end a search."""
    return [gate for gate in run.scenario.gates if gate.kind == "limit"]


def conclude(
    run: RunReader, samples: Mapping[str, Samples], spans: Sequence[StageSpan]
) -> Capacity | None:
    """Conclude a capacity search; None of any other run."""
    if not isinstance(run.scenario.load, CapacityLoad):
        return None
    steps = read_steps(run.rows(EVENT))
    figures = RunFigures(run.info.started_at, samples, spans)
    levels = tuple(
        Level(
            step,
            {
                gate.id: figures.of(gate.model_copy(update={"during": step.stage}))
                for gate in limits(run)
            },
        )
        for step in steps
    )
    held = [step for step in steps if step.held]
    broke = next((level for level in levels if not level.step.held), None)
    if broke is None:
        return Capacity(held[-1].users if held else None, None, None, None, "", levels)
    gate = _first_gate(run, broke)
    before = held[-1].stage if held else None
    blamed = broke.step.component or None
    if blamed is None and gate is not None:
        blamed = component(run, samples, spans, gate.metric, broke.step.stage, before)
    return Capacity(
        held[-1].users if held else None,
        broke.step.users,
        gate.id if gate is not None else None,
        blamed,
        broke.step.reason,
        levels,
    )


def _first_gate(run: RunReader, broke: Level) -> Gate | None:
    """The gate that was named when the step broke, else the first that its rows miss."""
    named = [gate for gate in limits(run) if gate.id == broke.step.gate]
    missed = [
        gate
        for gate in limits(run)
        if (value := broke.values[gate.id]) is not None and not gates.keeps(gate, value)
    ]
    return next(iter([*named, *missed]), None)
