"""What is printed when a run is over: figures, gates, the answer, the verdict, the report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from reports import github
from reports.assess import Assessment, assess
from reports.build import write
from reports.capacity import Capacity
from reports.highlights import key_figures
from reports.rundir import RunReader
from scenarios.gates import Gate


def judge(run_dir: Path) -> Assessment:
    """Assess a finished run and write its report; raises RunDirError."""
    assessment = assess(RunReader(run_dir))
    write(assessment)
    github.append_summary(assessment, os.environ)
    return assessment


def answer(found: Capacity, gates: Sequence[Gate]) -> str:
    """What a capacity search was for, in one line."""
    if not found.levels:
        return "the search did not finish a step"
    held = f"held {found.held} viewers" if found.held else "held not even the first step"
    if found.broke_at is None:
        return f"{held}, the most that were tried; no gate failed"
    whose = f" ({found.component})" if found.component else ""
    gate = next((gate for gate in gates if gate.id == found.first_gate), None)
    what = f"{gate.metric} {gate.stat} failed first" if gate is not None else found.reason
    return f"{held}; at {found.broke_at} {what}{whose}"


def block(assessment: Assessment, run_dir: Path) -> str:
    """The verdict as text of about twenty lines."""
    lines = [""]
    lines += [
        f"  {figure.name:<24} {figure.value:>10}  {figure.detail}"
        for figure in key_figures(assessment)
    ]
    lines.append("")
    lines += [
        f"  {result.verdict:<12} {result.gate.id}: {result.gate.metric} {result.gate.stat}: "
        f"{result.reason}"
        for result in assessment.gates
    ]
    if assessment.capacity is not None:
        lines += [answer(assessment.capacity, assessment.run.scenario.gates), ""]
    lines += [f"  INVALID      {check.reason}" for check in assessment.checks if not check.ok]
    lines += [
        f"{assessment.verdict.word}: {assessment.verdict.reason}",
        f"report: {run_dir / 'report.html'}",
        *github.workflow_commands(assessment, os.environ),
        "",
    ]
    return "\n".join(lines)
