"""Evaluates the gates of a scenario against the samples of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.measure import Samples
from reports.rundir import RunInfo
from reports.statistics import Stats, summarise
from reports.verdict import GateVerdict
from scenarios.gates import Gate
from scenarios.quantities import render
from scenarios.schedule import StageSpan

_MEASURED_ONLY = ("video.", "net.", "input.", "session.join.")


@dataclass(frozen=True)
class GateResult:
    """A gate and what became of it; ``value`` is infinite or None where there is none."""

    gate: Gate
    verdict: GateVerdict
    value: float | None
    ci95: tuple[float, float] | None
    reason: str


def evaluate(
    gates: Sequence[Gate],
    samples: Mapping[str, Samples],
    spans: Sequence[StageSpan],
    info: RunInfo,
) -> list[GateResult]:
    """Evaluate every gate: the point estimate decides, the interval is shown."""
    return [_evaluate(gate, samples.get(gate.metric), spans, info) for gate in gates]


def _evaluate(
    gate: Gate, samples: Samples | None, spans: Sequence[StageSpan], info: RunInfo
) -> GateResult:
    stats = None
    if samples is not None:
        stats = summarise(samples.during(spans, gate.during), info.seed, [gate.stat])
    if stats is None:
        why = _not_applicable(gate, info)
        if why:
            return GateResult(gate, GateVerdict.SKIPPED, None, None, why)
        where = f" in stage {gate.during}" if gate.during else " in the measured stages"
        return GateResult(gate, GateVerdict.FAIL, None, None, f"no data{where}")
    value = stats.values[gate.stat]
    held = value <= gate.limit if gate.op == "<=" else value >= gate.limit
    if not math.isfinite(value):
        held = False
    return GateResult(
        gate,
        GateVerdict.PASS if held else GateVerdict.FAIL,
        value,
        stats.ci95.get(gate.stat),
        _reason(gate, stats, value, held),
    )


def _not_applicable(gate: Gate, info: RunInfo) -> str:
    if info.kind == "simulated" and gate.metric.startswith(_MEASURED_ONLY):
        return f"{gate.metric} does not exist in a simulation"
    if gate.metric.startswith("pool.") and not info.shows_pool:
        return "the host that was driven does not show its pool"
    return ""


def _reason(gate: Gate, stats: Stats, value: float, held: bool) -> str:
    unit = gate.unit
    lost = f"{stats.censored} of {stats.n} never came and rank last"
    if not math.isfinite(value):
        return f"{gate.stat} is not defined: {lost}"
    sign = {("<=", True): "≤", ("<=", False): ">", (">=", True): "≥", (">=", False): "<"}
    text = f"{render(value, unit)} {sign[gate.op, held]} {render(gate.limit, unit)}, n = {stats.n}"
    if stats.censored and gate.stat == "mean":
        return f"{text}; {stats.censored} that never came are not in the mean"
    return f"{text}; {lost}" if stats.censored else text
