# ruff: noqa: T201
"""How soon the embedded stack is warm, and how long joining it takes, on loopback.

    python tests/benchmarks/bench_stack_join.py [--joins 40] [--resolution 1280x720]

One viewer after the other joins a stack of two warm workers, sends ten inputs
and leaves. ``allocate`` runs from the open WebSocket to ``session-created``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.client.latency import InputSample
from system.media.rtc.ice import LOOPBACK
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

INPUTS = 10


def show(name: str, values: list[float], target: str = "") -> None:
    ranked = sorted(values)
    p50, p95 = (ranked[min(len(ranked) - 1, int(q * len(ranked)))] * 1e3 for q in (0.5, 0.95))
    print(f"{name:<32} p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  n {len(ranked)}  {target}")


async def view(url: str, samples: list[InputSample]) -> RemoteRenderClient:
    client = RemoteRenderClient(
        ClientConfig(url=f"{url}/ws", ice=LOOPBACK),
        Callbacks(on_second=lambda second, decided: samples.extend(decided)),
    )
    try:
        await client.connect("bench", "bench")
        for _ in range(INPUTS):
            client.send_camera_orbit(4.0, 1.0)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.2)
    finally:
        await client.disconnect()
    samples.extend(client.meter.take_inputs())
    return client


async def measure(stack: EmbeddedStack, joins: int) -> None:
    samples: list[InputSample] = []
    clients = [await view(stack.url, samples) for _ in range(joins)]
    show("join", [c.timeline.join_time_s for c in clients], "target p50 <= 250 ms")
    allocate = [c.timeline.phases_s()["allocate"] for c in clients]
    show("allocate to session-created", allocate, "target p95 <= 50 ms")
    show("input.to_frame", [s.value_s for s in samples if s.value_s is not None])
    print(f"inputs lost: {sum(s.lost for s in samples)} of {len(samples)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--joins", type=int, default=40)
    parser.add_argument("--resolution", default="1280x720")
    options = parser.parse_args()
    width, height = map(int, options.resolution.split("x"))
    for min_ready in (1, 2):
        config = StackConfig(
            pools=(PoolConfig(initial=2),),
            stream=StreamConfig(width, height),
            secret="",
            min_ready=min_ready,
        )
        with EmbeddedStack(config) as stack:
            print(f"{min_ready} of 2 workers warm after {stack.ready_s:.2f} s (target 1: <= 5 s)")
            if min_ready == 2:
                asyncio.run(measure(stack, options.joins))


if __name__ == "__main__":
    main()
