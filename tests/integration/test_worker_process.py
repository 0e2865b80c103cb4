"""The worker as a process: it starts, registers, leaves on SIGTERM, and says what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from worker_harness import FakeSignaling

from system.protocol import messages
from system.worker.exits import DONE, USAGE

ROOT = Path(__file__).resolve().parents[2]


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "system.worker", "--width", "320", "--height", "180"),
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_worker_registers_and_leaves_on_sigterm_with_only_json_lines_in_its_log() -> None:
    signaling = FakeSignaling()
    await signaling.start()
    process = await start("--id", "w7", "--generation", "4", "--signaling", signaling.url)
    register = await signaling.wait(messages.Register, timeout_s=30)
    assert (register.worker_id, register.generation) == ("w7", 4)
    assert register.boot_s > 0
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == DONE
    events = [json.loads(line)["event"] for line in log.decode().splitlines()]
    assert events[-1] == "worker.stopped"
    assert signaling.of(messages.Drained)
    await signaling.stop()


async def test_a_boot_delay_comes_before_registering_and_can_be_interrupted() -> None:
    signaling = FakeSignaling()
    await signaling.start()
    process = await start("--id", "w8", "--signaling", signaling.url, "--boot-delay", "60")
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"worker.probed" not in await process.stderr.readline():
            pass
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == DONE
    assert signaling.received == []
    await signaling.stop()


async def test_a_wrong_flag_ends_the_process_with_usage() -> None:
    process = await start("--id", "w9")
    _, log = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == USAGE
    assert b"--signaling is required" in log
