# ruff: noqa: T201
"""How soon a session goes on after its worker was killed (kill -9) or hung (SIGSTOP), on loopback.

    python tests/benchmarks/bench_stack_moves.py [--kills 30] [--stops 10] [--resolution 1280x720]

One viewer, a warm spare, an edit before each strike. ``told`` runs from the
signal to ``worker-replaced``, ``frame`` to the first frame of the spare. Edits
that the next worker does not show are counted as lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench_stack_join import show

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.media.project import Project, move
from system.media.rtc.ice import LOOPBACK
from system.protocol.channels import State
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

WORKERS = 2
HEARTBEAT_S = 2.0
PATIENCE_S = 30.0


class Watcher:
    """A viewer and when it was told what."""

    def __init__(self, url: str, project_id: str) -> None:
        self.project = Project.default(project_id)
        self.replaced_s: list[float] = []
        self.frame_s = 0.0
        self.digest = ""
        self.client = RemoteRenderClient(
            ClientConfig(url=f"{url}/ws", ice=LOOPBACK, media_timeout_s=PATIENCE_S),
            Callbacks(
                on_worker_replaced=lambda: self.replaced_s.append(time.monotonic()),
                on_frame=lambda frame, marker: self._seen(),
                on_message=self._heard,
            ),
        )
        self.first_after: float | None = None

    async def edit(self, number: int) -> None:
        device = sorted(self.project.devices)[number % len(self.project.devices)]
        position = (number % 9 - 4.0, number % 7 - 3.0, 0.0)
        self.client.send_device_drag(device, position, end=True)
        self.project = move(self.project, device, position)
        await until(lambda: not self.client._unacked_edits)

    async def strike(self, stack: EmbeddedStack, number: signal.Signals) -> tuple[float, float]:
        """Seconds until told, and until the spare's first frame."""
        moves = len(self.replaced_s)
        self.first_after = None
        pid = (await asyncio.to_thread(stack.worker_pids))[self.client.worker_id or ""]
        began = time.monotonic()
        os.kill(pid, number)
        await until(lambda: len(self.replaced_s) > moves and self.first_after is not None)
        assert self.first_after is not None
        return self.replaced_s[-1] - began, self.first_after - began

    async def keeps(self) -> bool:
        """Whether the new worker has every edit."""
        for _ in range(40):
            self.client.request_state()
            await asyncio.sleep(0.05)
            if self.digest == self.project.digest():
                return True
        return False

    def _seen(self) -> None:
        now = time.monotonic()
        if self.first_after is None and self.replaced_s and now > self.replaced_s[-1]:
            self.first_after = now

    def _heard(self, message: object) -> None:
        if isinstance(message, State):
            self.digest = str(message.state["project"])


async def until(condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.001)


async def spare(stack: EmbeddedStack) -> None:
    """Until there is a warm one."""
    while True:
        pool = (await asyncio.to_thread(stack.pool_snapshot)).pool
        if pool is not None and pool.ready >= WORKERS - 1:
            return
        await asyncio.sleep(0.05)


async def measure(stack: EmbeddedStack, name: str, number: signal.Signals, times: int) -> None:
    watcher = Watcher(stack.url, f"bench-{number.value}")
    await watcher.client.connect("bench", f"bench-{number.value}")
    session_id = watcher.client.session_id
    told, frame, lost = [], [], 0
    for turn in range(times):
        await spare(stack)
        await asyncio.sleep(0.5)
        await watcher.edit(turn)
        seconds = await watcher.strike(stack, number)
        told.append(seconds[0])
        frame.append(seconds[1])
        lost += not await watcher.keeps()
    same = watcher.client.session_id == session_id
    await watcher.client.disconnect()
    show(f"{name}: told", told)
    show(f"{name}: frame of the spare", frame)
    print(f"{name}: edits lost {lost} of {times}; same session throughout: {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--resolution", default="1280x720")
    parser.add_argument("--renderer", default="auto")
    options = parser.parse_args()
    width, height = map(int, options.resolution.split("x"))
    config = StackConfig(
        pools=(PoolConfig(initial=WORKERS),),
        stream=StreamConfig(width, height),
        secret="",
        renderer=options.renderer,
        heartbeat_s=HEARTBEAT_S,
        min_ready=WORKERS,
    )
    with EmbeddedStack(config) as stack:
        asyncio.run(measure(stack, "kill -9", signal.SIGKILL, options.kills))
        found_s = 1.5 * HEARTBEAT_S + 0.5
        print(f"a hang should be found within {found_s:g} s")
        asyncio.run(measure(stack, "SIGSTOP", signal.SIGSTOP, options.stops))


if __name__ == "__main__":
    main()
