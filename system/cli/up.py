"""Runs an embedded stack in the foreground until a signal ends it."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Final

import click

from system.stack.component import SOURCE_ROOT
from system.stack.config import StackConfig
from system.stack.embedded import EmbeddedStack
from system.stack.errors import AddressInUse, StackError

CHECK_S: Final = 0.5
_GUARDED: Final = "?userId=U&projectId=P#token=TOKEN"
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_USAGE: Final = 2
EXIT_FAILED: Final = 5
EXIT_INTERRUPTED: Final = 130


def run(config: StackConfig) -> int:
    """Start, say where it is, wait; returns the exit code: 0 where a signal ended it."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    stack = EmbeddedStack(config)
    up = False
    try:
        stack.start()
        up = True
        click.echo(greeting(stack))
        while True:
            time.sleep(CHECK_S)
            stack.check()
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
        return 0 if up else EXIT_INTERRUPTED
    except StackError as error:
        click.echo(f"Error: {error}", err=True)
        return EXIT_USAGE if isinstance(error, AddressInUse) else EXIT_FAILED
    finally:
        stack.stop()


def greeting(stack: EmbeddedStack) -> str:
    """Where the stack is and what to do with it."""
    stream = stack.config.stream
    pool = stack.pool_snapshot().pool
    ready = 0 if pool is None else pool.ready
    wanted = sum(pool.initial for pool in stack.config.pools)
    tokens = (
        "required: remote-render system token --user U --project P"
        if stack.secret
        else "not asked for (development mode, loopback only)"
    )
    page = f"{stack.http_url}/{_GUARDED if stack.secret else ''}"
    return "\n".join(
        (
            f"Up in {stack.ready_s:.1f} s, {ready} of {wanted} workers ready: "
            f"{stream.width}x{stream.height} at {stream.fps} fps, "
            f"{stream.bitrate_bps / 1e6:g} Mbps, {stream.pacing}",
            f"Open {page} in a browser, in two windows if you like.",
            f"  signaling     {stack.url}/ws?userId=U&projectId=P",
            f"  orchestrator  {stack.orchestrator_url}",
            f"  join tokens   {tokens}",
            f"  logs          {stack.log_dir}",
            f"Load it from another terminal: locust -f {_locustfiles()} --host {stack.url}",
            "Ctrl-C ends it.",
        )
    )


def _locustfiles() -> str:
    """Where the load test is, as short as it can be typed here."""
    folder = SOURCE_ROOT / "loadtest"
    if folder.parent == Path.cwd():
        return "loadtest/"
    return shlex.quote(f"{folder}/")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End once: ``stop`` is bounded, so further signals need not hurry it."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt
