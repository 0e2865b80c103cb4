"""Workers die and hang under streaming viewers; their sessions go on. Everything is real."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.media.project import Project, move
from system.media.rtc.ice import LOOPBACK
from system.protocol.channels import State
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

HEARTBEAT_S = 1.0
WORKERS = 3
KILLS = 10

TOLD_S = 0.5
FOUND_S = 1.5 * HEARTBEAT_S + 0.5
"""A worker that hangs is found within this."""

FRAME_S = 5.0


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    config = StackConfig(
        pools=(PoolConfig(initial=WORKERS, max_workers=WORKERS),),
        stream=StreamConfig(width=640, height=360, fps=30, bitrate_bps=1_000_000),
        secret="",
        renderer="painter",  # it boots fastest, and this is about booting often
        heartbeat_s=HEARTBEAT_S,
        min_ready=WORKERS,
    )
    with EmbeddedStack(config) as running:
        yield running


@pytest.fixture(autouse=True)
async def _whole_pool(stack: EmbeddedStack) -> AsyncIterator[None]:
    """Every test begins with all workers ready, and must give them back."""
    await whole(stack, "the pool was not whole before the test")
    yield
    await whole(stack, "the test left the pool with less")


def ready(stack: EmbeddedStack) -> int:
    pool = stack.pool_snapshot().pool
    return -1 if pool is None else pool.ready


async def until(condition: Callable[[], bool], timeout_s: float, text: str) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_s, text
        await asyncio.sleep(0.01)


async def whole(stack: EmbeddedStack, text: str) -> None:
    """All workers are ready, and no session has a slot."""
    began = time.monotonic()
    while await asyncio.to_thread(ready, stack) != WORKERS:
        assert time.monotonic() < began + 20, text
        await asyncio.sleep(0.05)
    assert await holders(stack) == {}


async def holders(stack: EmbeddedStack) -> dict[str, str]:
    """Worker by session, as the store has it."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{stack.orchestrator_url}/workers") as answer,
    ):
        workers: list[dict[str, Any]] = await answer.json()
    held = [(session, w["workerId"]) for w in workers for session in w["sessions"]]
    assert len(dict(held)) == len(held), "a session has two slots"
    return dict(held)


class Viewer:
    """A measuring client that notes when it was told what."""

    def __init__(self, stack: EmbeddedStack, name: str, project: str) -> None:
        self.name, self.project = name, project
        self.replaced_s: list[float] = []
        self.frames_s: list[float] = []
        self.states: list[State] = []
        self.ends: list[str] = []
        self.client = RemoteRenderClient(
            ClientConfig(url=f"{stack.url}/ws", ice=LOOPBACK, fps=30),
            Callbacks(
                on_worker_replaced=lambda: self.replaced_s.append(time.monotonic()),
                on_frame=lambda frame, marker: self.frames_s.append(time.monotonic()),
                on_message=self._message,
                on_disconnected=self.ends.append,
            ),
        )

    async def __aenter__(self) -> Viewer:
        await self.client.connect(self.name, self.project)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.disconnect()
        assert self.ends in ([], [""]), "the session ended by itself"

    @property
    def worker_id(self) -> str:
        assert self.client.worker_id is not None
        return self.client.worker_id

    def strike(self, stack: EmbeddedStack, number: signal.Signals) -> float:
        """Send the viewer's worker a signal; when."""
        at = time.monotonic()
        os.kill(stack.worker_pids()[self.worker_id], number)
        return at

    async def told(self, moves: int, within_s: float) -> float:
        """When it was told for the n-th time that it has another worker."""
        await until(lambda: len(self.replaced_s) >= moves, within_s, "not told of another worker")
        return self.replaced_s[moves - 1]

    async def sees(self, after_s: float, within_s: float = FRAME_S) -> float:
        """When the first frame after a time came."""

        def first() -> float | None:
            return next((at for at in self.frames_s if at > after_s), None)

        await until(lambda: first() is not None, within_s, "no frame came")
        found = first()
        assert found is not None
        return found

    async def shows(self, project: Project, within_s: float = 3.0) -> None:
        """Its worker has the project as it should be by now."""
        wanted = project.digest()

        def shown() -> bool:
            self.client.request_state()
            return bool(self.states) and self.states[-1].state["project"] == wanted

        await until(shown, within_s, "an edit is missing")

    async def drag(self, project: Project, number: int, x: float) -> Project:
        """Put a device down and wait until that is in the log; the project after it."""
        device = sorted(project.devices)[number]
        position = (x, 1.0, 0.0)
        self.client.send_device_drag(device, position, end=True)
        await until(lambda: not self.client._unacked_edits, 3, "the edit was not acknowledged")
        return move(project, device, position)

    def _message(self, message: object) -> None:
        if isinstance(message, State):
            self.states.append(message)


async def test_a_killed_workers_session_goes_on_with_another_and_keeps_its_edits(
    stack: EmbeddedStack,
) -> None:
    async with Viewer(stack, "ada", "kept") as viewer:
        session_id, before = viewer.client.session_id, viewer.worker_id
        project = await viewer.drag(Project.default("kept"), 0, 3.25)
        killed = viewer.strike(stack, signal.SIGKILL)
        told = await viewer.told(1, 2)
        seen = await viewer.sees(told)
        assert told - killed <= TOLD_S
        assert seen - killed <= FRAME_S
        assert viewer.client.session_id == session_id
        assert viewer.worker_id != before
        await viewer.shows(project)
        assert await holders(stack) == {session_id: viewer.worker_id}
        await viewer.shows(await viewer.drag(project, 0, -2.5))
        for _ in range(5):
            viewer.client.send_camera_orbit(5.0, 0.0)
            await viewer.sees(time.monotonic())
        assert before not in stack.worker_pids()


async def test_a_worker_that_hangs_is_found_and_its_session_moved(stack: EmbeddedStack) -> None:
    async with Viewer(stack, "ada", "hung") as viewer:
        session_id, before = viewer.client.session_id, viewer.worker_id
        stopped = viewer.strike(stack, signal.SIGSTOP)
        told = await viewer.told(1, FOUND_S + TOLD_S)
        assert told - stopped <= FOUND_S + TOLD_S
        await viewer.sees(told)
        assert await holders(stack) == {session_id: viewer.worker_id}
        await until(lambda: before not in stack.worker_pids(), 5, "the hanging worker was left")


async def test_a_worker_that_is_told_to_go_hands_its_session_on(stack: EmbeddedStack) -> None:
    async with Viewer(stack, "ada", "handed") as viewer:
        session_id, before = viewer.client.session_id, viewer.worker_id
        project = await viewer.drag(Project.default("handed"), 0, 3.25)
        viewer.strike(stack, signal.SIGTERM)
        told = await viewer.told(1, 5)
        await viewer.sees(told)
        await viewer.shows(project)
        assert viewer.worker_id != before
        assert await holders(stack) == {session_id: viewer.worker_id}


async def test_without_a_spare_a_session_waits_for_the_refill(stack: EmbeddedStack) -> None:
    async with Viewer(stack, "ada", "waits") as viewer:
        session_id = viewer.client.session_id
        for pid in stack.worker_pids().values():
            os.kill(pid, signal.SIGKILL)
        await viewer.told(1, 20)
        await until(lambda: viewer.frames_s[-1] > viewer.replaced_s[-1], 20, "no frame came")
        assert viewer.client.session_id == session_id
        assert await holders(stack) == {session_id: viewer.worker_id}
        longest_s = max(b - a for a, b in pairwise(viewer.frames_s))
        assert viewer.client.meter.interruptions == int(longest_s > 2)


async def test_a_viewer_that_leaves_while_it_waits_leaves_no_slot_behind(
    stack: EmbeddedStack,
) -> None:
    async with Viewer(stack, "ada", "leaves"):
        for pid in stack.worker_pids().values():
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.3)
    assert await holders(stack) == {}


async def test_edits_of_two_viewers_on_two_workers_reach_each_other(stack: EmbeddedStack) -> None:
    async with Viewer(stack, "ada", "shared") as ada, Viewer(stack, "bob", "shared") as bob:
        assert ada.worker_id != bob.worker_id
        project = await ada.drag(Project.default("shared"), 0, 1.0)
        project = await bob.drag(project, 0, 2.0)
        project = await bob.drag(project, 1, 4.0)
        for viewer in (ada, bob):
            await viewer.shows(project, 1.0)


async def test_ten_kills_in_a_row_end_no_session_and_lose_no_edit(stack: EmbeddedStack) -> None:
    async with Viewer(stack, "ada", "often") as ada, Viewer(stack, "bob", "often") as bob:
        sessions = {ada.client.session_id, bob.client.session_id}
        project = Project.default("often")
        for kill in range(KILLS):
            viewer, other = (ada, bob) if kill % 2 else (bob, ada)
            project = await viewer.drag(project, 0, 0.25 * kill)
            moves = len(viewer.replaced_s)
            viewer.strike(stack, signal.SIGKILL)
            told = await viewer.told(moves + 1, 20)
            await viewer.sees(told)
            await viewer.shows(project)
            await other.shows(project)
        assert {ada.client.session_id, bob.client.session_id} == sessions
        assert set(await holders(stack)) == sessions
        assert len(ada.replaced_s) == len(bob.replaced_s) == KILLS // 2
