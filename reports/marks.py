"""Small drawings in the page's text: a gate's figure beside its limit, a session's seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reports.evidence import GateResult
from reports.samples import Bools, Floats
from reports.svg import MINUTES_FROM_S
from reports.verdict import GateVerdict
from scenarios.gates import Gate
from scenarios.quantities import render
from system.protocol.metrics import METRICS

NONE = "–"
_WIDTH = 150.0
_INSET = 4.0
"""Room at both ends of a bar for half of the mark that stands there."""

_SPARK = (180.0, 26.0)
_COLOURS = {GateVerdict.PASS: "var(--good)", GateVerdict.INCONCLUSIVE: "var(--warn)"}


@dataclass(frozen=True)
class GateLine:
    """A gate as a reader sees it; ``rule`` is its limit with what it is made of."""

    id: str
    what: str
    metric: str
    value: str
    rule: str
    interval: str
    verdict: str
    note: str
    bar: str


def moment(at_s: float) -> str:
    """Tell a time of the run: in seconds, of a long run as minutes or hours and the rest."""
    if abs(at_s) < MINUTES_FROM_S:
        return render(at_s, "s")
    minutes, seconds = divmod(round(at_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} h" if hours else f"{minutes}:{seconds:02d} min"


def gate_line(result: GateResult) -> GateLine:
    """Describe a gate and what became of it."""
    gate = result.gate
    plain = gate.kind == "limit" and result.verdict in (GateVerdict.PASS, GateVerdict.FAIL)
    told = plain and result.value is not None and math.isfinite(result.value)
    told = told and "; strict" not in result.reason and "ended the run" not in result.reason
    interval = ""
    if result.ci95 is not None:
        interval = " to ".join(render(end, gate.unit) for end in result.ci95)
    return GateLine(
        id=gate.id,
        what=f"{METRICS[gate.metric].text}, {gate.stat}",
        metric=gate.metric + (f" during {gate.during}" if gate.during else ""),
        value=NONE if result.value is None else render(result.value, gate.unit),
        rule=rule(result),
        interval=interval,
        verdict=result.verdict.value,
        note="" if told else result.reason,
        bar=bar(result),
    )


def rule(result: GateResult) -> str:
    """Say what a gate asks for, e.g. ``≤ 2 s``."""
    gate = result.gate
    if gate.kind == "limit":
        strict = ", strict" if gate.strict else ""
        return f"{'≤' if gate.op == '<=' else '≥'} {render(gate.limit, gate.unit)}{strict}"
    if gate.kind == "agreement":
        within = f"model ± {gate.within or 0.0:.0%}"
        return within if result.limit is None else f"{render(result.limit, gate.unit)}, {within}"
    lower = METRICS[gate.metric].lower_is_better
    margin = gate.regression.margin if gate.regression is not None else 0.0
    other = "other build" if gate.mode == "ab" else "baseline"
    text = f"{other} {'+' if lower else '−'} {margin:.0%}"
    if result.limit is None:
        return text
    return f"{'≤' if lower else '≥'} {render(result.limit, gate.unit)}, {text}"


def _allowed(gate: Gate, limit: float) -> tuple[float, float]:
    if gate.kind == "agreement":
        share = gate.within or 0.0
        return limit * (1 - share), limit * (1 + share)
    upper = gate.op == "<=" if gate.kind == "limit" else METRICS[gate.metric].lower_is_better
    return (-math.inf, limit) if upper else (limit, math.inf)


def bar(result: GateResult) -> str:
    """Draw where a gate's value and interval stand to its limit; the allowed side is shaded."""
    gate, value, limit = result.gate, result.value, result.limit
    if value is None or limit is None:
        return ""
    low, high = result.ci95 or (value, value)
    numbers = [number for number in (value, low, high, limit) if math.isfinite(number)]
    bottom, top = min(numbers), max(numbers)
    bottom = 0.0 if bottom < top / 2 else bottom - 0.25 * max(top - bottom, 0.02 * abs(top))
    top = top + 0.15 * max(top - bottom, 1e-9)

    def x(number: float) -> float:
        share = min(max((number - bottom) / (top - bottom), 0.0), 1.0)
        return round(_INSET + (_WIDTH - 2 * _INSET) * share, 1)

    least, most = _allowed(gate, limit)
    left = x(least) if math.isfinite(least) else 0.0
    right = x(most) if math.isfinite(most) else _WIDTH
    colour = _COLOURS.get(result.verdict, "var(--bad)")
    text = f"{render(value, gate.unit)}, limit {render(limit, gate.unit)}"
    return (
        f'<svg class="bar" viewBox="0 0 {_WIDTH:g} 20" role="img" aria-label="{text}">'
        f'<rect x="0" y="7" width="{_WIDTH:g}" height="6" rx="3" fill="var(--line)"/>'
        f'<rect x="{left}" y="7" width="{right - left:.1f}" height="6" rx="3" '
        'fill="var(--good)" opacity=".28"/>'
        f'<line x1="{x(low)}" x2="{x(high)}" y1="10" y2="10" stroke="{colour}" stroke-width="2"/>'
        f'<line x1="{x(limit)}" x2="{x(limit)}" y1="3" y2="17" stroke="var(--fg)" '
        'stroke-width="1.5"/>'
        f'<circle cx="{x(value)}" cy="10" r="4" fill="{colour}"/></svg>'
    )


def spark(t_s: Floats, fps: Floats, frozen: Bools, top: float, text: str) -> str:
    """Draw frames per second over a session's time; frozen seconds are ticks below."""
    if len(t_s) < 2 or top <= 0:
        return ""
    width, height = _SPARK
    keep = np.unique(np.linspace(0, len(t_s) - 1, int(width / 2)).round().astype(np.int64))
    scale = (width - 2) / max(float(t_s[-1] - t_s[0]), 1e-9)
    xs = 1 + (t_s - t_s[0]) * scale
    ys = (height - 5) - np.minimum(fps / top, 1.0) * (height - 7)
    points = " ".join(f"{xs[k]:.1f},{ys[k]:.1f}" for k in keep)
    ticks = "".join(f"M{x:.1f} {height - 4:g}v4" for x in xs[frozen][: int(width)])
    marks = f'<path d="{ticks}" stroke="var(--bad)" stroke-width="1.5"/>' if ticks else ""
    return (
        f'<svg class="spark" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text}">'
        f'<line x1="0" x2="{width:g}" y1="{height - 4.5:g}" y2="{height - 4.5:g}" '
        'stroke="var(--grid)" stroke-width="1"/>'
        f'<polyline points="{points}" fill="none" stroke="var(--c1)" stroke-width="1.2"/>'
        f"{marks}</svg>"
    )
