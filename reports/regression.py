"""Evaluates ``regression`` gates: candidate runs against their baseline, or two builds in turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports import noninferiority
from reports.evidence import Evidence, Figures, GateResult
from reports.noninferiority import (
    BASELINES_MIN,
    BASELINES_RECOMMENDED,
    CANDIDATES_MAX,
    PAIRS_MAX,
    Difference,
)
from reports.samples import Floats
from reports.verdict import GateVerdict
from scenarios.gates import Gate
from scenarios.quantities import render
from system.protocol.metrics import METRICS


def regress(gate: Gate, evidence: Evidence) -> GateResult:
    """Compare the candidate runs with the baseline, adding one at a time while undecided."""
    taking_turns = gate.mode == "ab"
    candidates = _in_order(evidence.candidates)
    earlier = _in_order(evidence.against if taking_turns else evidence.baselines)
    values = [run.of(gate) for run in candidates]
    known = [run.of(gate) for run in earlier]
    if not taking_turns:
        known = [value for value in known if value is not None]
    if any(value is not None and not math.isfinite(value) for value in values):
        reason = f"{gate.stat} is not defined: too many samples never came"
        return GateResult(gate, GateVerdict.FAIL, values[-1], None, reason)
    if taking_turns:
        problem = _untidy(candidates, earlier)
    else:
        problem = _too_few(len(known), evidence.left_out)
    if problem:
        return GateResult(gate, GateVerdict.INCONCLUSIVE, values[-1], None, problem)
    if not any(values) and not any(known):
        return GateResult(gate, GateVerdict.PASS, 0.0, None, f"0 as in {len(known)} other runs")
    base, found = _logarithms(known), _logarithms(values)
    if base is None or found is None:
        problem = "a ratio needs a figure above 0 of every run; a limit could judge this metric"
        return GateResult(gate, GateVerdict.INCONCLUSIVE, values[-1], None, problem)
    return _decide(gate, base, found)


def _decide(gate: Gate, base: Floats, found: Floats) -> GateResult:
    margin = gate.regression.margin if gate.regression is not None else 0.0
    lower = METRICS[gate.metric].lower_is_better
    most = noninferiority.log_margin(margin, lower_is_better=lower)
    sign = 1.0 if lower else -1.0
    if gate.mode == "ab":
        used = len(found)
        apart = noninferiority.paired(sign * base, sign * found)
        verdict = noninferiority.verdict_of(apart, most)
    else:
        for used in range(1, min(len(found), CANDIDATES_MAX) + 1):
            apart = noninferiority.difference(sign * base, sign * found[:used])
            verdict = noninferiority.verdict_of(apart, most)
            if verdict is not GateVerdict.INCONCLUSIVE:
                break
    return _told(gate, verdict, base, Difference(sign * apart.mean, apart.half), used, margin)


def _told(
    gate: Gate, verdict: GateVerdict, base: Floats, apart: Difference, used: int, margin: float
) -> GateResult:
    unit, lower = gate.unit, METRICS[gate.metric].lower_is_better
    center = math.exp(float(base.mean()))
    ratio = math.exp(float(apart.mean))
    low, high = (math.exp(float(apart.mean + side * apart.half)) for side in (-1, 1))
    limit = 1 + margin if lower else max(1 - margin, 0.0)
    reason = (
        f"{render(center * ratio, unit)} in {_count(used, 'run')}, {render(center, unit)} in "
        f"{_count(len(base), 'baseline run')}: {ratio - 1:+.1%} ({low - 1:+.1%} to {high - 1:+.1%}"
        f"), {limit - 1:+.0%} allowed"
    )
    if verdict is GateVerdict.INCONCLUSIVE:
        most = PAIRS_MAX if gate.mode == "ab" else CANDIDATES_MAX
        more = f"; add a run, up to {most}" if used < most else ""
        reason = f"undecided: {reason}{more}"
    ends = (center * low, center * high)
    return GateResult(gate, verdict, center * ratio, ends, reason, center * limit)


def _too_few(count: int, left_out: str) -> str:
    if count >= BASELINES_MIN:
        return ""
    tail = f"; {left_out}" if left_out else ""
    return (
        f"{_count(count, 'baseline run')} of this scenario and machine, {BASELINES_MIN} are needed "
        f"and {BASELINES_RECOMMENDED} are better{tail}"
    )


def _untidy(candidates: Sequence[Figures], against: Sequence[Figures]) -> str:
    """Say why runs of two builds did not take turns; empty where they did."""
    if len(candidates) != len(against) or len(candidates) < BASELINES_MIN:
        return (
            f"{_count(len(candidates), 'run')} of this build and {len(against)} of the other: "
            f"as many of each are needed, at least {BASELINES_MIN}, that took turns"
        )
    both = [(run.started_at, True) for run in candidates]
    both += [(run.started_at, False) for run in against]
    turns = [mine for _, mine in sorted(both)]
    if any(turns[index] == turns[index + 1] for index in range(0, len(turns), 2)):
        return "the runs of both builds did not take turns: the machine may have changed between"
    return ""


def _in_order(runs: Sequence[Figures]) -> list[Figures]:
    return sorted(runs, key=lambda run: run.started_at)


def _logarithms(values: Sequence[float | None]) -> Floats | None:
    """Take logarithms; None where a value is missing or has none."""
    known = [value for value in values if value is not None and 0 < value < math.inf]
    return np.log(known) if len(known) == len(values) else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
