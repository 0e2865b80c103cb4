"""Owns the threads that render and encode, and the renderers, for all sessions of the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from system.media.renderers.base import Renderer
from system.media.renderers.chain import open_renderer

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS: Final = 2
CHAINS: Final[dict[str, tuple[str, ...]]] = {
    "auto": ("egl", "tinydisplay", "painter"),
    "egl": ("egl",),
    "tinydisplay": ("tinydisplay",),
    "painter": ("painter",),
}


class RenderPool:
    """A few threads, handed out in order of asking, and one renderer for each slot.

    A job begins as soon as ``turn`` is entered, never behind another in an
    executor's queue: what it shows, and its capture time, are of that moment.
    """

    def __init__(self, width: int, height: int, renderer: str, slots: int) -> None:
        threads = min(MAX_THREADS, os.cpu_count() or 1)
        self.width = width
        self.height = height
        self._chain = CHAINS[renderer]
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="render")
        self._turns = asyncio.Semaphore(threads)
        self._shelf: list[Renderer] = []
        self._borrowed = asyncio.Semaphore(slots)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free thread; inside, one ``run`` begins at once."""
        async with self._turns:
            yield

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread. When cancelled, still waits until the thread is done with it."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            with contextlib.suppress(Exception):
                future.result()
            raise

    @contextlib.asynccontextmanager
    async def renderer(self) -> AsyncIterator[Renderer]:
        """Borrow a renderer, at most one per slot; raises RendererUnavailable.

        They are kept open: opening one costs more than a frame, and leaving
        one session's scene for the next costs no more than what differs.
        """
        async with self._borrowed:
            if self._shelf:
                renderer = self._shelf.pop()
            else:
                async with self.turn():
                    renderer = await self.run(open_renderer, self.width, self.height, self._chain)
            try:
                yield renderer
            finally:
                self._shelf.append(renderer)

    def close(self) -> None:
        """Free renderers and threads; no session may use them any more."""
        for renderer in self._shelf:
            renderer.close()
        self._shelf.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)
