"""``report.html``: one file with everything in it, the verdict first."""

from __future__ import annotations

import math
import platform
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reports import highlights
from reports.assess import Assessment
from reports.gates import GateResult
from reports.rundir import RunInfo
from reports.svg import Plot
from reports.verdict import GateVerdict
from scenarios.quantities import render
from system.protocol.metrics import METRICS

BYTES_MAX = 400_000

_TEMPLATES = Path(__file__).parent / "templates"


def html(assessment: Assessment, plots: Sequence[Plot]) -> str:
    """Build the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    info = assessment.run.info
    return environment.get_template("report.html.j2").render(
        css=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        verdict=assessment.verdict,
        info=info,
        description=assessment.run.scenario.description,
        facts=facts(assessment),
        figures=highlights.key_figures(assessment),
        gates=[_gate(result) for result in assessment.gates],
        checks=assessment.checks,
        valid=all(check.ok for check in assessment.checks),
        plots=plots,
        slowest_phase=highlights.slowest_phase(assessment),
        failures=highlights.failures(assessment),
        sessions=highlights.worst_sessions(assessment),
        stats=assessment.stats,
        texts={name: metric.text for name, metric in METRICS.items()},
        environment=environment_list(info),
        reproduce=command(info),
        scenario_text=assessment.run.scenario_text,
        shown=highlights.shown,
    )


def facts(assessment: Assessment) -> list[str]:
    """Say in a few words what was run, when and on what."""
    info = assessment.run.info
    scenario = assessment.run.scenario
    stream = scenario.stream
    joined = assessment.stats.get("session.join_time")
    size = f"{stream.resolution.width}x{stream.resolution.height}"
    return [
        info.started_at.replace("T", " ").replace("+00:00", " UTC"),
        "embedded stack" if info.target == "embedded" else info.target,
        f"{joined.sessions if joined else 0} measured sessions",
        f"{stream.codec} {size} at up to {stream.fps} fps, {stream.pacing.replace('_', ' ')}",
        f"renderer {info.renderer}, encoder {info.encoder}",
        f"{info.machine.get('cores', '?')} cores",
        f"seed {info.seed}",
    ]


def environment_list(info: RunInfo) -> list[tuple[str, str]]:
    """List machine, versions and source of a run."""
    machine = info.machine
    sha = info.git.get("sha")
    dirty = " with uncommitted changes" if info.git.get("dirty") else ""
    rows = [
        ("machine", f"{machine.get('cpu', '?')}, {machine.get('cores', '?')} cores, "
                    f"{machine.get('memory_gib', '?')} GiB, {machine.get('arch', '?')}"),
        ("system", f"{machine.get('os', '?')} {machine.get('kernel', '?')}"),
        ("fingerprint", str(machine.get("id", "?"))),
        ("source", f"{sha}{dirty}" if sha else "not from a git checkout"),
        ("scenario sha256", info.scenario_sha256),
    ]  # fmt: skip
    return rows + sorted(info.versions.items())


def command(info: RunInfo) -> str:
    """Build the command line that repeats the run; secrets were removed when it was written."""
    if not info.argv:
        return f"# python {platform.python_version()}, no command line was recorded"
    return shlex.join([Path(info.argv[0]).name, *info.argv[1:]])


def _gate(result: GateResult) -> dict[str, Any]:
    gate = result.gate
    interval = ""
    if result.ci95 is not None:
        interval = " to ".join(render(end, gate.unit) for end in result.ci95)
    plain = result.verdict in (GateVerdict.PASS, GateVerdict.FAIL) and result.value is not None
    told = plain and math.isfinite(result.value or 0.0)
    return {
        "id": gate.id,
        "what": f"{METRICS[gate.metric].text}, {gate.stat}",
        "metric": gate.metric,
        "during": gate.during,
        "value": highlights.NONE if result.value is None else render(result.value, gate.unit),
        "op": "≤" if gate.op == "<=" else "≥",
        "limit": render(gate.limit, gate.unit),
        "interval": interval,
        "verdict": result.verdict.value,
        "note": "" if told else result.reason,
        "bar": bar(result),
    }


def bar(result: GateResult) -> str:
    """Draw where a gate's value and interval stand to its limit; the allowed side is shaded."""
    gate, value = result.gate, result.value
    if value is None:
        return ""
    low, high = result.ci95 or (value, value)
    numbers = [number for number in (value, low, high, gate.limit) if math.isfinite(number)]
    bottom, top = min(numbers), max(numbers)
    bottom = 0.0 if bottom < top / 2 else bottom - 0.25 * max(top - bottom, 0.02 * abs(top))
    top = top + 0.15 * max(top - bottom, 1e-9)

    def x(number: float) -> float:
        return round(150 * min(max((number - bottom) / (top - bottom), 0.0), 1.0), 1)

    left, right = (0.0, x(gate.limit)) if gate.op == "<=" else (x(gate.limit), 150.0)
    colour = "var(--good)" if result.verdict is GateVerdict.PASS else "var(--bad)"
    text = f"{render(value, gate.unit)}, limit {render(gate.limit, gate.unit)}"
    return (
        f'<svg class="bar" viewBox="0 0 150 20" role="img" aria-label="{text}">'
        '<rect x="0" y="7" width="150" height="6" rx="3" fill="var(--line)"/>'
        f'<rect x="{left}" y="7" width="{right - left:.1f}" height="6" rx="3" '
        'fill="var(--good)" opacity=".28"/>'
        f'<line x1="{x(low)}" x2="{x(high)}" y1="10" y2="10" stroke="{colour}" stroke-width="2"/>'
        f'<line x1="{x(gate.limit)}" x2="{x(gate.limit)}" y1="3" y2="17" stroke="var(--fg)" '
        'stroke-width="1.5"/>'
        f'<circle cx="{x(value)}" cy="10" r="4" fill="{colour}"/></svg>'
    )
