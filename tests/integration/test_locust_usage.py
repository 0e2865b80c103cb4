"""What a user is told who cannot run the load test: one line, exit code 2, at once."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from locust_run import free_port, locust

from loadtest._refusal import Refusal
from loadtest._target import web_port_is_free

SMALL = """\
version: 1
name: small
load:
  model: open
  session: 2s
  stages: [{name: hold, for: 5s, rate: 1/s}]
pool: {policy: {kind: fixed, size: 1}}
"""


async def test_every_refusal_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    good, misspelt = tmp_path / "small.yaml", tmp_path / "misspelt.yaml"
    good.write_text(SMALL)
    misspelt.write_text(SMALL.replace("stages:", "stagess:"))
    runs = tmp_path / "run"
    told = {
        "no such file": ["--scenario", str(tmp_path / "missing.yaml")],
        f"{misspelt}:6:3: load.stagess: ": ["--scenario", str(misspelt)],
        "-u cannot go with the open scenario 'small'": ["--scenario", str(good), "-u", "3"],
        "connection refused": ["--host", f"ws://127.0.0.1:{free_port()}", "-u", "1"],
        "--i-may-load-this-host": ["--host", "wss://192.0.2.1", "-u", "1"],
        "--master needs --host": ["--master"],
        "is not supported": ["--driver", "whep"],
    }
    done = await asyncio.gather(
        *(locust("--run-dir", str(runs), *arguments) for arguments in told.values())
    )
    for text, run in zip(told, done, strict=True):
        assert run.code == 2, run.output
        lines = [line for line in run.output.splitlines() if line.startswith("error: ")]
        assert text in "\n".join(lines)
        assert "Traceback" not in run.output
    assert not runs.exists()


async def test_refusals_come_before_processes_are_forked(tmp_path: Path) -> None:
    run = await locust("--processes", "2", "--scenario", str(tmp_path / "missing.yaml"))
    assert run.code == 2
    assert run.output.count("no such file") == 1
    assert "Starting Locust" not in run.output


def test_a_taken_port_of_the_web_page_is_refused_before_locust_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        page = {"headless": False, "web_host": "127.0.0.1", "web_port": port}
        with pytest.raises(Refusal, match=rf"port {port} .* in use; give another --web-port"):
            web_port_is_free(page)
        web_port_is_free({**page, "headless": True})
        web_port_is_free({**page, "list_commands": True})
    web_port_is_free(page)
