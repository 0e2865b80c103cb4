"""Runs a Valkey server that cannot outlive its owner; a script of its own, standard library only.

Usage: ``python valkey_guard.py DIRECTORY COMMAND...``. The server is stopped and
the directory removed when standard input ends (the owner is gone or wants it so),
when the lifeline ends, on SIGTERM, and when the server ends by itself.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def main(directory: str, command: list[str]) -> int:
    """Guard the server until one of the ends comes; returns the server's exit status."""
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda number, frame: None)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent())
    watched = [sys.stdin.fileno(), wakeup]
    lifeline = os.environ.get("RR_LIFELINE_FD", "")
    if lifeline.isdigit() and _is_open(int(lifeline)):
        watched.append(int(lifeline))
    while True:
        ready, _, _ = select.select(watched, [], [])
        if ready != [wakeup] or not _only_paused(os.read(wakeup, 64), server):
            break
    server.kill()  # it keeps nothing, so there is nothing to save
    status = server.wait()
    shutil.rmtree(directory, ignore_errors=True)
    return status


def _only_paused(signals: bytes, server: subprocess.Popen[bytes]) -> bool:
    """SIGCHLD also comes when the server is stopped and continued, by a test or a debugger."""
    return set(signals) == {signal.SIGCHLD} and server.poll() is None


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _die_with_parent() -> Callable[[], None] | None:
    """Where the kernel can, have the server die even if this guard is killed."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
