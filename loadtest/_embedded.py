"""The embedded stack of a load test: started for a scenario, watched while it is loaded."""

from __future__ import annotations

import http.client
import logging
import time
import urllib.request
from collections.abc import Callable
from typing import Final

import gevent
import msgspec

from loadtest._meter import system_row
from loadtest._target import stack_config
from scenarios.model import Scenario
from system.protocol import tokens
from system.protocol.messages import WorkerView
from system.protocol.records import SystemRow
from system.stack import EmbeddedStack
from system.stack.errors import StackError

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
WORKERS_S: Final = 2.0
"""Deadline of the orchestrator's list of workers."""


class Embedded:
    """At most one embedded stack at a time; made by the process that owns the run."""

    def __init__(self) -> None:
        self._stack: EmbeddedStack | None = None

    def start(self, scenario: Scenario) -> tuple[str, str]:
        """Have a stack for ``scenario`` running; its address and secret.

        Raises:
            Refusal: the scenario asks for what it cannot do.
            StackError: it did not start.
        """
        if self._stack is None:
            stack = EmbeddedStack(stack_config(scenario))
            logger.info("stack.starting")
            stack.start()
            logger.info("stack.ready after %.1f s", stack.ready_s)
            self._stack = stack
        return self._stack.url, self._stack.secret

    def stop(self) -> None:
        """End the stack, where there is one."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.stop()

    def look_after(
        self, start_at: float, emit: Callable[[SystemRow], None], broke: Callable[[str], None]
    ) -> None:
        """Each second write down what the stack uses and what its pool holds; a greenlet's work."""
        stack = self._stack
        while stack is not None and stack is self._stack:
            began = time.monotonic()
            try:
                stack.check()
            except StackError as error:
                broke(f"the embedded stack broke: {error}")
                return
            for row in _rows(stack, began - start_at):
                emit(row)
            gevent.sleep(max(LOOK_EVERY_S - (time.monotonic() - began), 0.05))

    def renderer_and_encoder(self) -> tuple[str, str]:
        """What the workers render and encode with, as the orchestrator lists them."""
        workers = [] if self._stack is None else _workers(self._stack)
        renderers = sorted({worker.renderer for worker in workers if worker.renderer})
        encoders = sorted({worker.encoder for worker in workers if worker.encoder})
        return ", ".join(renderers) or "unknown", ", ".join(encoders) or "unknown"


def _rows(stack: EmbeddedStack, t_s: float) -> list[SystemRow]:
    snapshot = stack.pool_snapshot()
    rows = [
        system_row(use.node, use.role, t_s, cpu=use.cpu, rss_bytes=use.rss_bytes)
        for use in snapshot.processes
    ]
    pool = snapshot.pool
    if pool is not None:
        row = system_row("pool-default", "pool", t_s)
        row["ready"], row["booting"] = pool.ready, pool.booting
        row["busy"], row["stopped"] = pool.busy, pool.stopped
        rows.append(row)
    return rows


def _workers(stack: EmbeddedStack) -> list[WorkerView]:
    token = tokens.sign(
        tokens.Keys.from_secret(stack.secret),
        tokens.Audience.SERVICE,
        "loadtest",
        now_s=time.time(),
        ttl_s=tokens.SERVICE_TTL_S,
    )
    request = urllib.request.Request(
        f"{stack.orchestrator_url}/workers", headers={"Authorization": f"Bearer {token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=WORKERS_S) as response:
            return msgspec.json.decode(response.read(), type=list[WorkerView])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        return []
