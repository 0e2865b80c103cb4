"""Measures one signaling process: handshakes per second and relay latency, over real sockets.

    PYTHONPATH=. python tests/benchmarks/signaling_relay.py [CLIENTS] [SECONDS]

The node runs alone in a process, with tokens and a Valkey store; clients,
workers and the orchestrator share this one, so the figures are bounds from
below on a machine with few cores. CPU is the node's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import psutil
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from signaling_harness import Orchestrator

from system.protocol.tokens import Audience, Keys, sign
from system.store.base import open_store
from system.store.valkey import EmbeddedValkey

SECRET = "b" * 32
HANDSHAKES = 1000
AT_ONCE = 32
RATE_PER_S = 5.0
JOIN_S = 30.0


class Load:
    """Clients and workers of one run, and what they measured."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.keys = Keys.from_secret(SECRET)
        self.one_way_s: list[float] = []
        self.round_trip_s: list[float] = []
        self.unanswered = 0
        self.joined = asyncio.Event()

    def headers(self, audience: Audience, subject: str) -> dict[str, str]:
        token = sign(self.keys, audience, subject, now_s=time.time(), ttl_s=60)
        return {"Authorization": f"Bearer {token}"}

    async def handshakes(self) -> float:
        """Upgrades with a token, answered ping and close, per second."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(n: int) -> None:
            headers = self.headers(Audience.CLIENT, f"h{n}")
            url = f"{self.url}/?userId=h{n}&projectId=p&resume=1"
            async with gate, self.http.ws_connect(url, headers=headers) as ws:
                await ws.close()

        started = time.perf_counter()
        await asyncio.gather(*(one(n) for n in range(HANDSHAKES)))
        return HANDSHAKES / (time.perf_counter() - started)

    async def worker(self, name: str, slots: int) -> None:
        headers = self.headers(Audience.WORKER, name)
        async with self.http.ws_connect(f"{self.url}/ws?type=worker", headers=headers) as ws:
            await _send(ws, type="register", workerId=name, generation=1, slots=slots)
            held: dict[str, object] = {}
            beats = asyncio.create_task(_beat(ws, held))
            try:
                async for frame in ws:
                    message = msgspec.json.decode(frame.data)
                    session_id = message.get("sessionId")
                    if message["type"] == "session-assigned":
                        held[session_id] = message["fence"]
                        for kind in ("session-confirmed", "session-active"):
                            await _send(ws, type=kind, sessionId=session_id, fence=message["fence"])
                    elif message["type"] == "offer":
                        sent_at = message["sdp"]["sdp"]
                        if sent_at != "0":
                            self.one_way_s.append(time.perf_counter() - float(sent_at))
                        await _send(
                            ws,
                            type="answer",
                            sessionId=session_id,
                            negotiation=message["negotiation"],
                            sdp={"type": "answer", "sdp": sent_at},
                        )
            finally:
                beats.cancel()

    async def client(self, n: int, start: asyncio.Event, stop_at: list[float]) -> None:
        headers = self.headers(Audience.CLIENT, f"u{n}")
        url = f"{self.url}/?userId=u{n}&projectId=p{n % 10}"
        async with self.http.ws_connect(url, headers=headers) as ws:
            await _offer(ws, 1, "0")
            reader = asyncio.create_task(self._read(ws))
            await start.wait()
            await asyncio.sleep(n / 100 / RATE_PER_S)
            negotiation = 1
            while time.perf_counter() < stop_at[0]:
                negotiation += 1
                await _offer(ws, negotiation, repr(time.perf_counter()))
                await asyncio.sleep(1 / RATE_PER_S)
            await _send(ws, type="bye")
            await reader

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in ws:
            message = msgspec.json.decode(frame.data)
            if message["type"] == "answer":
                sent_at = message["sdp"]["sdp"]
                if sent_at == "0":
                    self.unanswered -= 1
                    if not self.unanswered:
                        self.joined.set()
                else:
                    self.round_trip_s.append(time.perf_counter() - float(sent_at))


async def _send(ws: aiohttp.ClientWebSocketResponse, **message: object) -> None:
    await ws.send_str(msgspec.json.encode(message).decode())


async def _offer(ws: aiohttp.ClientWebSocketResponse, negotiation: int, text: str) -> None:
    await _send(ws, type="offer", negotiation=negotiation, sdp={"type": "offer", "sdp": text})


async def _beat(ws: aiohttp.ClientWebSocketResponse, held: dict[str, object]) -> None:
    while True:
        sessions = [{"sessionId": s, "fence": f} for s, f in held.items()]
        await _send(ws, type="heartbeat", sessions=sessions)
        await asyncio.sleep(1)


def _quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000


def _start(store_url: str, orchestrator_port: int) -> tuple[subprocess.Popen[bytes], int]:
    ready, write = os.pipe()
    argv = [sys.executable, "-m", "system.signaling", "--node", "bench", "--log-level", "warning"]
    argv += ["--store", store_url, "--ready-fd", str(write)]
    argv += ["--orchestrator", f"http://127.0.0.1:{orchestrator_port}"]
    node = subprocess.Popen(argv, pass_fds=(write,), env={**os.environ, "RR_SECRET": SECRET})
    os.close(write)
    return node, ready


async def measure(clients: int, seconds: float, valkey: EmbeddedValkey) -> None:
    store = open_store(valkey.url)
    orchestrator = web.AppRunner(Orchestrator(store).app, access_log=None)
    await orchestrator.setup()
    await web.TCPSite(orchestrator, "127.0.0.1", 0).start()
    node, ready = _start(valkey.url, orchestrator.addresses[0][1])
    try:
        with os.fdopen(ready) as told:
            port = json.loads(await asyncio.to_thread(told.readline))["port"]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            await _load(Load(http, f"http://127.0.0.1:{port}"), clients, seconds, node.pid)
    finally:
        node.terminate()
        node.wait(10)
        await orchestrator.cleanup()
        await store.close()


async def _load(load: Load, clients: int, seconds: float, pid: int) -> None:
    process = psutil.Process(pid)

    def cpu_s() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before_s = cpu_s()
    rate = await load.handshakes()
    each_ms = (cpu_s() - before_s) / HANDSHAKES * 1000
    print(f"handshakes/s {rate:.0f} (node CPU {each_ms:.2f} ms each)")  # noqa: T201
    before_bytes = process.memory_info().rss
    workers = [asyncio.create_task(load.worker(f"w{n}", clients)) for n in range(2)]
    start, stop_at = asyncio.Event(), [0.0]
    load.unanswered = clients
    joined = time.perf_counter()
    running = [asyncio.create_task(load.client(n, start, stop_at)) for n in range(clients)]
    async with asyncio.timeout(JOIN_S):
        await load.joined.wait()
    join_s = time.perf_counter() - joined
    each_kib = (process.memory_info().rss - before_bytes) / clients / 1024
    print(f"joins/s {clients / join_s:.0f}, {each_kib:.0f} KiB a client")  # noqa: T201
    stop_at[0] = time.perf_counter() + seconds
    before_s = cpu_s()
    start.set()
    await asyncio.gather(*running)
    for name, values in (("one way", load.one_way_s), ("round trip", load.round_trip_s)):
        print(  # noqa: T201
            f"{name}: n {len(values)}, p50 {_quantile(values, 0.5):.2f} ms, "
            f"p99 {_quantile(values, 0.99):.2f} ms"
        )
    relayed = len(load.one_way_s) + len(load.round_trip_s)
    print(f"node CPU {(cpu_s() - before_s) / relayed * 1e6:.0f} us a relayed message")  # noqa: T201
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    valkey = EmbeddedValkey()
    valkey.start()
    try:
        asyncio.run(measure(clients, seconds, valkey))
    finally:
        valkey.stop()


if __name__ == "__main__":
    main()
