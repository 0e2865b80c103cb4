"""Builds every product of a run directory from its raw files."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from reports.assess import Assessment, assess
from reports.errors import RunDirError
from reports.html import html
from reports.junit import junit
from reports.markdown import markdown
from reports.plots import plots
from reports.rundir import RunReader
from reports.runinfo import write_json, write_text
from reports.summary import gate_list, summary, validity
from reports.verdict import Verdict


def build(path: str | Path) -> Verdict:
    """Assess a run and write its products; raises RunDirError where it is unfit."""
    return write(assess(RunReader(path)))


def write(assessment: Assessment) -> Verdict:
    """Write summary, gates, JUnit, Markdown, HTML and plots of an assessed run."""
    path = assessment.run.path
    if not assessment.run.unfinished:  # else its writer may still have something to say
        info = replace(assessment.run.info, validity=validity(assessment))
        write_json(path / "run.json", asdict(info))
    write_json(path / "summary.json", summary(assessment))
    write_json(path / "gates.json", gate_list(assessment))
    write_text(path / "junit.xml", junit(assessment))
    write_text(path / "report.md", markdown(assessment))
    drawn = plots(assessment)
    try:
        (path / "plots").mkdir(exist_ok=True)
    except OSError as error:
        raise RunDirError(f"{path / 'plots'}: cannot be made: {error.strerror}") from None
    for plot in drawn:
        write_text(path / "plots" / f"{plot.name}.svg", plot.standalone())
    write_text(path / "report.html", html(assessment, drawn))
    return assessment.verdict
