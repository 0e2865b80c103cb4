"""The owner of background tasks: started by name, awaited at the end, retried where asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)


class Tasks:
    """Tasks that outlive the call that started them; ``close`` ends and awaits them all."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run ``work``; what it raises is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def errand(
        self, work: Callable[[], Awaitable[object]], *, name: str, patience_s: float
    ) -> asyncio.Task[None]:
        """Run ``work`` until the store takes it, for up to ``patience_s``."""
        return self.spawn(_retried(work, name, patience_s), name=name)

    async def drain(self, deadline_s: float) -> None:
        """Give what runs up to ``deadline_s`` to finish by itself."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=deadline_s)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        running = set(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._running)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.exception("task.failed", error, task=task.get_name())


async def _retried(work: Callable[[], Awaitable[object]], name: str, patience_s: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    pause_s = 0.1
    while True:
        try:
            await work()
        except StoreUnavailable:
            if loop.time() + pause_s > until:
                log.warning("errand.abandoned", task=name)
                return
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2.0, pause_s * 2)
        else:
            return
