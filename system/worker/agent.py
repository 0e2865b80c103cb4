"""Owns the worker: one control connection, its slots, and how it leaves."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from system.protocol.errors import ErrorCode
from system.protocol.fields import Fence
from system.protocol.messages import (
    ClientConnected,
    ClientDisconnected,
    Drain,
    Drained,
    EditAcknowledged,
    EditApplied,
    Error,
    Heartbeat,
    IceCandidate,
    Offer,
    Ping,
    Pong,
    ProjectCaughtUp,
    Register,
    Registered,
    SessionAssigned,
    SessionConfirmed,
    SessionEnded,
    SessionRefused,
    ToWorker,
)
from system.telemetry import logs
from system.worker.config import WorkerConfig
from system.worker.control import Control
from system.worker.fencing import commands
from system.worker.probe import Probe
from system.worker.render_pool import RenderPool
from system.worker.room import Rooms
from system.worker.session import WorkerSession
from system.worker.settings import StreamSettings
from system.worker.slots import Slots
from system.worker.tally import Tally, UsageMeter
from system.worker.vitals import Vitals

_log = logs.get(__name__)

FLUSH_S: Final = 1.0
END_S: Final = 8.0
"""How long ended sessions may take to close, together; a peer connection takes at most 5 s."""

DEFAULT_HEARTBEAT_S: Final = 2.0
BEAT_STEP_S: Final = 0.1
"""Between two looks at the clock: as often, the event loop's lag is sampled."""


class Agent:
    """Takes assignments in the order of their fences, and tells signaling what became of them."""

    def __init__(
        self,
        config: WorkerConfig,
        settings: StreamSettings,
        pool: RenderPool,
        probe: Probe,
        *,
        version: str = "",
        booted_s: Callable[[], float] = lambda: 0.0,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._settings = settings
        self._pool = pool
        self._probe = probe
        self._version = version
        self._booted_s = booted_s
        self._heartbeat_s = DEFAULT_HEARTBEAT_S
        self._beat_at_s = time.monotonic()
        self._drain_within_s: float | None = None
        self._drain_asked = asyncio.Event()
        self._emptied = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.tally = Tally()
        self.slots = Slots(config.slots)
        self.rooms = Rooms()
        self.vitals = Vitals()
        self._usage = UsageMeter(self.tally)
        self._control = Control(
            config,
            register=self._register,
            received=self._received,
            keep_trying=lambda: bool(self.slots.sessions) and not self.slots.draining,
            rng=rng or random.Random(),
        )

    @property
    def registered(self) -> bool:
        """Whether signaling is there and knows this worker."""
        return self._control.registered

    # --- life ------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until drained; raises ControlError where signaling is gone for good."""
        control = asyncio.get_running_loop().create_task(self._control.run())
        beats = asyncio.get_running_loop().create_task(self._beat())
        drain = asyncio.get_running_loop().create_task(self._drained())
        try:
            await asyncio.wait((control, drain), return_when=asyncio.FIRST_COMPLETED)
            if not drain.done():
                control.result()
        finally:
            for session in self.slots.sessions:
                session.end("worker_stopped")
            await self._settle_sessions()
            self._control.send(Drained())
            await self._control.flush(FLUSH_S)
            for task in (control, beats, drain):
                task.cancel()
            await asyncio.wait((control, beats, drain))

    def drain(self, within_s: float) -> None:
        """Take no further session, and leave when the last has ended or time is up.

        Asked again, the shorter time counts.
        """
        self.slots.draining = True
        if self._drain_within_s is None or within_s < self._drain_within_s:
            self._drain_within_s = within_s
            _log.info("worker.drains", within_s=within_s, sessions=len(self.slots.sessions))
        self._drain_asked.set()
        self._note_emptied()

    async def _drained(self) -> None:
        await self._drain_asked.wait()
        started = time.monotonic()
        while not self._emptied.is_set():
            left_s = started + (self._drain_within_s or 0.0) - time.monotonic()
            if left_s <= 0:
                return
            self._drain_asked.clear()
            waits = [
                asyncio.get_running_loop().create_task(event.wait())
                for event in (self._emptied, self._drain_asked)
            ]
            await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()

    async def _settle_sessions(self) -> None:
        tasks = tuple(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=END_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    async def _beat(self) -> None:
        while True:
            await self.vitals.sleep(min(BEAT_STEP_S, self._beat_at_s - time.monotonic()))
            if time.monotonic() < self._beat_at_s:
                continue
            self._beat_at_s = time.monotonic() + self._heartbeat_s
            usage = self._usage.look()
            cores, lag_s = self.vitals.look()
            self._control.send(
                Heartbeat(
                    sessions=tuple(session.held() for session in self.slots.sessions),
                    cpu=cores,
                    rss_bytes=self.vitals.rss_bytes(),
                    loop_lag_s=lag_s,
                    frames=usage.frames,
                    encode_s=usage.encode_s,
                )
            )

    def _register(self) -> Register:
        return Register(
            worker_id=self._config.worker_id,
            generation=self._config.generation,
            pool=self._config.pool,
            slots=self._config.slots,
            endpoint=f"{os.uname().nodename}:{os.getpid()}",
            renderer=self._probe.renderer,
            encoder=self._probe.encoder,
            version=self._version,
            boot_s=self._booted_s(),
            sessions=tuple(session.held() for session in self.slots.sessions),
            projects=self.rooms.indices(),
        )

    # --- from signaling --------------------------------------------------------

    def _received(self, message: ToWorker) -> None:
        try:
            self._dispatch(message)
        except Exception as error:  # noqa: BLE001 - one message is not the connection's end
            _log.exception("message.failed", error, type=type(message).__name__)

    def _dispatch(self, message: ToWorker) -> None:
        match message:
            case Registered():
                self._registered(message)
            case SessionAssigned():
                self._assigned(message)
            case Offer() | IceCandidate():
                self._deliver(message)
            case SessionEnded():
                self._ended(message)
            case ClientDisconnected() | ClientConnected():
                session = self._commanded(message.session_id, message.fence)
                if session is not None:
                    closed = isinstance(message, ClientDisconnected) and message.closed
                    session.attached(isinstance(message, ClientConnected), closed=closed)
            case EditAcknowledged():
                if (session := self.slots.get(message.session_id)) is not None:
                    session.edit_acknowledged(message)
            case EditApplied():
                if (room := self.rooms.get(message.project_id)) is not None:
                    room.apply(message.edit)
            case ProjectCaughtUp():
                if (room := self.rooms.get(message.project.project_id)) is not None:
                    room.merge(message.project)
            case Drain():
                self.drain(message.deadline_ms / 1000)
            case Ping():
                self._control.send(Pong(time=message.time))
            case Error():
                _log.warning("signaling.error", code=message.code.value)
            case _:
                pass

    def _registered(self, message: Registered) -> None:
        self._heartbeat_s = max(0.05, message.heartbeat_ms / 1000)
        self._beat_at_s = time.monotonic() + self._heartbeat_s
        if self._control.registrations > 1:
            self.tally.reconnects += 1
        _log.info(
            "worker.registered",
            renderer=self._probe.renderer,
            encoder=self._probe.encoder,
            boot_s=round(self._booted_s(), 3),
            sessions=len(self.slots.sessions),
        )
        for session in self.slots.sessions:
            session.ask_again()

    def _assigned(self, message: SessionAssigned) -> None:
        admission = self.slots.judge(message)
        if (code := admission.refusal) is not None:
            self.tally.stale_commands += code is ErrorCode.STALE_FENCE
            _log.info("session.refused", session=message.session_id, code=code.value)
            self._control.send(
                SessionRefused(session_id=message.session_id, fence=message.fence, code=code)
            )
            return
        held = self.slots.get(message.session_id)
        if held is None or held.fence != message.fence:
            if held is not None:
                held.end("replaced")
                self.slots.free(held)
            session = WorkerSession(
                message,
                settings=self._settings,
                pool=self._pool,
                rooms=self.rooms,
                tally=self.tally,
                heartbeat_s=lambda: self._heartbeat_s,
                send=self._control.send,
            )
            self.slots.put(session)
            self.tally.sessions += 1
            self._spawn(self._serve(session))
            _log.info("session.assigned", session=message.session_id)
        self._control.send(SessionConfirmed(session_id=message.session_id, fence=message.fence))

    async def _serve(self, session: WorkerSession) -> None:
        try:
            reason = await session.run()
            self.slots.free(session)
            self._control.send(
                SessionEnded(session_id=session.session_id, reason=reason, fence=session.fence)
            )
            _log.info("session.ended", session=session.session_id, reason=reason)
        finally:
            self.slots.free(session)
            await session.close()
            self._note_emptied()

    def _deliver(self, message: Offer | IceCandidate) -> None:
        session = self.slots.get(message.session_id)
        if session is not None:
            session.deliver(message)
        elif isinstance(message, Offer):
            self._control.send(
                Error(
                    error="this worker does not have the session",
                    code=ErrorCode.NOT_FOUND,
                    session_id=message.session_id,
                )
            )

    def _ended(self, message: SessionEnded) -> None:
        session = self._commanded(message.session_id, message.fence)
        if session is not None:
            session.end(message.reason or "released")
            self.slots.free(session)

    def _commanded(self, session_id: str | None, fence: Fence | None) -> WorkerSession | None:
        """The session that a command is for, if the command is of its own fence."""
        session = self.slots.get(session_id)
        if session is not None and not commands(session.fence, fence):
            self.tally.stale_commands += 1
            _log.warning("command.stale", session=session_id)
            return None
        return session

    # --- tasks -----------------------------------------------------------------

    def _note_emptied(self) -> None:
        if self.slots.draining and not self.slots.sessions:
            self._emptied.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.exception("session.failed", error)
