"""One component of the stack as a child process: spawn, readiness, log tail, end.

Synchronous, over ``subprocess`` and pipes alone, so that it works as it is
inside a process that gevent has patched.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from system.stack.errors import StackError

POLL_S: Final = 0.02
TAIL_BYTES: Final = 16 * 1024
TAIL_CHARS: Final = 300
_UNTOLD: Final = frozenset({"event", "level", "time", "role", "node", "traceback"})
SOURCE_ROOT: Final = Path(__file__).resolve().parents[2]


class Component:
    """A running ``python -m MODULE``. ``role`` names it in errors, logs and system rows."""

    def __init__(
        self,
        role: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        log_dir: Path,
    ) -> None:
        self.role = role
        self.log_path = log_dir / f"{role}.log"
        ready_fd, ready_write_fd = os.pipe()
        self._ready_fd: int | None = ready_fd
        try:
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, *argv, "--ready-fd", str(ready_write_fd)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(env),
                    pass_fds=[*pass_fds, ready_write_fd],
                    start_new_session=True,
                )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(ready_write_fd)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self, deadline: float) -> dict[str, Any]:
        """The line that the component writes once it serves.

        Args:
            deadline: on the monotonic clock.

        Raises:
            StackError: it ended first, or the deadline passed.
        """
        assert self._ready_fd is not None
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self._ready_fd], [], [], POLL_S)
            if readable:
                part = os.read(self._ready_fd, 4096)
                if not part:
                    self._wait_exit(1.0)
                    raise self.failure("did not start")
                line += part
            elif self.process.poll() is not None:
                raise self.failure("did not start")
            elif time.monotonic() > deadline:
                raise self.failure("was not ready in time")
        self.close()
        ready: dict[str, Any] = json.loads(line)
        return ready

    def check(self) -> None:
        """Raise StackError where the component has ended by itself."""
        if self.process.poll() is not None:
            raise self.failure("ended")

    def failure(self, what: str) -> StackError:
        """An error of one line that says what happened, with the end of the log."""
        code = self.process.poll()
        how = "" if code is None else f" ({describe_exit(code)})"
        return StackError(f"{self.role} {what}{how}: {log_tail(self.log_path)}")

    def reap(self) -> None:
        """Kill it if it still runs, and collect its exit status."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Close this end of the readiness pipe. Idempotent; the process is left alone."""
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None

    def _wait_exit(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a child that must find the same packages.

    The working directory is kept off the child's path: a ``system`` folder
    there would shadow ours. So are flags of other components (``RR_PORT``):
    a child gets those that it is given.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RR_") or name.startswith("RR_LOG_")
    }
    paths = [str(SOURCE_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def describe_exit(code: int) -> str:
    """A return code of ``subprocess`` in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def log_tail(path: Path) -> str:
    """The most telling last line of a log: its last error, else its last line."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    except OSError:
        return "it wrote no log"
    lines = [line for line in lines if line]
    if not lines:
        return "it wrote no log"
    errors = [text for line in lines if (text := _error_text(line)) is not None]
    return (errors or [_plain(lines[-1])])[-1][:TAIL_CHARS]


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _error_text(line: str) -> str | None:
    record = _record(line)
    if record is None:
        return None
    level = str(record.get("level", "")).lower()
    return _plain(line) if level in ("error", "critical") else None


def _plain(line: str) -> str:
    """A JSON log line as ``event key=value``; any other line as it is."""
    record = _record(line)
    if record is None:
        return line
    rest = " ".join(f"{k}={v}" for k, v in record.items() if k not in _UNTOLD)
    raised = str(record.get("traceback", "")).strip().splitlines()[-1:]
    parts = filter(None, [str(record.get("event", "")), rest, *raised])
    return " ".join(parts).replace("\n", " ")
