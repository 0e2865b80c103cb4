"""The whole stack at work: real store, sockets, WebRTC on loopback, rendered and encoded frames."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from stack_viewer import Viewer, gather_loopback_only

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.client.latency import InputSample
from system.media.rtc.ice import LOOPBACK
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

ROOT = Path(__file__).resolve().parents[2]
HEARTBEAT_S = 1.0
WORKERS = 2


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    config = StackConfig(
        pools=(PoolConfig(initial=WORKERS, max_workers=WORKERS),),
        stream=StreamConfig(width=640, height=360, fps=30, bitrate_bps=1_000_000),
        secret="",
        heartbeat_s=HEARTBEAT_S,
        min_ready=WORKERS,
    )
    with EmbeddedStack(config) as running:
        yield running


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", None)
    gather_loopback_only()


@pytest.fixture(autouse=True)
async def _free_pool(stack: EmbeddedStack) -> AsyncIterator[None]:
    """Every test begins with all workers ready, and must give them back."""
    await until(lambda: ready(stack) == WORKERS, 10, "the pool was not whole before the test")
    yield
    await until(lambda: ready(stack) == WORKERS, 10, "the test left the pool with less")


def ready(stack: EmbeddedStack) -> int:
    pool = stack.pool_snapshot().pool
    return -1 if pool is None else pool.ready


async def until(condition: Callable[[], bool], timeout_s: float, text: str) -> float:
    """Seconds until the condition held; it may block for milliseconds."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < began + timeout_s, text
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def sessions_held(stack: EmbeddedStack) -> list[str]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{stack.orchestrator_url}/workers") as answer,
    ):
        workers: list[dict[str, Any]] = await answer.json()
    return [session for worker in workers for session in worker["sessions"]]


async def test_the_documents_client_gets_a_picture(stack: EmbeddedStack) -> None:
    async with Viewer(stack.url) as viewer:
        created = await viewer.watch()
        assert created["workerId"] in stack.worker_pids()
        assert created["endpoint"]
        kinds = [message["type"] for _, message in viewer.messages]
        assert kinds.index("session-created") < kinds.index("answer")
        assert await sessions_held(stack) == [created["sessionId"]]
        await viewer.send({"type": "bye"})


async def test_an_input_is_acknowledged_with_the_frame_that_shows_it(stack: EmbeddedStack) -> None:
    async with Viewer(stack.url) as viewer:
        await viewer.watch()
        await until(lambda: viewer.channel.readyState == "open", 2, "the channel did not open")
        for seq in range(10):
            viewer.orbit(5.0, seq)
            await viewer.see(1)
        acknowledged = lambda: {  # noqa: E731
            seq for m in viewer.data if m["type"] == "input:ack" for seq in m["seqs"]
        }
        await until(lambda: acknowledged() == set(range(10)), 2, f"only {viewer.data}")
        frames = [m["frameId"] for m in viewer.data if m["type"] == "input:ack"]
        assert frames == sorted(frames)


async def test_the_measuring_client_joins_and_times_its_inputs(stack: EmbeddedStack) -> None:
    samples: list[InputSample] = []
    client = RemoteRenderClient(
        ClientConfig(url=f"{stack.url}/ws", ice=LOOPBACK, fps=30),
        Callbacks(on_second=lambda second, decided: samples.extend(decided)),
    )
    try:
        await client.connect("ada", "p1")
        assert client.worker_id in stack.worker_pids()
        for _ in range(20):
            assert client.send_camera_orbit(4.0, 1.0)
            await asyncio.sleep(0.05)
        await until(lambda: len(samples) >= 20, 4, "inputs without a verdict")
    finally:
        await client.disconnect()
    assert client.timeline.join_time_s < 2
    phases = client.timeline.phases_s()
    assert sum(phases.values()) == pytest.approx(client.timeline.join_time_s)
    times = [sample.value_s for sample in samples if sample.value_s is not None]
    assert len(times) >= 19
    assert 0 < statistics.median(times) < 0.15


async def test_a_killed_worker_is_told_at_once_and_replaced(stack: EmbeddedStack) -> None:
    async with Viewer(stack.url) as viewer:
        created = await viewer.watch()
        before = stack.worker_pids()
        os.kill(before[created["workerId"]], signal.SIGKILL)
        killed = time.monotonic()
        error = await viewer.expect("error", 1.0)
        assert (error["code"], error["retryable"]) == ("worker_lost", True)
        await viewer.expect("session-ended", 1.0)
        assert await viewer.closed(1.0) == 4410
        assert time.monotonic() - killed < 1.0
    await until(lambda: ready(stack) == WORKERS, 10, "the pool was not refilled")
    after = stack.worker_pids()
    assert len(after) == WORKERS
    assert before[created["workerId"]] not in after.values()
    assert await sessions_held(stack) == []


async def test_a_killed_client_frees_its_worker_in_a_second(stack: EmbeddedStack) -> None:
    """Its system closes its sockets; only one that vanishes with them takes two heartbeats."""
    script = str(Path(__file__).with_name("stack_viewer.py"))
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        stack.url,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert client.stdout is not None
        created = json.loads(await asyncio.wait_for(client.stdout.readline(), 15))
        assert await sessions_held(stack) == [created["sessionId"]]
    finally:
        client.kill()
        await client.wait()
    took = await until(lambda: ready(stack) == WORKERS, 10, "the worker was never free again")
    assert took <= 1.25
    assert await sessions_held(stack) == []


async def test_what_a_peer_must_not_send_is_one_typed_error_and_harms_nobody(
    stack: EmbeddedStack,
) -> None:
    async with Viewer(stack.url, user="good") as good:
        await good.watch()
        async with Viewer(stack.url, user="bad") as bad:
            await bad.watch()
            for text, code in (
                ("{not json", "bad_message"),
                ("[" * 6000, "bad_message"),
                ('{"type": "fly"}', "unknown_type"),
                ('{"type": "offer", "sdp": 7}', "bad_message"),
            ):
                seen = len(bad.said("error"))
                await bad.ws.send_str(text)
                await until(lambda n=seen: len(bad.said("error")) > n, 2, f"nothing for {text}")  # type: ignore[misc]
                assert bad.said("error")[-1]["code"] == code
            count = len(bad.said("error"))
            await bad.see(2)
            assert len(bad.said("error")) == count == 4
            await bad.ws.send_str("x" * 70_000)
            assert await bad.closed() == 1009
        await good.see(3)
        assert good.said("error") == []


async def test_without_user_or_project_the_socket_closes_with_1008(stack: EmbeddedStack) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{stack.url}/ws?userId=a") as ws:
        await asyncio.wait_for(ws.receive(), 2)
        assert ws.close_code == 1008


async def test_a_third_viewer_waits_until_a_worker_is_free(stack: EmbeddedStack) -> None:
    async with Viewer(stack.url, user="a") as first, Viewer(stack.url, user="b") as second:
        await first.watch()
        await second.watch()
        async with Viewer(stack.url, user="c") as third:
            await third.offer()
            assert (await third.expect("queued"))["position"] == 1
            assert third.said("session-created") == []
            await first.send({"type": "bye"})
            await third.expect("session-created", 2)
            await third.see(1)
