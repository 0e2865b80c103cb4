"""Allocation through HTTP and a real Valkey: latency on a warm pool, and allocations per second.

Run: ``python tests/benchmarks/bench_allocate.py [--workers 16] [--rounds 500]``.
The load generator, the orchestrator and the store share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from system.protocol.messages import Register
from system.store.base import open_store
from system.store.ledger import Ledger
from system.store.valkey import EmbeddedValkey

ROOT = Path(__file__).parents[2]


def start_orchestrator(store_url: str, directory: str) -> tuple[subprocess.Popen[bytes], str]:
    pools = Path(directory, "pools.json")
    policy = {"kind": "fixed", "size": 0, "interval": "1h"}
    pools.write_text(json.dumps({"pools": [{"initial": 0, "policy": policy}]}))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "system.orchestrator", "--store", store_url),
            *("--pool-config", str(pools), "--signaling", "ws://127.0.0.1:9/ws"),
            *("--heartbeat", "1h", "--log-level", "warning", "--ready-fd", "1"),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    return process, f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"


async def allocate(client: aiohttp.ClientSession, url: str) -> tuple[float, str]:
    body = {"clientId": "c", "projectId": "p"}
    began = time.perf_counter()
    async with client.post(f"{url}/allocate", json=body) as response:
        answer = await response.json()
    assert response.status == 200, answer
    return time.perf_counter() - began, answer["sessionId"]


async def measure(store_url: str, url: str, workers: int, rounds: int) -> None:
    store = open_store(store_url)
    ledger = Ledger(store, heartbeat_ms=3_600_000)
    for i in range(workers):
        await ledger.register(Register(worker_id=f"w{i}", generation=1, slots=1), "bench")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as client:
        times = []
        for _ in range(rounds):
            took, session_id = await allocate(client, url)
            times.append(took * 1000)
            await ledger.release(session_id, fence=None, reason="bench")
        cuts = statistics.quantiles(times, n=100)
        line = f"{workers} workers, {rounds} sequential: p50 {cuts[49]:.2f} p95 {cuts[94]:.2f} ms"
        print(line)  # noqa: T201
        burst = min(workers, rounds)
        began = time.perf_counter()
        done = await asyncio.gather(*(allocate(client, url) for _ in range(burst)))
        elapsed = time.perf_counter() - began
        assert len({session_id for _, session_id in done}) == burst
        held = [s for worker in await ledger.workers() for s in worker.sessions]
        assert len(held) == len(set(held)) == burst
        print(f"{burst} at once: {burst / elapsed:.0f} allocations/s, 0 doubles")  # noqa: T201
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=500)
    options = parser.parse_args()
    with EmbeddedValkey() as valkey, tempfile.TemporaryDirectory() as directory:
        process, url = start_orchestrator(valkey.url, directory)
        try:
            asyncio.run(measure(valkey.url, url, options.workers, options.rounds))
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
