"""Runs a plan for a user: progress on a terminal, and files where they are asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reports.runinfo import write_json, write_text
from scenarios import loader
from scenarios.model import Scenario
from sim.plan.answer import Answer, conclude
from sim.plan.plots import plots
from sim.plan.search import search
from sim.plan.spread import Spread


def planned(scenario: Scenario, budget_s: float, spread: Spread | None = None) -> Answer:
    """Search within the budget of wall-clock time; an interrupt ends the search."""
    with click.progressbar(
        length=1, label="planning", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def progress(done: int, expected: int) -> None:
            bar.length = max(expected, done)
            bar.update(done - bar.pos)

        found = search(scenario, budget_s, progress, spread)
    return conclude(scenario, found)


def write_plan(path: Path, file: Path, answer: Answer) -> None:
    """Write ``scenario.yaml``, ``plan.json``, ``plan.md`` and ``plots/*.svg``."""
    drawn = plots(answer)
    (path / "plots").mkdir(exist_ok=True)
    for plot in drawn:
        write_text(path / "plots" / f"{plot.name}.svg", plot.standalone())
    write_text(path / "scenario.yaml", loader.read(file))
    write_json(path / "plan.json", answer.as_json())
    pictures = "\n\n".join(f"## {p.title}\n\n![{p.alt}](plots/{p.name}.svg)" for p in drawn)
    title = f"# Plan for {answer.scenario.name}"
    table = "\n".join(f"    {line}" if line else "" for line in answer.as_text().splitlines()[1:])
    write_text(path / "plan.md", f"{title}\n\n{answer.sentence}\n{table}\n\n{pictures}\n")
