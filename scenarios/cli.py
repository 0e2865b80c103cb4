"""The command group ``remote-render scenario``."""

from __future__ import annotations

import json
import sys

import click

from scenarios import schedule
from scenarios.errors import ScenarioError
from scenarios.loader import load
from scenarios.schema import json_schema


@click.group("scenario")
def group() -> None:
    """Check scenario files."""


@group.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
def check(files: tuple[str, ...]) -> None:
    """Check scenario FILES; exit 0 where all are sound, else 2."""
    sound = True
    for file in files:
        try:
            scenario = load(file)
            count = len(schedule.arrivals(scenario))
        except (ScenarioError, schedule.TooManyArrivals) as error:
            click.echo(
                str(error) if isinstance(error, ScenarioError) else f"{file}: {error}", err=True
            )
            sound = False
        else:
            spans = schedule.stages(scenario)
            click.echo(
                f"{file}: ok: {scenario.name}, {count} first sessions in {len(spans)} stages, "
                f"{schedule.duration_s(scenario):g} s, {len(scenario.gates)} gates"
            )
    if not sound:
        sys.exit(2)


@group.command()
def schema() -> None:
    """Print the JSON schema of scenario files."""
    click.echo(json.dumps(json_schema(), indent=2))
