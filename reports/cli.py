"""The command group ``remote-render report``."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from reports import baselines, compare, together
from reports.assess import Assessment, assess
from reports.build import write
from reports.errors import RunDirError
from reports.github import append_summary, workflow_commands
from reports.rundir import RunReader
from reports.runinfo import write_text
from reports.summary import gate_list, summary
from reports.trace import trace
from reports.verdict import Exit

log = logging.getLogger(__name__)

T = TypeVar("T")

_run = click.Path(path_type=Path)
_json_option = click.option("--json", "as_json", type=click.Choice(["-"]), help="Print JSON.")
_baselines_option = click.option(
    "--baselines",
    "baseline_dir",
    type=_run,
    help="Where baselines are kept; default: baselines/ beside the scenario file.",
)


@click.group("report")
def group() -> None:
    """Build reports of runs, judge and compare them."""


@group.command("build")
@click.argument("run", type=_run)
@_baselines_option
@_json_option
def build_command(run: Path, baseline_dir: Path | None, as_json: str | None) -> None:
    """Build the report of RUN; exit with its verdict."""
    assessment = _guarded(lambda: assess(_read(run), baseline_dir=baseline_dir))
    _guarded(lambda: write(assessment))
    if as_json:
        _print_json(summary(assessment))
    else:
        click.echo(f"{assessment.verdict.word}: {assessment.verdict.reason}")
        click.echo(f"report: {run / 'report.html'}")
    _tell_github([assessment])
    sys.exit(assessment.verdict.code)


@group.command()
@click.argument("runs", type=_run, nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--against",
    type=_run,
    multiple=True,
    metavar="RUN",
    help="A run of the build to compare with, for gates of `mode: ab`; may be repeated.",
)
@_baselines_option
@_json_option
def gate(
    runs: tuple[Path, ...],
    against: tuple[Path, ...],
    baseline_dir: Path | None,
    as_json: str | None,
) -> None:
    """Judge RUNs of one build by the gates of their scenario; writes nothing.

    Gates with a limit judge each run; regression gates look at up to five,
    in the order in which they were made, until they can decide.
    """
    for path in (*runs, *against):
        _guarded(lambda path=path: _read(path))  # type: ignore[misc]
    found = _guarded(lambda: together.judge(runs, against, baseline_dir))
    code = together.verdict(found)
    if as_json:
        judged = [
            {**summary(one), "run": str(one.run.path), "gates": gate_list(one)} for one in found
        ]
        _print_json({"verdict": code.name, "runs": judged})
    else:
        for assessment in found:
            if len(found) > 1:
                click.echo(f"{assessment.run.path}")
            _print_gates(assessment)
        if len(found) > 1:
            click.echo(f"{code.name}: {len(found)} runs together")
    _tell_github(found)
    sys.exit(code)


@group.command("compare")
@click.argument("first", type=_run, metavar="RUN")
@click.argument("second", type=_run, metavar="RUN")
@_json_option
def compare_command(first: Path, second: Path, as_json: str | None) -> None:
    """Lay the figures of two RUNs side by side."""
    one = _guarded(lambda: assess(_read(first)))
    other = _guarded(lambda: assess(_read(second)))
    lines = compare.compare(one, other)
    notes = compare.differences(one, other)
    if as_json:
        _print_json({"figures": [line.plain() for line in lines], "differences": notes})
        return
    for note in notes:
        click.echo(f"note: {note}")
    _print_table(["", first.name, second.name, "change", ""], [line.cells for line in lines])
    click.echo(compare.CAUTION)


@group.group("baseline")
def baseline_group() -> None:
    """Keep runs that later ones are compared with."""


@baseline_group.command()
@click.argument("run", type=_run)
@click.option("--replace", is_flag=True, help="Drop the baselines before it: a new level is meant.")
@_baselines_option
def accept(run: Path, replace: bool, baseline_dir: Path | None) -> None:
    """Accept RUN as a baseline of its scenario and machine.

    A run that is not valid, or failed, is refused; with --replace one may have
    failed against the baselines that it replaces.
    """
    assessment = _guarded(lambda: assess(_read(run), baseline_dir=baseline_dir))
    code = assessment.verdict.code
    failed = [one for one in assessment.gates if one.verdict == "FAIL"]
    if replace and code is Exit.FAIL and all(one.gate.kind == "regression" for one in failed):
        code = Exit.PASS
    if code in (Exit.INVALID, Exit.FAIL):
        click.echo(
            f"not accepted: {assessment.verdict.word}: {assessment.verdict.reason}", err=True
        )
        sys.exit(code)
    where = baselines.directory(assessment.run.info, baseline_dir)
    found = baselines.of(assessment.run, assessment.samples, assessment.spans)
    file = _guarded(lambda: baselines.accept(found, where, replace=replace))
    count = len(list(where.glob("*.json")))
    click.echo(f"accepted: {file} ({count} of this machine; commit it)")


@group.command("trace")
@click.argument("run", type=_run)
@click.argument("session")
@click.option("-o", "--output", type=_run, help="File to write; default: standard output.")
def trace_command(run: Path, session: str, output: Path | None) -> None:
    """Write SESSION of RUN as a trace for Perfetto (ui.perfetto.dev) or chrome://tracing."""
    text = json.dumps(_guarded(lambda: trace(RunReader(run), session)), allow_nan=False)
    if output is None:
        click.echo(text)
    else:
        _guarded(lambda: write_text(output, text + "\n"))
        click.echo(f"trace: {output}")


def _read(path: Path) -> RunReader:
    """Read a run that has rows; raises RunDirError."""
    run = RunReader(path)
    if not run.unfinished and run.events.empty and run.samples.empty and run.system.empty:
        raise RunDirError(f"{path}: has no rows: nothing was recorded")
    return run


def _print_gates(assessment: Assessment) -> None:
    for check in assessment.checks:
        if not check.ok:
            click.echo(f"INVALID       {check.reason}")
    for result in assessment.gates:
        gate = result.gate
        click.echo(f"{result.verdict:13} {gate.id}: {gate.metric} {gate.stat}: {result.reason}")
    click.echo(f"{assessment.verdict.word}: {assessment.verdict.reason}")


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, allow_nan=False))


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _tell_github(assessments: Sequence[Assessment]) -> None:
    """Tell each thing once; runs that were judged together have their gates in common.

    Standard output may belong to a JSON document; GitHub reads the other as well.
    """
    outcomes = {tuple(result.verdict for result in one.gates) for one in assessments}
    if len(outcomes) == 1:
        assessments = assessments[-1:]
    lines: dict[str, None] = {}
    for assessment in assessments:
        append_summary(assessment, os.environ)
        lines |= dict.fromkeys(workflow_commands(assessment, os.environ))
    for line in lines:
        click.echo(line, err=True)


def _guarded(work: Callable[[], T]) -> T:
    """Run work for a user: no traceback, one line and an exit code instead."""
    try:
        return work()
    except RunDirError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(Exit.USAGE)
    except Exception as error:
        log.debug("report.failed", exc_info=True)
        click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
        sys.exit(Exit.INTERNAL)
