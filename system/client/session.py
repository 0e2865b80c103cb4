"""One session of a helper, from its command to its ``ended`` event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig
from system.client.errors import JoinAbandoned, JoinFailed
from system.client.hostproto import Ended, Event, Joined, Queued, Start
from system.client.inputs import InputPlan
from system.client.judge import PictureJudge
from system.client.latency import InputSample
from system.client.live import LiveTally
from system.client.meter import Second
from system.client.parts import PartWriter
from system.client.pictures import PictureSample
from system.client.summary import (
    Result,
    RunClock,
    event_row,
    input_rows,
    picture_rows,
    sample_row,
    session_rows,
    summary,
)
from system.client.tiers import DecodePool
from system.media.rtc.ice import ALWAYS_DENIED, IceSettings
from system.media.rtc.impair import Path
from system.protocol.channels import State
from system.protocol.fields import StreamOptions
from system.protocol.records import UNJUDGED

_SCENE_INPUTS = ("device:drag", "connection:create")


@dataclass(frozen=True)
class Surroundings:
    """What all sessions of a helper share."""

    clock: RunClock
    writer: PartWriter | None
    emit: Callable[[Event], None]
    tally: LiveTally
    http: aiohttp.ClientSession
    pool: DecodePool
    judge: PictureJudge


class Session:
    """Runs once; ``stop`` ends it as its viewer would, at any moment."""

    def __init__(self, start: Start, around: Surroundings) -> None:
        self._start = start
        self._around = around
        self._stopping = asyncio.Event()
        self._plan: InputPlan | None = None
        self._client: RemoteRenderClient | None = None

    def stop(self) -> None:
        self._stopping.set()

    def silent_s(self, now: float) -> float | None:
        """Time since the last frame; None where no picture is due: before the first, at the end."""
        received_s = None if self._client is None else self._client.meter.received_s
        return None if received_s is None else max(0.0, now - received_s)

    async def run(self) -> None:
        """The whole session; raises nothing that is the peer's fault."""
        start, around = self._start, self._around
        scheduled_s = around.clock.monotonic(start.scheduled_at)
        if await self._stopped_within(scheduled_s - time.monotonic()):
            self._report(Result("ok", "stopped", scheduled_s, None, time.monotonic()))
            return
        self._client = client = RemoteRenderClient(
            self._config(),
            self._callbacks(),
            http=around.http,
            pool=around.pool,
            judge=None if start.picture_every_s is None else around.judge,
        )
        try:
            result = await self._view(client, scheduled_s)
        finally:
            await client.disconnect()
        self._report(result)

    async def _view(self, client: RemoteRenderClient, scheduled_s: float) -> Result:
        start = self._start
        joining = asyncio.create_task(
            client.connect(start.user_id, start.project_id, start.token, scheduled_s=scheduled_s)
        )
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not joining.done():
                return Result("ok", "stopped", scheduled_s, None, time.monotonic())
            try:
                await joining
            except JoinAbandoned as left:
                now = time.monotonic()
                return Result("abandoned", left.code, scheduled_s, None, now, left)
            except JoinFailed as failed:
                now = time.monotonic()
                return Result("failed", failed.code, scheduled_s, None, now, failed)
            joined_s = scheduled_s + client.timeline.join_time_s
            self._around.emit(
                Joined(
                    id=start.id,
                    join_time_s=client.timeline.join_time_s,
                    phases=client.timeline.phases_s(),
                )
            )
            reason = await self._watch(client, joined_s, stopping)
            return Result(
                "interrupted" if reason else "ok",
                reason,
                scheduled_s,
                joined_s,
                time.monotonic(),
                stopped=stopping.done(),
            )
        finally:
            for task in (joining, stopping):
                task.cancel()
            await asyncio.wait({joining, stopping})

    async def _watch(
        self, client: RemoteRenderClient, joined_s: float, stopping: asyncio.Task[bool]
    ) -> str:
        """Until the viewer has had enough ("") or the session broke (why)."""
        start = self._start
        ended = asyncio.create_task(client.wait_ended())
        acting = asyncio.create_task(self._act(client, joined_s))
        timeout = None
        if start.session_s is not None:
            timeout = max(0.0, joined_s + start.session_s - time.monotonic())
        try:
            await asyncio.wait(
                {ended, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            return ended.result() or "ended" if ended.done() else ""
        finally:
            for task in (ended, acting):
                task.cancel()
            await asyncio.wait({ended, acting})

    async def _act(self, client: RemoteRenderClient, joined_s: float) -> None:
        """Send the planned inputs, each at its time, late ones at once."""
        wanted = self._start.input
        if wanted is None or wanted.rate <= 0:
            return
        self._plan = InputPlan(self._start.seed, wanted.rate, wanted.mix, process=wanted.process)
        if any(wanted.mix.get(kind) for kind in _SCENE_INPUTS):
            client.request_state()
        for planned in self._plan:
            due = joined_s + planned.at_s
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            client.send(planned.message, scheduled_s=due)

    async def _stopped_within(self, seconds: float) -> bool:
        if seconds <= 0:
            return self._stopping.is_set()
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def _config(self) -> ClientConfig:
        start = self._start
        network = start.network
        return ClientConfig(
            url=start.url,
            ice=IceSettings(
                addresses=start.ice.addresses,
                denied_networks=(*ALWAYS_DENIED, *start.ice.denied_networks),
            ),
            codec=start.codec,
            tier=start.tier,
            fps=start.fps,
            join_timeout_s=start.join_timeout_s,
            patience_s=start.patience_s,
            stream=StreamOptions(pacing=start.pacing) if start.pacing else None,
            path=Path(network.rtt_s, network.jitter_s, network.loss) if network else None,
            seed=start.seed,
            picture_every_s=start.picture_every_s or 1.0,
        )

    def _callbacks(self) -> Callbacks:
        start = self._start
        return Callbacks(
            on_queued=lambda: self._around.emit(Queued(id=start.id)),
            on_second=self._second,
            on_message=self._message,
            on_error=lambda code, text: self._note("session.error", {"code": code, "text": text}),
            on_worker_replaced=lambda: self._note("session.worker_replaced", {}),
            on_judged=self._judged,
            on_unjudged=lambda reason: self._note(UNJUDGED, {"reason": reason}),
        )

    def _second(self, second: Second, samples: list[InputSample]) -> None:
        self._around.tally.add(second, samples)
        writer, clock = self._around.writer, self._around.clock
        if writer is None:
            return
        writer.add_sample(sample_row(clock, self._start, second))
        for row in input_rows(clock, self._start, samples):
            writer.add_event(row)

    def _judged(self, sample: PictureSample) -> None:
        self._around.tally.judged(sample)
        writer, clock = self._around.writer, self._around.clock
        if writer is not None:
            for row in picture_rows(clock, self._start, sample):
                writer.add_event(row)

    def _message(self, message: object) -> None:
        """The scene, as asked for: whose ids drags and connections need."""
        if not isinstance(message, State) or self._plan is None:
            return
        devices = message.state.get("devices")
        if isinstance(devices, list):
            self._plan.devices = [device for device in devices if isinstance(device, str)]

    def _note(self, event: str, attrs: dict[str, str]) -> None:
        writer, clock = self._around.writer, self._around.clock
        if writer is not None:
            now = time.monotonic()
            stage = clock.stage(now, self._start.stage)
            writer.add_event(event_row(clock, self._start, now, stage, event, None, attrs))

    def _report(self, result: Result) -> None:
        around = self._around
        if around.writer is not None:
            for row in session_rows(around.clock, self._start, result, self._client):
                around.writer.add_event(row)
        around.emit(
            Ended(
                id=self._start.id,
                outcome=result.outcome,
                reason=result.reason,
                summary=summary(self._start, result, self._client),
            )
        )
