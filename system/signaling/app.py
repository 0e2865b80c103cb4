"""The aiohttp application of one signaling node: routes, what guards them, start and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from system.protocol.errors import ErrorCode
from system.protocol.messages import HealthStatus
from system.signaling import page
from system.signaling.client_endpoint import ClientEndpoint
from system.signaling.config import SignalingConfig
from system.signaling.node import Node
from system.signaling.orchestrator_client import OrchestratorClient
from system.signaling.origins import OriginPolicy, is_loopback
from system.signaling.worker_endpoint import WorkerEndpoint
from system.store.base import Store, StoreUnavailable
from system.telemetry.http import Health, error_middleware, health_routes, refused

NODE: Final = web.AppKey("node", Node)

_LISTEN_S: Final = 1.0
_DRAIN_S: Final = 2.0


def create_app(config: SignalingConfig, store: Store) -> web.Application:
    """A node that serves clients and workers; the store stays the caller's to close.

    Raises:
        ValueError: development mode on an address that others can reach.
    """
    if config.keys is None and not is_loopback(config.host):
        raise ValueError("without keys a signaling node serves loopback addresses alone")
    orchestrator = OrchestratorClient(config.orchestrator_url, config.node, config.keys)
    node = Node(config, store, orchestrator)
    clients, workers = ClientEndpoint(node), WorkerEndpoint(node)
    door = _Door(node, clients, workers)
    health = Health(
        "signaling", _checks(node), lambda: {"activeSessions": len(node.attached.clients)}
    )

    async def run(app: web.Application) -> AsyncIterator[None]:
        gap = asyncio.Event()
        async with orchestrator:
            node.feed_tasks.spawn(node.relay.listen(gap.set), name="relay")
            node.feed_tasks.spawn(clients.review(gap), name="review")
            try:
                async with asyncio.timeout(_LISTEN_S):
                    await node.relay.listening.wait()
            except TimeoutError:
                pass
            health.ready = True
            yield
            await node.tasks.drain(_DRAIN_S)
            await node.tasks.close()
            await node.feed_tasks.close()

    async def goodbye(app: web.Application) -> None:
        health.ready = False
        node.closing = True
        clients.close()
        workers.close()

    app = web.Application(middlewares=[error_middleware(StoreUnavailable)])
    app[NODE] = node
    app.cleanup_ctx.append(run)
    app.on_shutdown.append(goodbye)
    app.router.add_get("/", door.enter)
    app.router.add_get("/ws", door.enter)
    app.router.add_routes(health_routes(health, node.metrics.registry))
    app.router.add_routes(page.routes())
    return app


class _Door:
    """What every upgrade passes: origin, rate and number of connections."""

    def __init__(self, node: Node, clients: ClientEndpoint, workers: WorkerEndpoint) -> None:
        config = node.config
        self._node = node
        self._clients = clients
        self._workers = workers
        self._origins = OriginPolicy(config.origins, trust_host=config.keys is not None)
        self._open = 0

    async def enter(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return page.serve(request)
        node = self._node
        bounds = node.config.bounds
        if node.closing or self._open >= bounds.connections:
            return self._turn_away("full", ErrorCode.UNAVAILABLE, "this node is full")
        if not self._origins.allows(request.headers.get("Origin"), request.host):
            return self._turn_away("origin", ErrorCode.FORBIDDEN, "this origin is not allowed")
        now = asyncio.get_running_loop().time()
        if not node.addresses.take(request.remote or "", now):
            return self._turn_away("rate", ErrorCode.TOO_MANY, "too many connections")
        self._open += 1
        try:
            if request.query.get("type") == "worker":
                return await self._workers.serve(request)
            return await self._clients.serve(request)
        finally:
            self._open -= 1

    def _turn_away(self, why: str, code: ErrorCode, text: str) -> web.Response:
        self._node.metrics.rejected.labels(why).inc()
        return refused(code, text)


def _checks(node: Node) -> Any:
    async def check() -> dict[str, HealthStatus]:
        store, orchestrator = await asyncio.gather(
            _store_answers(node.store), node.orchestrator.alive()
        )
        return {
            "store": "healthy" if store else "unhealthy",
            "orchestrator": "healthy" if orchestrator else "unhealthy",
        }

    return check


async def _store_answers(store: Store) -> bool:
    try:
        async with asyncio.timeout(1.0):
            await store.now_ms()
    except (StoreUnavailable, TimeoutError):
        return False
    return True
