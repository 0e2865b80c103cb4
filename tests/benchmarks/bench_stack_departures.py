# ruff: noqa: T201
"""How long a worker stays taken after its viewer was killed, or has vanished with its network.

Run: ``python tests/benchmarks/bench_stack_departures.py [--kills 20] [--holes 5]``. A killed
viewer's system closes its sockets. One that is stopped by SIGSTOP keeps them and says nothing, as
one behind a cable that was pulled: the default heartbeat is 2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

ROOT = Path(__file__).parents[2]
VIEWER = ROOT / "tests/integration/stack_viewer.py"


def sessions(stack: EmbeddedStack) -> list[str]:
    with urllib.request.urlopen(f"{stack.orchestrator_url}/workers") as answer:
        return [session for worker in json.load(answer) for session in worker["sessions"]]


async def depart(stack: EmbeddedStack, how: signal.Signals, after_s: float) -> float:
    """Seconds from the signal until no worker has a session."""
    viewer = await asyncio.create_subprocess_exec(
        *(sys.executable, str(VIEWER), stack.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert viewer.stdout is not None
        await asyncio.wait_for(viewer.stdout.readline(), 30)
        await asyncio.sleep(after_s)
        assert await asyncio.to_thread(sessions, stack)
        viewer.send_signal(how)
        began_s = time.monotonic()
        while await asyncio.to_thread(sessions, stack):  # noqa: ASYNC110 - only looking shows it
            await asyncio.sleep(0.01)
        return time.monotonic() - began_s
    finally:
        if viewer.returncode is None:
            viewer.kill()
        await viewer.wait()


async def measure(stack: EmbeddedStack, kills: int, holes: int) -> None:
    for how, count in ((signal.SIGKILL, kills), (signal.SIGSTOP, holes)):
        if not count:
            continue
        # At many phases of heartbeats and reports.
        took = [await depart(stack, how, 0.3 + 1.7 * i / count) for i in range(count)]
        print(
            f"{how.name}: {count} viewers, worker free after p50 {statistics.median(took):.2f}"
            f" max {max(took):.2f} s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--holes", type=int, default=5)
    options = parser.parse_args()
    config = StackConfig(
        pools=(PoolConfig(initial=1, max_workers=1),),
        stream=StreamConfig(width=320, height=180, fps=15, bitrate_bps=300_000),
        secret="",
    )
    with EmbeddedStack(config) as stack:
        asyncio.run(measure(stack, options.kills, options.holes))


if __name__ == "__main__":
    main()
