# ruff: noqa: T201
"""What a headless client costs, and what it adds to latency, at 720p30 2.5 Mb/s on loopback.

    python tests/benchmarks/bench_client_receive.py --clients 20 --seconds 15 [--tier decode]

A sender process streams a pre-encoded clip; a helper process hosts the clients;
the helper's own health reports say what it used. Then one client in this process
says how old a frame is when it is delivered: both ends read the same monotonic
clock. Print medians of one run; compare only with a run on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "integration")]

import fake_streamer  # noqa: E402

from system.client.client import RemoteRenderClient  # noqa: E402
from system.client.config import Callbacks, ClientConfig  # noqa: E402
from system.client.histogram import LogHistogram  # noqa: E402
from system.client.hostproto import (  # noqa: E402
    Drain,
    Drained,
    Ended,
    Health,
    Ice,
    InputMix,
    Joined,
    Run,
    Start,
)
from system.client.hosts import HelperProcess  # noqa: E402
from system.media.marker import FrameMarker  # noqa: E402
from system.media.rtc.assembler import ReceivedFrame  # noqa: E402
from system.media.rtc.ice import LOOPBACK  # noqa: E402

BITRATE = 2_500_000


def clip(seconds: int = 4) -> list[tuple[bytes, bool]]:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 1280, 720, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.bit_rate, context.gop_size, context.thread_count = BITRATE, 10_000, 1
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "maxrate": str(BITRATE),
        "bufsize": str(BITRATE // 5),
        "nal-hrd": "cbr",
        "x264-params": "filler=1:nal-hrd=cbr",
    }
    rng = np.random.default_rng(3)
    field = cv2.GaussianBlur(rng.integers(0, 255, (900, 1700), dtype=np.uint8), (0, 0), 3)
    units = []
    for i in range(30 * seconds):
        luma = field[i % 150 : i % 150 + 720, 2 * i % 400 : 2 * i % 400 + 1280]
        chroma = np.full((360, 1280), 128, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(np.vstack([luma, chroma]), format="yuv420p")
        frame.pts = i
        units += [(bytes(packet), packet.is_keyframe) for packet in context.encode(frame)]
    return units


async def serve() -> None:
    fake_streamer.CLIP = clip()
    rate = 8 * sum(len(data) for data, _ in fake_streamer.CLIP) / (len(fake_streamer.CLIP) / 30)
    async with fake_streamer.streaming(fake_streamer.Script(fps=30)) as streamer:
        print(f"{streamer.url} {rate:.0f}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def hosted(server: psutil.Process, url: str, clients: int, seconds: float, tier: str) -> None:
    helper = HelperProcess()
    helper.send(Run(epoch=time.time()))
    for i in range(clients):
        helper.send(
            Start(
                id=f"c{i}",
                user_id="u",
                project_id="p",
                url=url,
                tier=tier,  # type: ignore[arg-type]
                scheduled_at=time.time() + 0.1 * i,
                seed=i,
                ice=Ice(addresses=("127.0.0.1",)),
                input=InputMix(10.0),
            )
        )
    joined, cpu, lag, drops, rss = 0, [], [], 0, 0
    ended: list[Ended] = []
    until = float("inf")
    for event in helper.events():
        if isinstance(event, Joined):
            joined += 1
            if joined == clients:
                until = time.monotonic() + seconds + 2
                began, before = time.monotonic(), server.cpu_times()
        elif isinstance(event, Health):
            if joined == clients and time.monotonic() < until:
                cpu.append(event.cpu)
                lag.append(event.loop_lag_s)
                drops += event.udp_drops
                rss = event.rss_bytes
            if time.monotonic() > until:
                until = float("inf")
                helper.send(Drain())
        elif isinstance(event, Ended):
            ended.append(event)
        elif isinstance(event, Drained):
            break
    times, lasted = server.cpu_times(), time.monotonic() - began
    used = times.user + times.system - before.user - before.system
    print(f"sender: {used / lasted / clients:.4f} CPU s per client-second")
    helper.close()
    cpu, lag = cpu[2:], lag[2:]
    sums = [e.summary for e in ended]
    latency, fps = LogHistogram(), LogHistogram()
    for summary in sums:
        latency.merge(LogHistogram.from_json(summary["histograms"]["input.to_frame"]))
        fps.merge(LogHistogram.from_json(summary["histograms"]["video.fps"]))
    print(
        f"{tier}: {clients} clients, {len(cpu)} s: {statistics.median(cpu) / clients:.4f} "
        f"CPU s per client-second, helper {statistics.median(cpu):.2f} cores, "
        f"{rss / 2**20:.0f} MiB, loop lag p50 {1000 * statistics.median(lag):.1f} ms "
        f"max {1000 * max(lag):.1f} ms, drops {drops}"
    )
    print(
        f"  fps p50 {fps.quantile(0.5):.1f} p05 {fps.quantile(0.05):.1f}, packets lost "
        f"{sum(s['packets_lost'] for s in sums)} of {sum(s['packets_received'] for s in sums)}, "
        f"freezes {sum(s['freeze_count'] for s in sums)}, inputs lost "
        f"{sum(s['inputs_lost'] for s in sums)} of {sum(s['inputs_sent'] for s in sums)}, "
        f"input to next 30 fps frame p50 {1000 * latency.quantile(0.5):.1f} ms "
        f"p95 {1000 * latency.quantile(0.95):.1f} ms"
    )


async def age(url: str, seconds: float) -> None:
    ages: list[float] = []

    def on_frame(frame: ReceivedFrame, marker: FrameMarker | None) -> None:
        if marker is not None:
            ages.append(frame.delivered_s - marker.capture_time_us / 1e6)

    client = RemoteRenderClient(ClientConfig(url, ice=LOOPBACK), Callbacks(on_frame=on_frame))
    await client.connect("u", "p")
    await asyncio.sleep(seconds)
    await client.disconnect()
    ages.sort()
    print(
        f"age of a frame when delivered (marking, sending, receiving): p50 "
        f"{1000 * ages[len(ages) // 2]:.2f} ms p95 {1000 * ages[len(ages) * 95 // 100]:.2f} ms "
        f"of {len(ages)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--tier", choices=("frames", "decode"), default="frames")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url, rate = server.stdout.readline().split()
        print(f"clip: {float(rate) / 1e6:.2f} Mb/s")
        process = psutil.Process(server.pid)
        hosted(process, url, arguments.clients, arguments.seconds, arguments.tier)
        asyncio.run(age(url, 5))
    finally:
        server.communicate()


if __name__ == "__main__":
    main()
