"""How long the embedded stack takes to be ready, and a viewer to see something.

Absolute times are printed and not judged: shared machines swing by a factor of two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import numpy as np
import pytest
from conftest import Book
from pytest_benchmark.fixture import BenchmarkFixture

from system.client.client import RemoteRenderClient
from system.client.config import ClientConfig
from system.client.signaling import SignalingSocket
from system.media.rtc.ice import LOOPBACK
from system.protocol.messages import Bye, SessionCreated
from system.protocol.metrics import JOIN_PHASES
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

JOINS = 20
WORKERS = 2
PROJECT = "benchmark"


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    config = StackConfig(
        pools=(PoolConfig(initial=WORKERS, max_workers=WORKERS),),
        stream=StreamConfig(width=1280, height=720, fps=30, bitrate_bps=2_500_000),
        secret="",
        min_ready=1,
    )
    with EmbeddedStack(config) as running:
        deadline = time.monotonic() + 15
        while not (pool := running.pool_snapshot().pool) or pool.ready < WORKERS:
            assert time.monotonic() < deadline, "the second worker is not ready"
            time.sleep(0.05)
        yield running


def _percentiles(values_s: list[float]) -> tuple[float, float]:
    """p50 and p95 in milliseconds."""
    p50, p95 = np.percentile(values_s, [50, 95])
    return 1e3 * float(p50), 1e3 * float(p95)


@pytest.mark.benchmark(group="join")
def test_first_frame_on_a_warm_worker(
    benchmark: BenchmarkFixture, book: Book, stack: EmbeddedStack
) -> None:
    config = ClientConfig(url=stack.url, ice=LOOPBACK, tier="decode")
    clients: list[RemoteRenderClient] = []

    async def create() -> None:
        clients.append(RemoteRenderClient(config))

    with asyncio.Runner() as runner:
        benchmark.pedantic(
            lambda: runner.run(clients[-1].connect("benchmark", PROJECT)),
            setup=lambda: runner.run(create()),
            teardown=lambda: runner.run(clients[-1].disconnect()),
            rounds=JOINS,
            warmup_rounds=1,
        )

    phases = [client.timeline.phases_s() for client in clients[-JOINS:]]
    assert len(phases) == JOINS
    whole = _percentiles([sum(each.values()) for each in phases])
    by_phase = {name: _percentiles([each[name] for each in phases]) for name in JOIN_PHASES}
    book.table(
        f"Join on a warm worker, {JOINS} one after the other: connect to first decoded frame",
        ("", "p50", "p95"),
        [
            (name, f"{p50:.1f} ms", f"{p95:.1f} ms")
            for name, (p50, p95) in (("join", whole), *by_phase.items())
        ],
    )
    book.note(f"embedded stack, first worker ready: {stack.ready_s:.2f} s")
    benchmark.extra_info.update(stack_ready_s=stack.ready_s, join_p50_ms=whole[0])
    book.keep(
        "join",
        {"stack_ready_s": stack.ready_s, "joins": JOINS, "join_ms": whole, "phases_ms": by_phase},
    )


async def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


@pytest.mark.benchmark(group="join")
def test_session_created_after_allocation(
    benchmark: BenchmarkFixture, book: Book, stack: EmbeddedStack
) -> None:
    """From the WebSocket's opening, which makes signaling ask ``/allocate``, to its answer."""
    waits: list[float] = []

    async def allocate(http: aiohttp.ClientSession) -> None:
        socket = await SignalingSocket.open(http, stack.url, "benchmark", PROJECT, None)
        began = time.monotonic()
        async with asyncio.timeout(10):
            answer = await socket.receive()
        waits.append(time.monotonic() - began)
        await socket.send(Bye())
        await socket.close()
        assert isinstance(answer, SessionCreated)

    with asyncio.Runner() as runner:
        http = runner.run(_http())
        benchmark.pedantic(lambda: runner.run(allocate(http)), rounds=JOINS, warmup_rounds=1)
        runner.run(http.close())

    waits = waits[-JOINS:]
    assert len(waits) == JOINS
    p50, p95 = _percentiles(waits)
    book.table(
        "Allocation: WebSocket open to session-created",
        ("", "p50", "p95"),
        [("session-created", f"{p50:.1f} ms", f"{p95:.1f} ms")],
    )
    benchmark.extra_info.update(session_created_p50_ms=p50, session_created_p95_ms=p95)
    book.keep("allocation", {"count": JOINS, "p50_ms": p50, "p95_ms": p95})
