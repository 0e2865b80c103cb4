"""Owns the worker's Prometheus metrics: the tally, read when it is scraped."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from system.protocol.messages import HealthStatus
from system.telemetry.http import Health, health_routes
from system.telemetry.metrics import NAMESPACE, new_registry
from system.worker.agent import Agent
from system.worker.tally import Tally

HOST: Final = "127.0.0.1"

_COUNTERS: Final = {
    "frames": ("frames", "Frames rendered and encoded."),
    "frames_unsent": ("frames_unsent", "Frames that did not reach the network."),
    "keyframes": ("keyframes", "Key frames."),
    "payload_bytes": ("payload_bytes", "Encoded bytes sent, without retransmissions."),
    "render_s": ("render_seconds", "Time spent rendering."),
    "encode_s": ("encode_seconds", "Time spent encoding."),
    "inputs": ("inputs", "Inputs applied to scenes."),
    "malformed": ("malformed_messages", "Data channel messages that were ignored."),
    "refused": ("refused_inputs", "Inputs that did not fit the scene."),
    "channel_overflows": ("channel_overflows", "Messages to viewers that did not read."),
    "edits": ("edits", "Edits sent to the project's log."),
    "sessions": ("sessions", "Sessions begun."),
    "stale_commands": ("stale_commands", "Assignments and commands refused by their fence."),
    "reconnects": ("reconnects", "Registrations after the first."),
}


class WorkerCollector(Collector):
    """Reads an agent's figures at each scrape: counting costs a frame nothing."""

    def __init__(self, tally: Tally, agent: Agent) -> None:
        self._tally = tally
        self._agent = agent

    def collect(self) -> Iterator[Metric]:
        for field, (name, text) in _COUNTERS.items():
            full_name = f"{NAMESPACE}_worker_{name}"
            yield CounterMetricFamily(full_name, text, value=getattr(self._tally, field))
        slots = self._agent.slots
        gauge = GaugeMetricFamily
        yield gauge(f"{NAMESPACE}_worker_slots", "Slots.", value=slots.limit)
        yield gauge(f"{NAMESPACE}_worker_slots_used", "Slots in use.", value=len(slots.sessions))
        yield gauge(
            f"{NAMESPACE}_worker_registered",
            "Whether signaling knows this worker.",
            value=float(self._agent.registered),
        )


def registry_of(agent: Agent, node: str) -> CollectorRegistry:
    registry = new_registry("worker", node)
    registry.register(WorkerCollector(agent.tally, agent))
    return registry


@contextlib.asynccontextmanager
async def serving(agent: Agent, node: str, port: int) -> AsyncIterator[int]:
    """Serve ``/metrics`` and health on a loopback port, 0 for any; the port it is.

    Raises OSError if it is taken.
    """

    async def check() -> dict[str, HealthStatus]:
        return {"signaling": "healthy" if agent.registered else "degraded"}

    app = web.Application()
    health = Health(role="worker", check=check, ready=True)
    app.add_routes(health_routes(health, registry_of(agent, node)))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
