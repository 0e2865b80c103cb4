"""Nothing is left of a load test whose master was killed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import psutil
from locust_run import LocustRun, free_port

SCENARIO = """\
version: 1
name: steady
stream: {resolution: 320x180, fps: 20, bitrate: 500kbps}
load: {model: closed, users: 2, for: 60s, input: {rate: 4/s}}
pool: {slots_per_worker: 4, policy: {kind: fixed, size: 1}}
"""
JOINED_S = 2.0
GONE_S = 5.0


async def test_a_killed_master_takes_workers_helpers_and_stack_with_it(tmp_path: Path) -> None:
    file = tmp_path / "steady.yaml"
    file.write_text(SCENARIO)
    port = str(free_port())
    run = await LocustRun.start(
        *("--scenario", str(file), "--run-dir", str(tmp_path / "run"), "--processes", "2"),
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port),
    )
    await run.until((tmp_path / "run" / "parts").is_dir)
    await asyncio.sleep(JOINED_S)
    assert len(run.helpers()) == 2
    assert run.has("system.worker")
    run.process.kill()
    left = await asyncio.to_thread(still_there, run, GONE_S)
    await run.end()
    assert left == []


def still_there(run: LocustRun, seconds: float) -> list[str]:
    """What is left of a run after so long; it is ended."""
    deadline = time.monotonic() + seconds
    while run.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    found = []
    for process in run.left():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
            process.kill()
    return found
