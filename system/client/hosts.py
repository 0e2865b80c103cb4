"""A helper process from its parent's side: plain blocking calls, fit for gevent, no asyncio."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from system.client.errors import HelperGone
from system.client.hostproto import MAX_LINE_BYTES, Command, Event, decode_event, encode

EXIT_GRACE_S = 10.0


class HelperProcess:
    """Starts a helper and speaks to it. Under gevent, start it after monkey-patching.

    One greenlet or thread iterates ``events``; any may ``send``.
    """

    def __init__(self, node: str = "helper-0") -> None:
        self.node = node
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "system.client.host", "--fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                close_fds=True,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            ours.close()
            raise HelperGone(f"the helper could not be started: {error.strerror}") from None
        finally:
            theirs.close()
        self._socket = ours
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def send(self, command: Command) -> None:
        """Hand a command over; raises HelperGone."""
        try:
            with self._lock:
                self._socket.sendall(encode(command))
        except OSError:
            raise HelperGone(f"helper {self.node} does not read any more") from None

    def events(self) -> Iterator[Event]:
        """Every event until the helper ends; raises HelperGone on what is not one."""
        with self._socket.makefile("rb") as lines:
            while True:
                try:
                    line = lines.readline(MAX_LINE_BYTES)
                except OSError:
                    return
                if not line:
                    return
                try:
                    yield decode_event(line)
                except msgspec.DecodeError:
                    raise HelperGone(f"helper {self.node} sent what is no event") from None

    def close(self, timeout_s: float = EXIT_GRACE_S) -> int:
        """End the pipe, wait for the helper to write its rows and exit; its exit status."""
        # A reader in ``events`` keeps the descriptor alive: shut the pipe, then close.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        self._socket.close()
        return status

    def kill(self) -> None:
        """SIGKILL, without waiting."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
