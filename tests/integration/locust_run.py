"""Runs Locust on the load test as a user would, and finds what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from terminal import heed_ctrl_c

ROOT = Path(__file__).resolve().parents[2]
MARK = "TEST_RUN_MARK"  # not RR_…: the stack keeps those from its children
DEADLINE_S = 90.0


@dataclass
class LocustRun:
    """One Locust process and everything that it starts, known by a mark in the environment."""

    process: asyncio.subprocess.Process
    mark: str
    output: str = ""
    code: int | None = None
    _parts: list[bytes] = field(default_factory=list)

    @classmethod
    async def start(cls, *arguments: str) -> LocustRun:
        mark = secrets.token_hex(8)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "locust",
            "-f",
            "loadtest/",
            "--headless",
            "--only-summary",
            *arguments,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), MARK: mark},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )
        return cls(process, mark)

    def interrupt(self) -> None:
        """Ctrl-C: to the whole group, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    async def until(self, true: Callable[[], bool], deadline_s: float = 60.0) -> None:
        """Wait for something that only looking shows, while Locust runs."""
        async with asyncio.timeout(deadline_s):
            while not true():
                if self.process.returncode is not None:
                    raise AssertionError((await self.end()).output)
                await asyncio.sleep(0.2)

    async def end(self, deadline_s: float = DEADLINE_S) -> LocustRun:
        """Wait for the end; kills what hangs, and that fails the test."""
        try:
            async with asyncio.timeout(deadline_s):
                out, _ = await self.process.communicate()
        except TimeoutError:
            for process in self.left():
                process.kill()
            raise AssertionError("locust did not end") from None
        self.output = out.decode()
        self.code = self.process.returncode
        return self

    def left(self) -> list[psutil.Process]:
        """Every process of this run that lives now."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def has(self, module: str) -> bool:
        """Whether a process of this run executes ``module``."""
        return any(module in process.cmdline() for process in self.left())

    def helpers(self) -> list[psutil.Process]:
        return [p for p in self.left() if "system.client.host" in p.cmdline()]


async def locust(*arguments: str, deadline_s: float = DEADLINE_S) -> LocustRun:
    """Run Locust to its end; nothing may be left of it."""
    run = await (await LocustRun.start(*arguments)).end(deadline_s)
    assert run.left() == [], run.output
    return run


def read_text(run_dir: Path, name: str) -> str:
    return (run_dir / name).read_text()


def read_json(run_dir: Path, name: str) -> Any:
    return json.loads(read_text(run_dir, name))


def judged(run: LocustRun, run_dir: Path, valid_code: int) -> bool:
    """Whether the exit code is ``valid_code``, or 4 where this machine was too busy to measure.

    A generator that could not keep up is not the failure that a test looks for.
    """
    valid = read_json(run_dir, "run.json")["validity"]["valid"]
    return run.code == (valid_code if valid else 4)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
