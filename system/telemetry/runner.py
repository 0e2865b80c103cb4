"""Runs one aiohttp service: listens, says so, and ends cleanly on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import click
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from system.telemetry import lifeline, logs
from system.telemetry.config import LISTEN_VARIABLE

SHUTDOWN_S: Final = 5.0
"""Open requests get so long to end."""
_log = logs.get(__name__)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Watch the lifeline and run ``main`` in a new event loop."""
    lifeline.watch()
    asyncio.run(main())


class _MalformedRequests(logging.Filter):
    """What is no HTTP is its sender's error and answered with 400: an event, not a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        _log.info("request.malformed", status=error.code)
        return False


_malformed = _MalformedRequests()


async def serve(
    app: web.Application,
    *,
    host: str,
    port: int,
    ready_fd: int | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve ``app`` until a signal asks to stop, then clean it up.

    Args:
        ready_fd: gets one JSON line ``{"port": P}`` and is closed.
        on_ready: called with the port once listening.

    Raises:
        click.UsageError: the address cannot be listened on; says what to do.
    """
    stop = stop_event()
    logging.getLogger("aiohttp.server").addFilter(_malformed)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        bound = await listen(runner, host, port)
        _log.info("service.listening", host=host, port=bound)
        if on_ready is not None:
            on_ready(bound)
        if ready_fd is not None:
            tell_ready(ready_fd, bound)
        await stop.wait()
        _log.info("service.stopping")
    finally:
        await runner.cleanup()


async def listen(runner: web.AppRunner, host: str, port: int) -> int:
    """Listen and return the port; on the socket that RR_LISTEN_FD names, where it does.

    Raises:
        click.UsageError: the address cannot be listened on; says what to do.
    """
    inherited = os.environ.pop(LISTEN_VARIABLE, "")
    site: web.BaseSite = (
        web.SockSite(runner, socket.socket(fileno=int(inherited)))
        if inherited.isdecimal()
        else web.TCPSite(runner, host, port)
    )
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} on {host} is in use; give another --port, or 0 for a free one"
        else:
            text = f"cannot listen on {host} port {port}: {error.strerror}"
        raise click.UsageError(text) from None
    return int(runner.addresses[0][1])


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; of the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def tell_ready(fd: int, port: int) -> None:
    """Write ``{"port": P}`` as one line to an inherited descriptor and close it."""
    try:
        os.write(fd, json.dumps({"port": port}).encode() + b"\n")
        os.close(fd)
    except OSError as error:
        _log.warning("ready.untold", error=error.strerror)
