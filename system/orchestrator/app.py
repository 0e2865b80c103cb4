"""The orchestrator's HTTP interface: thin handlers over Orchestrator."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from system.orchestrator.openapi import DOCUMENT, MAX_DIGITS
from system.orchestrator.pools import BadPool
from system.orchestrator.service import Orchestrator
from system.protocol import codec, limits, tokens
from system.protocol.errors import BadMessage, ErrorCode
from system.protocol.messages import Allocated, Ticket
from system.store.base import StoreUnavailable
from system.telemetry import logs
from system.telemetry.http import (
    Health,
    HttpRefusal,
    bearer,
    error_middleware,
    health_routes,
    json_response,
    read_body,
)

OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/health", "/metrics", "/openapi.json"})
"""Answered without a token; nothing there is about a session."""

DRAIN_MS: Final = 30_000

_log = logs.get(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(orchestrator: Orchestrator, keys: tokens.Keys | None) -> web.Application:
    """The application; it runs the orchestrator from start-up to clean-up.

    Args:
        keys: check service tokens with these; None is development mode, no tokens.
    """
    app = web.Application(
        middlewares=[error_middleware(StoreUnavailable), _service_only(keys)],
        client_max_size=limits.MAX_MESSAGE_BYTES,
    )
    health = Health("orchestrator", orchestrator.health)
    app.add_routes(health_routes(health, orchestrator.metrics.registry))
    app.add_routes(_routes(orchestrator))

    async def running(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(orchestrator.run(), name="orchestrator")
        task.add_done_callback(_died)
        health.ready = True
        yield
        health.ready = False
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await orchestrator.store.close()

    app.cleanup_ctx.append(running)
    return app


def _died(task: asyncio.Task[None]) -> None:
    """An orchestrator that has stopped deciding must not go on answering."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.exception("orchestrator.failed", error)
        raise SystemExit(1)


def _service_only(keys: tokens.Keys | None) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if keys is not None and request.path not in OPEN_PATHS:
            tokens.verify(keys, tokens.Audience.SERVICE, bearer(request), now_s=time.time())
        return await handler(request)

    return middleware


def _routes(orchestrator: Orchestrator) -> list[web.RouteDef]:
    allocator = orchestrator.allocator

    async def allocate(request: web.Request) -> web.Response:
        return _answer(await allocator.allocate(await read_body(request, codec.allocate_request)))

    async def wait(request: web.Request) -> web.Response:
        wait_ms = _whole(request, "waitMs") or 0
        position = _whole(request, "position")
        ticket = request.match_info["ticket"]
        return _answer(await allocator.wait(ticket, wait_ms / 1000, position))

    async def abandon(request: web.Request) -> web.Response:
        await allocator.abandon(request.match_info["ticket"])
        return web.Response(status=204)

    async def release(request: web.Request) -> web.Response:
        await allocator.release(await read_body(request, codec.release_request))
        return web.Response(status=204)

    async def drain(request: web.Request) -> web.Response:
        deadline_ms = _whole(request, "deadlineMs")
        if not await orchestrator.drain(
            request.match_info["worker_id"], DRAIN_MS if deadline_ms is None else deadline_ms
        ):
            raise HttpRefusal(ErrorCode.NOT_FOUND, "no such worker is serving")
        return web.Response(status=204)

    async def workers(request: web.Request) -> web.Response:
        return json_response(await orchestrator.worker_views())

    async def pools(request: web.Request) -> web.Response:
        return json_response(orchestrator.pool_views())

    async def change_pool(request: web.Request) -> web.Response:
        pool = orchestrator.pools.get(request.match_info["name"])
        if pool is None:
            raise HttpRefusal(ErrorCode.NOT_FOUND, "no such pool")
        patch = await read_body(request, codec.pool_patch)
        try:
            await pool.change_policy(patch.policy, patch.max_workers)
        except BadPool as error:
            raise BadMessage(str(error)) from None
        views = {view.name: view for view in orchestrator.pool_views()}
        return json_response(views[pool.spec.name])

    async def openapi(request: web.Request) -> web.Response:
        return json_response(DOCUMENT)

    return [
        web.post("/allocate", allocate),
        web.get("/tickets/{ticket}", wait),
        web.delete("/tickets/{ticket}", abandon),
        web.post("/release", release),
        web.post("/workers/{worker_id}/drain", drain),
        web.get("/workers", workers),
        web.get("/pools", pools),
        web.patch("/pools/{name}", change_pool),
        web.get("/openapi.json", openapi),
    ]


def _answer(answer: Allocated | Ticket) -> web.Response:
    return json_response(answer, status=200 if isinstance(answer, Allocated) else 202)


def _whole(request: web.Request, name: str) -> int | None:
    """A whole number of the query, None where it is absent."""
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_DIGITS:
        raise BadMessage(f"{name} must be a whole number of at most {MAX_DIGITS} digits")
    return int(text)
