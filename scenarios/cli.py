"""The command group ``remote-render scenario``."""

from __future__ import annotations

import json
import sys

import click

from scenarios import schedule
from scenarios.consistency import late_faults
from scenarios.errors import ScenarioError
from scenarios.load import OpenLoad
from scenarios.loader import load
from scenarios.model import Scenario
from scenarios.schema import json_schema
from scenarios.support import HOSTS, unsupported


@click.group("scenario")
def group() -> None:
    """Check scenario files."""


@group.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
def check(files: tuple[str, ...]) -> None:
    """Check scenario FILES and what they name; exit 0 where all are sound, else 2.

    A note says who cannot run a file, and why.
    """
    sound = True
    for file in files:
        try:
            click.echo("\n".join(_checked(file)))
        except ScenarioError as error:
            click.echo(str(error), err=True)
            sound = False
    if not sound:
        sys.exit(2)


def _checked(file: str) -> list[str]:
    """What to say of a sound file; raises what is wrong with another."""
    scenario = load(file, host=None)
    scenario.read_files()
    count = len(schedule.arrivals(scenario))
    end_s = schedule.duration_s(scenario)
    late = [scenario.problem(place, message) for place, message in late_faults(scenario, end_s)]
    if late:
        raise ScenarioError(late)
    stages, gates = len(schedule.stages(scenario)), len(scenario.gates)
    first = "" if isinstance(scenario.load, OpenLoad) else "first "
    fit = [called for host, called in HOSTS.items() if not unsupported(scenario, host)]
    told = (
        f"{file}: ok: {scenario.name}, {_count(count, f'{first}session')} in "
        f"{_count(stages, 'stage')}, {end_s:g} s, {_count(gates, 'gate')}; "
        f"for {', '.join(fit) or 'nobody yet'}"
    )
    return [told, *_notes(file, scenario)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _notes(file: str, scenario: Scenario) -> list[str]:
    """Who cannot run it, and what of it they cannot do."""
    why: dict[str, list[str]] = {}
    for host, called in HOSTS.items():
        lines = [
            f"{use.text} (line {scenario.problem(use.place, '').line})"
            for use in unsupported(scenario, host)
        ]
        if lines:
            why.setdefault(", ".join(lines), []).append(called)
    return [f"{file}: note: not for {', '.join(who)}: {what}" for what, who in why.items()]


@group.command()
def schema() -> None:
    """Print the JSON schema of scenario files."""
    click.echo(json.dumps(json_schema(), indent=2))
