"""What is printed when a run is over: gates, key figures, the verdict, where the report is."""

from __future__ import annotations

from pathlib import Path

from reports.assess import Assessment, assess
from reports.build import write
from reports.highlights import key_figures
from reports.rundir import RunReader


def judge(run_dir: Path) -> Assessment:
    """Assess a finished run and write its report; raises RunDirError."""
    assessment = assess(RunReader(run_dir))
    write(assessment)
    return assessment


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
    lines += [f"  INVALID      {check.reason}" for check in assessment.checks if not check.ok]
    lines += [
        f"{assessment.verdict.word}: {assessment.verdict.reason}",
        f"report: {run_dir / 'report.html'}",
        "",
    ]
    return "\n".join(lines)
