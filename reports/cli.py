"""The command group ``remote-render report``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from reports.assess import Assessment, assess
from reports.build import write
from reports.errors import RunDirError
from reports.rundir import RunReader
from reports.summary import summary
from reports.verdict import Exit

log = logging.getLogger(__name__)

T = TypeVar("T")


@click.group("report")
def group() -> None:
    """Build reports of runs and judge them."""


@group.command("build")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", type=click.Choice(["-"]), help="Print the summary as JSON.")
def build_command(run: Path, as_json: str | None) -> None:
    """Build the report of RUN; exit with its verdict."""
    assessment = _guarded(lambda: assess(RunReader(run)))
    _guarded(lambda: write(assessment))
    if as_json:
        click.echo(json.dumps(summary(assessment), indent=2, allow_nan=False))
    else:
        click.echo(f"{assessment.verdict.word}: {assessment.verdict.reason}")
        click.echo(f"report: {run / 'report.html'}")
    sys.exit(assessment.verdict.code)


@group.command()
@click.argument("run", type=click.Path(path_type=Path))
def gate(run: Path) -> None:
    """Judge RUN by the gates of its scenario and exit with the verdict; writes nothing."""
    assessment = _guarded(lambda: assess(RunReader(run)))
    _print_gates(assessment)
    sys.exit(assessment.verdict.code)


def _print_gates(assessment: Assessment) -> None:
    for check in assessment.checks:
        if not check.ok:
            click.echo(f"INVALID       {check.reason}")
    for result in assessment.gates:
        gate = result.gate
        click.echo(f"{result.verdict:13} {gate.id}: {gate.metric} {gate.stat}: {result.reason}")
    click.echo(f"{assessment.verdict.word}: {assessment.verdict.reason}")


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
