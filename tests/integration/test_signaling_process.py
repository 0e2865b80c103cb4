"""``python -m system.signaling`` as a process: readiness, clean end, and one line of usage."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

DEADLINE_S = 20.0


def start(*flags: str, pass_fds: Sequence[int] = (), **env: str) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RR_")}
    return subprocess.Popen(
        [sys.executable, "-m", "system.signaling", "--node", "n", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=inherited | env,
        pass_fds=pass_fds,
    )


REACHABLE = ("--store", "redis://127.0.0.1:9/0", "--orchestrator", "http://127.0.0.1:9")


def test_a_node_says_its_port_serves_and_ends_cleanly_on_sigterm() -> None:
    ready, write = os.pipe()
    process = start(*REACHABLE, "--ready-fd", str(write), pass_fds=(write,))
    os.close(write)
    try:
        with os.fdopen(ready) as told:
            port = json.loads(told.readline())["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as http:
            http.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert b" 200 " in http.recv(1000)
        with socket.create_connection(("127.0.0.1", port), timeout=5) as other:
            other.sendall(b"GET /livez HTTP/1.1\r\nHost: a\x00b\r\n\r\n")
            assert b" 400 " in other.recv(1000)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert "service.listening" in events
    assert "request.malformed" in events
    assert "Traceback" not in log


def _run(*flags: str, **env: str) -> tuple[int, str]:
    process = start(*flags, **env)
    try:
        _, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    return process.returncode, errors


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, errors = _run(*REACHABLE, "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "is in use; give another --port" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--store", "memory://", "--orchestrator", "http://127.0.0.1:9"), "single process"),
        (("--store", "mysql://x", "--orchestrator", "http://127.0.0.1:9"), "store URL"),
        ((*REACHABLE, "--host", "0.0.0.0"), "RR_SECRET"),
        ((*REACHABLE, "--heartbeat", "2"), "duration"),
        ((*REACHABLE, "--turn-url", "turn:127.0.0.1:3478"), "RR_TURN_SECRET"),
    ],
)
def test_wrong_usage_is_refused_with_exit_code_2(flags: tuple[str, ...], says: str) -> None:
    code, errors = _run(*flags)
    assert code == 2
    assert says in errors
    assert "Traceback" not in errors
