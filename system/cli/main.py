"""The command ``remote-render``: groups found by entry point, imported when used.

Nobody but a developer sees a traceback: what was not expected becomes one line
and exit code 5, and ``RR_TRACEBACK=1`` shows the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, metadata
from typing import Any, Final

import click

GROUP: Final = "remote_render.commands"
DISTRIBUTION: Final = "remote-render"
OWN_PACKAGES: Final = ("system", "scenarios", "reports", "sim", "loadtest")

EXIT_USAGE: Final = 2
EXIT_INTERNAL: Final = 5
EXIT_INTERRUPTED: Final = 130

SUMMARIES: Final = {
    "system": "Run the rendering stack, or one component of it.",
    "scenario": "Check scenario files.",
    "report": "Build reports of runs, judge and compare them.",
    "sim": "Simulate worker pools and plan them.",
}
"""Shown by ``--help``, which imports no group."""


class LazyGroup(click.Group):
    """Lists its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(found())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = found().get(cmd_name)
        if entry is None:
            return None
        command = entry.load()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES.get(name, "")) for name in sorted(found())])


def found() -> dict[str, EntryPoint]:
    """The installed command groups by name."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@click.group(cls=LazyGroup, name=DISTRIBUTION)
@click.version_option(package_name=DISTRIBUTION)
def cli() -> None:
    """Remote rendering over WebRTC, and the harness that measures, loads and sizes it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, with everything said in one line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        result: Any = cli.main(arguments, prog_name=DISTRIBUTION, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EXIT_INTERNAL
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _output_closed()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OWN_PACKAGES:
            return _internal(error)
        click.echo(missing_package(error.name, arguments), err=True)
        return EXIT_USAGE
    except Exception as error:  # noqa: BLE001  the boundary to the user
        return _internal(error)


def missing_package(package: str, arguments: Sequence[str]) -> str:
    """One line that says what to install for a command that lacks ``package``."""
    words = [word for word in arguments if not word.startswith("-")]
    known = provided_extras()
    extra = next((word for word in reversed(words[:2]) if word in known), "all")
    return (
        f"remote-render {' '.join(words[:2])} needs the package '{package}': "
        f"pip install '{DISTRIBUTION}[{extra}]'"
    )


def provided_extras() -> frozenset[str]:
    """The extras that the installed distribution declares."""
    try:
        return frozenset(metadata(DISTRIBUTION).get_all("Provides-Extra") or ())
    except PackageNotFoundError:
        return frozenset()


def _internal(error: Exception) -> int:
    if os.environ.get("RR_TRACEBACK") == "1":
        import traceback

        traceback.print_exception(error)
    text = " ".join(str(error).split()) or "no further text"
    click.echo(
        f"Error: internal error: {type(error).__name__}: {text} (RR_TRACEBACK=1 shows where)",
        err=True,
    )
    return EXIT_INTERNAL


def _output_closed() -> int:
    """The reader of our output has gone (``| head``); Python must not complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
