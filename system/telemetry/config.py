"""Flags that the services share. Every flag is also an environment variable, ``RR_<FLAG>``.

Secrets come through the environment alone: RR_SECRET.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from system.protocol.tokens import Keys

F = TypeVar("F", bound=Callable[..., Any])

SECRET_VARIABLE: Final = "RR_SECRET"
LISTEN_VARIABLE: Final = "RR_LISTEN_FD"
"""Names a listening socket that the embedded stack has bound, so that URLs are known early."""

CONTEXT: Final = {"auto_envvar_prefix": "RR", "help_option_names": ["-h", "--help"]}
"""``context_settings`` of every service's command."""

_UNITS_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)\s*")


def parse_duration_s(text: str) -> float:
    """Seconds in a duration such as ``500ms`` or ``2s``.

    Raises:
        ValueError: not a number with one of the units us, ms, s, min, h, d.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 2s or 1min")
    return float(match[1]) * _UNITS_S[match[2]]


if TYPE_CHECKING:
    _FloatType = click.ParamType[float]
else:
    _FloatType = click.ParamType  # generic only in recent releases


class Duration(_FloatType):
    """A duration with its unit, as seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def listen_options(command: F) -> F:
    """--host, --port, --ready-fd and --log-level."""
    for option in (
        click.option("--log-level", default="info", help="debug, info, warning or error."),
        click.option(
            "--ready-fd",
            type=int,
            default=None,
            help='Write {"port": P} to this inherited descriptor once listening.',
        ),
        click.option("--port", type=int, default=0, help="0 takes a free one."),
        click.option("--host", default="127.0.0.1", help="Address to listen on."),
    ):
        command = option(command)
    return command


def is_loopback(host: str) -> bool:
    """Whether listening on ``host`` is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def keys_for(host: str) -> Keys | None:
    """The signing keys from RR_SECRET; None is development mode, without tokens.

    Raises:
        click.UsageError: a secret is too short, or missing on an address that is not loopback.
    """
    secret = os.environ.get(SECRET_VARIABLE, "")
    if secret:
        from system.protocol.tokens import Keys  # those who only read durations need no JWT

        try:
            return Keys.from_secret(secret)
        except ValueError as error:
            raise click.UsageError(f"{SECRET_VARIABLE}: {error}") from None
    if not is_loopback(host):
        raise click.UsageError(
            f"set {SECRET_VARIABLE} (32 characters or more) to listen on {host}; "
            "without it only loopback addresses are allowed"
        )
    return None


def refuse_memory(store_url: str) -> None:
    """A process of its own needs a store that others can reach.

    Raises:
        click.UsageError: the URL is memory://.
    """
    if store_url.startswith("memory:"):
        raise click.UsageError(
            "memory:// is for a single process; give a redis:// or unix:// store"
        )
