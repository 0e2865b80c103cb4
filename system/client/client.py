"""RemoteRenderClient: one viewer without a screen, with the browser client's API, measured."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time

import aiohttp

from system.client.config import Callbacks, ClientConfig, ClientState
from system.client.errors import ClientError, JoinAbandoned, JoinFailed
from system.client.join import JoinTimeline
from system.client.judge import PictureJudge
from system.client.measured import MeasuredClient
from system.client.media import Media, MediaCallbacks
from system.client.reconnect import reconnect
from system.client.signaling import SignalingClosed, SignalingSocket
from system.client.tiers import DecodePool, DecodeTier, FramesTier, Tier
from system.media.marker import FrameMarker
from system.media.rtc.assembler import ReceivedFrame
from system.protocol import channels, codec, messages
from system.protocol.errors import BadDescription, ErrorCode, ProtocolError
from system.protocol.fields import IceServer
from system.telemetry import logs

logger = logs.get(__name__)

NO_DEADLINE_S = 86_400.0
GOODBYE_S = 1.0
CHANNEL_WAIT_S = 2.0

_HARMLESS = frozenset({ErrorCode.BAD_CANDIDATE, ErrorCode.UNKNOWN_TYPE, ErrorCode.BAD_MESSAGE})
"""Errors about one message, after which a join may still succeed."""


class RemoteRenderClient(MeasuredClient):
    """Joins one session, receives its stream, sends inputs, measures both.

    A client is used once. ``connect`` resolves with the first frame;
    ``disconnect`` releases everything and must be awaited in the end, whatever
    ``connect`` did. ``http``, ``pool`` and ``judge`` may be shared by many clients;
    without a judge no picture is judged, and with one those of the decode tier are.
    """

    def __init__(
        self,
        config: ClientConfig,
        callbacks: Callbacks | None = None,
        *,
        http: aiohttp.ClientSession | None = None,
        pool: DecodePool | None = None,
        judge: PictureJudge | None = None,
    ) -> None:
        self.config = config
        super().__init__(config, callbacks or Callbacks())
        self.state = ClientState.NEW
        self.session_id: str | None = None
        self.worker_id: str | None = None
        self.timeline = JoinTimeline(time.monotonic())
        self.queued_s: float | None = None
        self.created_s: float | None = None
        self._own_http = http is None
        self._http = http
        self._own_pool = pool is None and config.tier == "decode"
        self._pool = pool
        self._judge = judge
        self._identity: tuple[str, str, str | None] = ("", "", None)
        self._socket: SignalingSocket | None = None
        self._resume_token = ""
        self._tier: Tier | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._negotiation = 1
        self._join_deadline: asyncio.Timeout | None = None
        self._first_frame: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[str] | None = None
        self._ice = config.ice
        self._retiring: list[asyncio.Task[None]] = []
        self._released = False

    # --- lifecycle ----------------------------------------------------------------

    async def connect(
        self,
        user_id: str,
        project_id: str,
        token: str | None = None,
        *,
        scheduled_s: float | None = None,
    ) -> None:
        """Join and wait for the first frame.

        ``scheduled_s`` is when the viewer should have arrived (monotonic); the
        join time counts from it. Raises JoinFailed, JoinAbandoned among them.
        """
        if self.state is not ClientState.NEW:
            raise ClientError("a client connects once")
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        self.state = ClientState.CONNECTING
        self.timeline = JoinTimeline(now if scheduled_s is None else scheduled_s)
        self.timeline.mark("schedule", now)
        self._identity = (user_id, project_id, token)
        self._first_frame, self._ended = loop.create_future(), loop.create_future()
        if self._http is None:
            self._http = aiohttp.ClientSession()
        if self.config.tier == "decode":
            self._pool = self._pool or DecodePool()
            self._tier = DecodeTier(self, self._pool, self._decoded)
        else:
            self._tier = FramesTier(self)
        try:
            await self._join()
        except BaseException:
            await self.disconnect()
            raise
        self._callbacks.on_connected()

    async def _join(self) -> None:
        assert self._first_frame is not None
        try:
            async with asyncio.timeout(self.config.join_timeout_s) as self._join_deadline:
                self._socket = await self._open()
                self.timeline.mark("ws", time.monotonic())
                if self.config.offer_when == "open":
                    await self._offer()
                self._tasks.append(asyncio.create_task(self._read()))
                await self._first_frame
        except TimeoutError:
            if self.state is ClientState.QUEUED:
                now = time.monotonic()
                raise JoinAbandoned(now - (self.queued_s or now)) from None
            raise self._failure("timeout", "no first frame in time") from None
        except SignalingClosed as closed:
            raise self._failure("unreachable", str(closed)) from None
        finally:
            self._join_deadline = None
        self.state = ClientState.ACTIVE
        self._tasks.append(asyncio.create_task(self._watch()))
        if self._judge is not None and self.config.tier == "decode":
            sampler = self._sample_pictures(self._judge, self.config)
            self._tasks.append(asyncio.create_task(sampler.run()))
        if self._media is not None:
            # A frame may overtake the data channels; a join ends with the frame,
            # but inputs are of use only afterwards.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHANNEL_WAIT_S):
                    await self._media.input_open.wait()

    async def _watch(self) -> None:
        self._end(await self._measure())

    async def wait_ended(self) -> str:
        """Until the session ends by itself; why. Cancel it, or ``disconnect``, to stop."""
        if self._ended is None:
            raise ClientError("not connected")
        return await asyncio.shield(self._ended)

    async def disconnect(self) -> None:
        """Leave, releasing the worker at once; bounded, and harmless when repeated."""
        if self._released:
            return
        self._released = True
        self._end("")
        if self._socket is not None:
            with contextlib.suppress(SignalingClosed, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._socket.send(messages.Bye())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._finish()
        if self._media is not None:
            await self._media.close()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._tier is not None:
            await self._tier.close()
        if self._socket is not None:
            await self._socket.close()
        if self._own_pool and self._pool is not None:
            self._pool.close()
        if self._own_http and self._http is not None:
            await self._http.close()

    def _end(self, reason: str) -> None:
        """The session is over; only the first reason counts."""
        if self.state is ClientState.ENDED:
            return
        was_active = self.state is ClientState.ACTIVE
        self.state = ClientState.ENDED
        if self._first_frame is not None and not self._first_frame.done():
            self._first_frame.set_exception(self._failure(reason or "closed", "session ended"))
            self._first_frame.exception()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)
        if was_active:
            self._callbacks.on_disconnected(reason)

    def _failure(self, code: str, text: str) -> JoinFailed:
        return JoinFailed(code, text, self.timeline.open_phase)

    def _fail_join(self, code: str, text: str) -> None:
        if self._first_frame is not None and not self._first_frame.done():
            self._first_frame.set_exception(self._failure(code, text))

    @property
    def _joining(self) -> bool:
        return self._first_frame is not None and not self._first_frame.done()

    # --- signaling ------------------------------------------------------------------

    async def _open(self) -> SignalingSocket:
        assert self._http is not None
        user_id, project_id, token = self._identity
        return await SignalingSocket.open(self._http, self.config.url, user_id, project_id, token)

    async def _read(self) -> None:
        while self.state is not ClientState.ENDED:
            assert self._socket is not None
            try:
                await self._handle(await self._socket.receive())
            except SignalingClosed as closed:
                if not await self._recover(closed):
                    return
            except BadDescription as error:
                self._fail_join("bad_answer", str(error))
                self._callbacks.on_error("bad_answer", str(error))

    async def _recover(self, closed: SignalingClosed) -> bool:
        """Come back on the same session; media went on meanwhile."""
        if self._joining:
            self._fail_join("closed", str(closed))
            return False
        if closed.final or not self._resume_token:
            self._end(f"closed_{closed.code}")
            return False
        self._callbacks.on_error("closed", str(closed))
        socket = await reconnect(
            self._open,
            messages.Resume(resume_token=self._resume_token),
            window_s=self.config.resume_window_s,
        )
        if socket is None:
            self._end("signaling_lost")
            return False
        self._socket = socket
        return True

    async def _handle(self, message: messages.ToClient) -> None:
        now = time.monotonic()
        if isinstance(message, messages.Queued):
            self._queued(now)
        elif isinstance(message, messages.SessionCreated):
            await self._created(message, now)
        elif isinstance(message, messages.SessionResumed):
            self._resume_token = message.resume_token
        elif isinstance(message, messages.Answer):
            if message.negotiation == self._negotiation and self._media is not None:
                await self._media.answer(message.sdp)
                self.timeline.mark("sdp", time.monotonic())
        elif isinstance(message, messages.IceCandidate):
            if message.negotiation == self._negotiation and self._media is not None:
                await self._media.candidate(message.candidate)
        elif isinstance(message, messages.WorkerReplaced):
            await self._replaced(message, now)
        elif isinstance(message, messages.SessionEnded):
            self._fail_join("session_ended", message.reason)
            self._end(message.reason or "session_ended")
        elif isinstance(message, messages.Error):
            if message.code not in _HARMLESS:
                self._fail_join(message.code, message.error)
            self._callbacks.on_error(message.code, message.error)
            if message.code is ErrorCode.RESUME_REFUSED:
                self._end(message.code)

    def _queued(self, now: float) -> None:
        """No worker yet; or, in the midst of a session, no other one."""
        if not self._joining:
            self._silence.queued(now)
        elif self.state is not ClientState.QUEUED:
            self.timeline.mark("allocate", now)
            self.queued_s = self.queued_s or now
            self.state = ClientState.QUEUED
            self._extend(self.config.patience_s)
            self._callbacks.on_queued()

    async def _created(self, message: messages.SessionCreated, now: float) -> None:
        self.timeline.mark("allocate", now)
        self.timeline.mark("queue", now)
        self.created_s = self.created_s or now
        self.session_id = message.session_id
        self.worker_id = message.worker_id
        self._resume_token = message.resume_token
        self._served(message.ice_servers)
        if self._media is None:
            await self._offer()

    async def _replaced(self, message: messages.WorkerReplaced, now: float) -> None:
        """Another worker has the session: the media of the lost one makes way."""
        self._negotiation = message.negotiation
        self.worker_id = message.worker_id
        self._silence.replaced(now)
        self._served(message.ice_servers)
        if self._media is not None:
            self.meter.new_stream(now)
            self._retiring.append(asyncio.create_task(self._media.close()))
        if self._sampler is not None:
            self._sampler.restart()
        self._callbacks.on_worker_replaced()
        await self._offer()

    def _served(self, ice_servers: tuple[IceServer, ...]) -> None:
        """A worker is there, with these ICE servers besides the client's own."""
        servers = (*self.config.ice.servers, *ice_servers)
        self._ice = dataclasses.replace(self.config.ice, servers=servers)
        if self._joining:
            self.state = ClientState.NEGOTIATING
            self._extend(self.config.join_timeout_s)

    def _extend(self, seconds: float | None) -> None:
        """Move the join's deadline so far from now."""
        if self._join_deadline is not None and not self._join_deadline.expired():
            loop = asyncio.get_running_loop()
            when = None if seconds is None else loop.time() + seconds
            self._join_deadline.reschedule(when)

    async def _offer(self) -> None:
        """Begin a negotiation."""
        negotiation = self._negotiation
        self._media = media = Media(
            self._ice,
            self.config.codec,
            MediaCallbacks(
                on_frame=lambda frame: self._frame(negotiation, frame),
                on_message=self._channel_message,
                on_state=lambda state: self._media_state(negotiation, state),
                on_edit_channel=self._resend_edits,
            ),
            connect_deadline_s=NO_DEADLINE_S,
            path=self.config.path,
            seed=self.config.seed,
        )
        sdp = await media.offer()
        assert self._socket is not None
        await self._socket.send(
            messages.Offer(sdp=sdp, negotiation=negotiation, stream=self.config.stream)
        )

    # --- media ------------------------------------------------------------------------

    def _media_state(self, negotiation: int, state: str) -> None:
        if negotiation != self._negotiation:
            return
        now = time.monotonic()
        if state == "ice":
            self.timeline.mark("ice", now)
        elif state == "connected":
            self.timeline.mark("dtls", now)
        elif self._joining:
            self._fail_join("media_failed", "the media connection failed")

    def _frame(self, negotiation: int, frame: ReceivedFrame) -> None:
        if negotiation != self._negotiation or self.state is ClientState.ENDED:
            return
        if self._media is not None and self._media.receiver.first_packet_s is not None:
            self.timeline.mark("first_packet", self._media.receiver.first_packet_s)
        if self._tier is not None:
            self._tier.frame(frame)

    def frame_shown(self, marker: FrameMarker | None, at_s: float, decoded: bool) -> None:
        """Called by the tier."""
        super().frame_shown(marker, at_s, decoded)
        if self._first_frame is not None and not self._first_frame.done():
            self.timeline.mark("first_frame", at_s)
            self._first_frame.set_result(None)

    # --- data channels ------------------------------------------------------------------

    def _channel_message(self, text: str) -> None:
        try:
            message = codec.to_client_channel.decode(text)
        except ProtocolError as error:
            logger.info("client.channel_message_skipped", code=error.code)
            return
        if isinstance(message, channels.InputAck):
            self.meter.ack(message.frame_id, message.seqs, time.monotonic())
        elif isinstance(message, channels.EditAck):
            self._edit_acknowledged(message.edit_id)
        elif isinstance(message, channels.FrameShown) and self._sampler is not None:
            self._sampler.shown(message)
        self._callbacks.on_message(message)
