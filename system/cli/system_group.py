"""The command group ``remote-render system``: the stack, its components, and their upkeep."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any, Final

import click

PASS_THROUGH: Final[dict[str, Any]] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}
AUDIENCES: Final = ("client", "worker", "service")


@click.group("system")
def group() -> None:
    """Run the rendering stack, or one component of it."""


def _stack_options(command: Any) -> Any:
    from system.cli.options import stack_options

    return stack_options(command)


@group.command()
@_stack_options
def up(**options: Any) -> None:
    """Run the whole stack on this machine until Ctrl-C."""
    from system.cli.options import stack_config
    from system.cli.up import run

    sys.exit(run(stack_config(**options)))


@group.command()
@_stack_options
@click.option(
    "--format", "form", default="yaml", show_default=True, type=click.Choice(["yaml", "json"])
)
def config(form: str, **options: Any) -> None:
    """Print the settings that `system up` would use with these options."""
    from system.cli.options import stack_config

    public = stack_config(**options).public()
    if form == "json":
        click.echo(json.dumps(public, indent=2))
    else:
        import yaml

        click.echo(yaml.safe_dump(public, sort_keys=False), nl=False)


@group.command()
@click.option("--user", required=True, help="Who joins: the user, worker or service id.")
@click.option("--project", help="The one project that a client's token is good for.")
@click.option("--audience", default="client", show_default=True, type=click.Choice(AUDIENCES))
@click.option("--ttl", type=click.IntRange(1), help="Seconds; by default what the audience needs.")
def token(user: str, project: str | None, audience: str, ttl: int | None) -> None:
    """Print a token signed with the secret in RR_SECRET."""
    from system.protocol import tokens

    secret = os.environ.get("RR_SECRET", "")
    if not secret:
        raise click.UsageError("RR_SECRET is not set; it is the secret that the servers run with")
    if audience == "client" and not project:
        raise click.UsageError("a client's token needs --project")
    try:
        keys = tokens.Keys.from_secret(secret)
    except ValueError as error:
        raise click.UsageError(f"RR_SECRET: {error}") from None
    lifetimes = {
        "client": tokens.JOIN_TTL_S,
        "worker": tokens.WORKER_TTL_S,
        "service": tokens.SERVICE_TTL_S,
    }
    click.echo(
        tokens.sign(
            keys,
            tokens.Audience[audience.upper()],
            user,
            now_s=time.time(),
            ttl_s=ttl or lifetimes[audience],
            project_id=project,
        )
    )


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(as_json: bool) -> None:
    """Check that this machine can run the stack; exit 1 where something needed is missing."""
    from system.cli import doctor as checks

    found = checks.examine()
    click.echo(checks.as_json(found) if as_json else checks.as_text(found))
    sys.exit(0 if checks.sound(found) else 1)


def _component(name: str, text: str) -> None:
    """A command that hands all its arguments to the component's own command line."""

    @group.command(name, help=text, context_settings=PASS_THROUGH)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        main = importlib.import_module(f"system.{name}.__main__").main
        if isinstance(main, click.Command):
            main.main(list(arguments), prog_name=f"remote-render system {name}")
        sys.exit(main(list(arguments)))


_component("signaling", "Run a signaling node (--help lists its flags).")
_component("orchestrator", "Run an orchestrator (--help lists its flags).")
_component("worker", "Run a worker (--help lists its flags).")
