"""One worker process, one viewer: start, join, CPU a frame, input to frame, idle cost.

    python tests/benchmarks/bench_worker_frames.py [--codec vp8] [--rate 10] [--seconds 8]

The viewer reassembles frames and decodes nothing. Joins include the viewer's own work: both
share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from worker_harness import FakeSignaling, Viewer  # noqa: E402

from system.media.marker import read_marker  # noqa: E402
from system.protocol import messages  # noqa: E402

JOINS = 6


async def main(codec: str, rate: float, seconds: float) -> None:
    signaling = FakeSignaling(heartbeat_s=2.0)
    await signaling.start()
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "system.worker", "--id", "w1", "--slots", "2"),
        *("--signaling", signaling.url, "--log-level", "warning"),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        await signaling.wait(messages.Register, timeout_s=30)
        say("start to registered", time.monotonic() - started, "s")
        joins = [await join(signaling, n, codec) for n in range(1, JOINS + 1)]
        say("offer to first frame, median", 1000 * statistics.median(t for _, t in joins), "ms")
        viewer = joins[-1][0]
        await measure(viewer, psutil.Process(process.pid), rate, seconds)
        await viewer.close()
    finally:
        process.terminate()
        await process.wait()
        await signaling.stop()


async def join(signaling: FakeSignaling, n: int, codec: str) -> tuple[Viewer, float]:
    """A viewer of a project of its own and its seconds to the first frame; only the last stays."""
    session_id = f"s{n}"
    fence = await signaling.assign(session_id, n, project_id=f"project-{n}")
    viewer = Viewer(signaling, session_id, codecs=(codec,))
    offered = time.monotonic()
    await viewer.join()
    first_s = viewer.frames[0].delivered_s - offered
    if n < JOINS:
        await signaling.send(messages.SessionEnded(session_id=session_id, fence=fence))
        await signaling.wait(messages.SessionEnded, session_id=session_id)
        await viewer.close()
    return viewer, first_s


async def measure(viewer: Viewer, worker: psutil.Process, rate: float, seconds: float) -> None:
    await asyncio.sleep(1)
    sent: dict[int, float] = {}
    frames, cpu_s, began = len(viewer.frames), used(worker), time.monotonic()
    while time.monotonic() - began < seconds:
        sent[viewer.send("camera:orbit", {"deltaX": 3, "deltaY": 0.3})] = time.monotonic()
        await asyncio.sleep(1 / rate)
    frames, cpu_s = len(viewer.frames) - frames, used(worker) - cpu_s
    took_s = time.monotonic() - began
    await asyncio.sleep(0.3)
    shown = {}
    for frame in viewer.frames:
        marker = read_marker(frame.data, frame.codec)
        if marker is not None:
            shown[marker.frame_id] = frame.delivered_s
    waits = sorted(shown[viewer.acks[q]] - at for q, at in sent.items() if q in viewer.acks)
    bits = 8 * sum(len(frame.data) for frame in viewer.frames[-frames:])
    say("frames", frames / took_s, "1/s")
    say("bitrate", bits / took_s / 1e6, "Mbit/s")
    say("CPU a frame", 1000 * cpu_s / frames, "ms")
    say("inputs acknowledged", 100 * len(waits) / len(sent), "%")
    say("input to frame, p50", 1000 * waits[len(waits) // 2], "ms")
    say("input to frame, p95", 1000 * waits[int(len(waits) * 0.95)], "ms")
    await asyncio.sleep(2)
    cpu_s = used(worker)
    await asyncio.sleep(3)
    say("idle", 100 * (used(worker) - cpu_s) / 3, "% of a core")
    say("memory", worker.memory_info().rss / 2**20, "MiB")


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def say(what: str, value: float, unit: str) -> None:
    print(f"{what:32}{value:10.2f} {unit}")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", choices=("h264", "vp8"), default="h264")
    parser.add_argument("--rate", type=float, default=60.0, help="inputs a second")
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    asyncio.run(main(options.codec, options.rate, options.seconds))
