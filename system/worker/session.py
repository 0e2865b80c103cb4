"""Owns one viewer on this worker: negotiations, the stream, inputs, and when it is over."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from system.media.renderers.base import Renderer
from system.media.rtc.sender import EncodedSender
from system.protocol.channels import EDIT_CHANNEL, INPUT_CHANNEL, InputAck
from system.protocol.errors import ErrorCode, ProtocolError
from system.protocol.fields import Edit, Fence, HeldSession, StreamOptions
from system.protocol.limits import MAX_BUFFERED_MESSAGES
from system.protocol.messages import (
    Answer,
    EditAcknowledged,
    EditRequest,
    Error,
    IceCandidate,
    Message,
    Offer,
    SessionActive,
    SessionAssigned,
)
from system.telemetry import logs
from system.worker.acks import FrameTicket
from system.worker.bitrate import BitrateControl
from system.worker.connection import Connection, Hooks
from system.worker.frame_facts import FrameFacts
from system.worker.inputs import InputHandler, Outlets
from system.worker.negotiator import Negotiated, Negotiator
from system.worker.pacing import Pacer
from system.worker.pipeline import FramePipeline, Shot
from system.worker.render_pool import RenderPool
from system.worker.room import Rooms
from system.worker.settings import StreamSettings
from system.worker.silence import Life, verdict
from system.worker.stream import FrameStream
from system.worker.tally import Tally
from system.worker.viewer_scene import ViewerScene

_log = logs.get(__name__)

REPLACE_GRACE_S: Final = 1.0
"""A viewer that is attached and closes its connection may be about to offer another."""

TICK_S: Final = 0.1


class WorkerSession:
    """One assigned session. ``run`` lasts as long as it does; ``close`` follows it.

    Messages of signaling go in by ``deliver`` and the methods after it, which
    never block; what the session has to say goes out by ``send``.
    """

    def __init__(
        self,
        assigned: SessionAssigned,
        *,
        settings: StreamSettings,
        pool: RenderPool,
        rooms: Rooms,
        tally: Tally,
        heartbeat_s: Callable[[], float],
        send: Callable[[Message], bool],
    ) -> None:
        self.session_id = assigned.session_id
        self.fence: Fence = assigned.fence
        self._assigned = assigned
        self._settings = settings
        self._pool = pool
        self._rooms = rooms
        self._tally = tally
        self._heartbeat_s = heartbeat_s
        self._send = send
        self._inbox: asyncio.Queue[Offer | IceCandidate] = asyncio.Queue(MAX_BUFFERED_MESSAGES)
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._streaming: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._attached = True
        self._closed_s: float | None = None
        self._active = False
        self._active_told = False
        self._deadline_s: float | None = time.monotonic() + settings.connect_deadline_s
        self._drag_timer: asyncio.TimerHandle | None = None
        self._inputs: InputHandler | None = None
        self._bitrate = BitrateControl(settings.bitrate_bps)
        self._negotiator: Negotiator | None = None
        self._retired: list[Connection] = []

    # --- from signaling --------------------------------------------------------

    def deliver(self, message: Offer | IceCandidate) -> None:
        """Take an offer or a candidate, in order; too many are refused."""
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            self._report(ErrorCode.TOO_MANY, "too many offers or candidates are waiting")

    def attached(self, is_attached: bool, *, closed: bool = False) -> None:
        """The viewer's signaling socket is there, or gone; ``closed``: its side ended it."""
        self._attached = is_attached
        self._closed_s = time.monotonic() if closed else None

    def edit_acknowledged(self, message: EditAcknowledged) -> None:
        if self._inputs is not None:
            self._inputs.acknowledged(message)

    def end(self, reason: str) -> None:
        """Let ``run`` return; the first reason counts."""
        if not self._over.done():
            self._over.set_result(reason)

    # --- to signaling ----------------------------------------------------------

    def held(self) -> HeldSession:
        """As heartbeats report it."""
        heard = self._heard_s
        age_ms = None if heard is None else max(0, int((time.monotonic() - heard) * 1000))
        return HeldSession(
            session_id=self.session_id,
            fence=self.fence,
            media_age_ms=age_ms,
            project_id=self._assigned.project.project_id,
            user_id=self._assigned.user_id,
        )

    def ask_again(self) -> None:
        """Signaling was away: repeat what it has not answered. A repeated edit is harmless."""
        if self._active and not self._active_told:
            self._tell_active()
        for edit in () if self._inputs is None else self._inputs.outstanding:
            self._ask(edit)

    # --- life ------------------------------------------------------------------

    async def run(self) -> str:
        """Serve until the session is over; returns why. The renderer is free again then."""
        try:
            async with self._pool.renderer() as renderer:
                return await self._serve(renderer)
        except Exception as error:  # noqa: BLE001 - one session's failure is not the worker's
            _log.exception("session.failed", error, session=self.session_id)
            return "internal"

    async def close(self) -> None:
        """Close the peer connections; each takes at most five seconds."""
        if self._connection is not None:
            self._retired.append(self._connection)
        await asyncio.gather(*(connection.close() for connection in self._retired))

    @property
    def _connection(self) -> Connection | None:
        return None if self._negotiator is None else self._negotiator.connection

    @property
    def _heard_s(self) -> float | None:
        """Monotonic time of the last sign of life over the current connection."""
        return None if self._connection is None else self._connection.sender.last_media_at

    async def _serve(self, renderer: Renderer) -> str:
        room = self._rooms.enter(self._assigned.project, self._log_changed)
        scene = ViewerScene(room.project)
        pipeline = FramePipeline(renderer, fps=self._settings.fps, prefer=self._settings.encoders)
        facts = FrameFacts(renderer.name, renderer.width, renderer.height)
        stream = FrameStream(
            scene=scene,
            pipeline=pipeline,
            pool=self._pool,
            pacer=Pacer(self._settings.pacing, self._settings.fps),
            bitrate=self._bitrate,
            tally=self._tally,
            on_sent=lambda ticket, shot: self._frame_sent(ticket, shot, facts),
        )
        self._inputs = InputHandler(
            scene=scene,
            room=room,
            acks=stream.acks,
            size=(self._pool.width, self._pool.height),
            user_id=self._assigned.user_id,
            tally=self._tally,
            outlets=Outlets(
                input_channel=lambda message: self._answer(INPUT_CHANNEL, message),
                edit_channel=lambda message: self._answer(EDIT_CHANNEL, message),
                ask=self._ask,
                changed=stream.changed,
                drag_waits=self._arm_drags,
                describe=facts.ask,
            ),
        )
        self._negotiator = Negotiator(
            session_id=self.session_id,
            first=self._assigned.negotiation,
            ice=dataclasses.replace(self._settings.ice, servers=self._assigned.ice_servers),
            connect_deadline_s=self._settings.connect_deadline_s,
            prefer=self._settings.codecs,
            hooks=Hooks(
                received=self._inputs.handle,
                closed=self._connection_closed,
                keyframe_wanted=stream.keyframe_wanted,
                estimated=lambda bps: self._bitrate.estimated(time.monotonic(), bps),
            ),
            tally=self._tally,
        )
        try:
            self._warming = self._spawn(self._warm(pipeline, scene))
            self._spawn(self._negotiate(self._negotiator, pipeline, stream))
            self._spawn(self._watch())
            return await self._over
        finally:
            self._inputs.finish()
            if self._drag_timer is not None:
                self._drag_timer.cancel()
            await self._stop_tasks()
            pipeline.close()
            self._rooms.leave(room, self._log_changed)

    async def _warm(self, pipeline: FramePipeline, scene: ViewerScene) -> None:
        """Draw the scene once while ICE and DTLS go on: a project's first frame is a slow one."""
        async with self._pool.turn():
            await self._pool.run(pipeline.warm, scene.still())

    async def _negotiate(
        self, negotiator: Negotiator, pipeline: FramePipeline, stream: FrameStream
    ) -> None:
        while True:
            message = await self._inbox.get()
            try:
                if isinstance(message, IceCandidate):
                    await negotiator.trickled(message)
                elif (made := await negotiator.offered(message)) is not None:
                    await self._answered(made, message.stream, pipeline, stream)
                    await negotiator.catch_up()
            except ProtocolError as error:
                self._report(error.code, str(error))

    async def _answered(
        self,
        made: Negotiated,
        wished: StreamOptions | None,
        pipeline: FramePipeline,
        stream: FrameStream,
    ) -> None:
        """Send the answer and, once the previous connection is gone, stream to the new one."""
        connection = made.connection
        self._send(
            Answer(
                sdp=made.answer,
                session_id=self.session_id,
                negotiation=connection.negotiation,
            )
        )
        await self._replace(made.previous)
        self._deadline_s = time.monotonic() + self._settings.connect_deadline_s
        self._configure(stream, wished or StreamOptions())
        async with self._pool.turn():
            codec = connection.sender.codec
            await self._pool.run(pipeline.use, codec, self._bitrate.target_bps)
        self._streaming = self._spawn(self._stream(connection.sender, stream))

    async def _replace(self, previous: Connection | None) -> None:
        """Stop streaming to a connection that a newer one takes over from."""
        if self._streaming is not None:
            self._streaming.cancel()
            await asyncio.wait([self._streaming])
            self._streaming = None
        if previous is not None:
            if self._inputs is not None:
                self._inputs.finish()
            self._retired.append(previous)
            self._spawn(previous.close())

    def _configure(self, stream: FrameStream, wished: StreamOptions) -> None:
        stream.block_code = wished.block_code
        stream.pacer = Pacer(wished.pacing or self._settings.pacing, self._settings.fps)

    async def _stream(self, sender: EncodedSender, stream: FrameStream) -> None:
        """Frames for one connection, from when it is up; the watch bounds the wait."""
        if self._warming is not None:
            await asyncio.wait([self._warming])
        await sender.wait_ready()
        await stream.run(sender)

    async def _watch(self) -> None:
        """End the session when it has not connected in time, or has fallen silent.

        A viewer whose signaling socket is gone is asked: it may have little to say of itself.
        """
        while True:
            await asyncio.sleep(TICK_S)
            if not self._attached and self._connection is not None:
                self._spawn(self._connection.probe())
            life = Life(self._attached, self._heard_s, self._deadline_s, self._closed_s)
            reason = verdict(life, time.monotonic(), self._heartbeat_s())
            if reason is not None:
                self.end(reason)

    # --- callbacks of the parts ------------------------------------------------

    def _frame_sent(self, ticket: FrameTicket, shot: Shot, facts: FrameFacts) -> None:
        self._deadline_s = None
        if not self._active:
            self._active = True
            self._tell_active()
            _log.info("session.active", session=self.session_id)
        if ticket.seqs:
            self._answer(INPUT_CHANNEL, InputAck(frame_id=ticket.frame_id, seqs=ticket.seqs))
        shown = facts.answer(ticket.frame_id, shot.scene, block_code=shot.block_code)
        if shown is not None:
            self._answer(EDIT_CHANNEL, shown)

    def _connection_closed(self, connection: Connection) -> None:
        if connection is not self._connection or self._over.done():
            return
        if self._deadline_s is not None:
            self.end("connect_failed")
        elif self._attached:
            self._spawn(self._end_unless_replaced(connection))
        else:
            self.end("client_gone")

    async def _end_unless_replaced(self, connection: Connection) -> None:
        await asyncio.sleep(REPLACE_GRACE_S)
        if self._connection is connection:
            self.end("connection_closed")

    def _log_changed(self) -> None:
        if self._inputs is not None:
            self._inputs.log_changed()

    def _arm_drags(self) -> None:
        """Have the next live drag looked at when it falls due."""
        due = None if self._inputs is None else self._inputs.next_drag_at
        if self._drag_timer is None and due is not None:
            wait_s = max(0.0, due - time.monotonic())
            self._drag_timer = asyncio.get_running_loop().call_later(wait_s, self._drags_due)

    def _drags_due(self) -> None:
        self._drag_timer = None
        if self._inputs is not None:
            self._inputs.drags_due(time.monotonic())
        self._arm_drags()

    def _tell_active(self) -> None:
        """Once only: a session that has been suspended meanwhile is no longer to be activated."""
        self._active_told = self._send(SessionActive(session_id=self.session_id, fence=self.fence))

    def _ask(self, edit: Edit) -> None:
        self._send(EditRequest(session_id=self.session_id, fence=self.fence, edit=edit))

    def _answer(self, label: str, message: Message) -> None:
        if self._connection is not None:
            self._connection.send(label, message)

    def _report(self, code: ErrorCode, text: str) -> None:
        _log.info("session.refused", session=self.session_id, code=code.value)
        self._send(Error(error=text, code=code, session_id=self.session_id))

    # --- tasks -----------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.exception("session.failed", error, session=self.session_id)
            self.end("internal")

    async def _stop_tasks(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
