"""``report.html``: one file with everything in it, the verdict first."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reports import gates, highlights, marks
from reports.assess import Assessment
from reports.capacity import limits
from reports.faults import faults
from reports.joins import slowest_phase
from reports.runinfo import RunInfo
from reports.sessions import worst_sessions
from reports.svg import Plot
from system.protocol.metrics import METRICS

BYTES_MAX = 400_000
"""Of the page; beyond it the largest plots are left to their files."""

ROWS_MAX = 40
TEXT_MAX = 40_000

_TEMPLATES = Path(__file__).parent / "templates"


def html(assessment: Assessment, plots: Sequence[Plot]) -> str:
    """Build the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("report.html.j2")
    context = _context(assessment)
    shown = list(plots)
    while True:
        page = template.render(**context, plots=shown, left_out=len(plots) - len(shown))
        if len(page.encode()) < BYTES_MAX or not shown:
            return page
        shown.remove(max(shown, key=lambda plot: len(plot.svg)))


def _context(assessment: Assessment) -> dict[str, Any]:
    info = assessment.run.info
    found, broken = faults(assessment.run), highlights.failures(assessment)
    return {
        "css": Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
        "verdict": assessment.verdict,
        "info": info,
        "description": assessment.run.scenario.description,
        "facts": facts(assessment),
        "figures": highlights.key_figures(assessment),
        "gates": [marks.gate_line(result) for result in assessment.gates],
        "checks": assessment.checks,
        "valid": all(check.ok for check in assessment.checks),
        "slowest_phase": slowest_phase(assessment),
        "capacity": assessment.capacity,
        "limits": limits(assessment.run),
        "keeps": lambda gate, value: value is None or gates.keeps(gate, value),
        "faults": found[:ROWS_MAX],
        "failures": broken[:ROWS_MAX],
        "rows_left_out": {"faults": len(found) - ROWS_MAX, "failures": len(broken) - ROWS_MAX},
        "model": assessment.model,
        "comparisons": highlights.against_model(assessment),
        "by_chance": highlights.BY_CHANCE,
        "sessions": worst_sessions(assessment),
        "stats": assessment.stats,
        "texts": {name: metric.text for name, metric in METRICS.items()},
        "environment": environment_list(info),
        "reproduce": command(info),
        "scenario_text": assessment.run.scenario_text[:TEXT_MAX],
        "shown": highlights.shown,
        "moment": marks.moment,
    }


def facts(assessment: Assessment) -> list[str]:
    """Say in a few words what was run, when and on what."""
    info = assessment.run.info
    joined = assessment.stats.get("session.join_time")
    count = joined.sessions if joined else 0
    if info.kind == "simulated":
        days = {code for one in assessment.samples.values() for code in one.days}
        what = [f"{count} simulated sessions", f"{max(len(days), 1)} replications"]
    else:
        what = ["embedded stack" if info.target == "embedded" else info.target]
        what += [f"{count} measured sessions", *_picture(assessment)]
    return [
        info.started_at.replace("T", " ").replace("+00:00", " UTC"),
        *what,
        f"{info.machine.get('cores', '?')} cores",
        f"seed {info.seed}",
    ]


def _picture(assessment: Assessment) -> list[str]:
    info, stream = assessment.run.info, assessment.run.scenario.stream
    size = f"{stream.resolution.width}x{stream.resolution.height}"
    return [
        f"{stream.codec} {size} at up to {stream.fps} fps, {stream.pacing.replace('_', ' ')}",
        f"renderer {info.renderer}, encoder {info.encoder}",
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
    """Build the commands that repeat the run; secrets were removed when it was written.

    Without ``--run-dir``, which would name the directory that is there now.
    """
    if not info.argv:
        return f"# python {platform.python_version()}, no command line was recorded"
    words = [Path(info.argv[0]).name]
    given = iter(info.argv[1:])
    for word in given:
        if word == "--run-dir":
            next(given, None)
        elif not word.startswith("--run-dir="):
            words.append(word)
    sha, dirty = info.git.get("sha"), info.git.get("dirty")
    source = f"git checkout {sha}{'  # and what was not committed' * bool(dirty)}\n" if sha else ""
    return source + shlex.join(words)
