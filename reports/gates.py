"""Evaluates the gates of a scenario against the samples of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from reports.evidence import Evidence, GateResult, Prediction
from reports.regression import regress
from reports.runinfo import Aborted, RunInfo
from reports.statistics import EXTREMES, Stats, summarise
from reports.verdict import GateVerdict
from scenarios.gates import Gate, is_simulated
from scenarios.quantities import render


def evaluate(gates: Sequence[Gate], evidence: Evidence) -> list[GateResult]:
    """Evaluate every gate."""
    return [_aborted(_evaluate(gate, evidence), evidence.info.aborted) for gate in gates]


def keeps(gate: Gate, value: float) -> bool:
    """Say whether a value keeps the limit of a gate; what is infinite keeps none."""
    if not math.isfinite(value):
        return False
    return value <= gate.limit if gate.op == "<=" else value >= gate.limit


def _evaluate(gate: Gate, evidence: Evidence) -> GateResult:
    stats = _statistics(gate, evidence)
    why = _not_applicable(gate, evidence.info, stats)
    if why:
        return GateResult(gate, GateVerdict.SKIPPED, None, None, why)
    if stats is None:
        where = f" in stage {gate.during}" if gate.during else " in the measured stages"
        limit = gate.limit if gate.kind == "limit" else None
        why = evidence.absent.get(gate.metric, "")
        reason = f"no data{where}" + (f": {why}" if why else "")
        return GateResult(gate, GateVerdict.FAIL, None, None, reason, limit)
    if gate.kind == "regression":
        return regress(gate, evidence)
    if gate.kind == "agreement":
        return _agree(gate, stats, evidence.prediction)
    return _compare(gate, stats)


def _statistics(gate: Gate, evidence: Evidence) -> Stats | None:
    if gate.during is None:
        return evidence.stats.get(gate.metric)
    samples = evidence.samples.get(gate.metric)
    if samples is None:
        return None
    return summarise(samples.during(evidence.spans, gate.during), evidence.info.seed, [gate.stat])


def _not_applicable(gate: Gate, info: RunInfo, stats: Stats | None) -> str:
    if info.kind == "simulated" and gate.kind == "agreement":
        return "a simulation is the model itself"
    if stats is not None:
        return ""
    if info.kind == "simulated" and not is_simulated(gate.metric):
        return f"{gate.metric} does not exist in a simulation"
    if gate.metric.startswith("pool.") and not info.shows_pool:
        return "the host that was driven does not show its pool"
    return ""


def _compare(gate: Gate, stats: Stats) -> GateResult:
    value, interval = stats.values[gate.stat], stats.ci95.get(gate.stat)
    held = keeps(gate, value)
    reason = _reason(gate, stats, value, held)
    if held and gate.strict and gate.stat not in EXTREMES:
        if interval is None:
            held, reason = False, f"{reason}; strict, and there is no interval"
        elif not all(keeps(gate, end) for end in interval):
            ends = " to ".join(render(end, gate.unit) for end in interval)
            held, reason = False, f"{reason}; strict, and the interval is {ends}"
    verdict = GateVerdict.PASS if held else GateVerdict.FAIL
    return GateResult(gate, verdict, value, interval, reason, gate.limit)


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


def _agree(gate: Gate, stats: Stats, prediction: Prediction | None) -> GateResult:
    """Compare with the prediction; a figure that was never predicted agrees with nothing."""
    value, interval = stats.values[gate.stat], stats.ci95.get(gate.stat)
    predicted = None if prediction is None else prediction.of(gate)
    if prediction is None:
        problem = "no prediction was registered: the run has no model/"
    else:
        problem = prediction.problem
    if predicted is None:
        problem = problem or f"the model has no {gate.metric} {gate.stat}"
    if problem or predicted is None:
        return GateResult(gate, GateVerdict.FAIL, value, interval, problem)
    within = gate.within or 0.0
    agrees = math.isfinite(value) and abs(value - predicted) <= within * abs(predicted)
    apart = f" ({value / predicted - 1:+.1%})" if predicted and math.isfinite(value) else ""
    reason = (
        f"{render(value, gate.unit)} measured, {render(predicted, gate.unit)} predicted{apart}; "
        f"{within:.0%} allowed, n = {stats.n}"
    )
    chance = None if prediction is None or not predicted else prediction.chance_of(gate)
    if chance is not None:
        share = chance / abs(predicted)
        reason += f"; chance alone makes up to ±{share:.0%} in one run"
        if share > within:
            reason += ", more than is allowed: a longer run would say more"
    verdict = GateVerdict.PASS if agrees else GateVerdict.FAIL
    return GateResult(gate, verdict, value, interval, reason, predicted)


def _aborted(result: GateResult, aborted: Aborted | None) -> GateResult:
    if aborted is None or aborted.gate != result.gate.id:
        return result
    reason = f"ended the run at {render(aborted.at_s, 's')}: {aborted.reason}"
    return replace(result, verdict=GateVerdict.FAIL, reason=reason)
