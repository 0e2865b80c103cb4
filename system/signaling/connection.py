"""One WebSocket: bounded in what it holds, reads and waits for.

A peer that does not read is cut after the write deadline, one that is silent
after the silence deadline, one that sends rubbish after a number of errors.
Nothing here knows what the messages mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec
from aiohttp import WSMsgType, web

from system.protocol.codec import Decoder, encode
from system.protocol.errors import RETRYABLE, CloseCode, ErrorCode, MessageTooLarge, ProtocolError
from system.protocol.messages import Error
from system.signaling.config import Bounds
from system.signaling.limits import Bucket
from system.signaling.metrics import Metrics
from system.telemetry import logs

log = logs.get(__name__)
T = TypeVar("T", bound=msgspec.Struct)

_SECOND_LOOK_S: Final = 0.1
"""A silent peer is looked at again after this, once the loop has read its sockets."""

_BY_PEER: Final = frozenset({"left", "dropped", "reset"})

_HIGH_WATER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Liveness:
    """When a peer counts as lost. ``ping_s`` None: not pinged, it must speak by itself.

    ``frames``: whether protocol pongs count as life; a worker must send messages.
    """

    silence_s: float
    ping_s: float | None = None
    frames: bool = True

    @classmethod
    def of_client(cls, heartbeat_s: float) -> Liveness:
        return cls(silence_s=1.5 * heartbeat_s, ping_s=heartbeat_s)

    @classmethod
    def of_worker(cls, heartbeat_s: float) -> Liveness:
        """Lost within one and a half heartbeats and half a second, looks and notice included."""
        return cls(silence_s=1.5 * heartbeat_s + 0.5 - 2 * _SECOND_LOOK_S, frames=False)


class Connection(Generic[T]):
    """A WebSocket whose peer may send ``T``.

    ``receive`` is for one task, the owner's; ``send`` and ``close`` never wait
    and may be called from anywhere in the loop. ``finish`` must be awaited.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        decoder: Decoder[T],
        *,
        role: str,
        bounds: Bounds,
        liveness: Liveness,
        metrics: Metrics,
        queue_bytes: int,
        rate: Bucket | None = None,
    ) -> None:
        self._queue_limit = queue_bytes
        self._ws = ws
        self._transport = transport
        self._decoder = decoder
        self._role = role
        self._bounds = bounds
        self._liveness = liveness
        self._metrics = metrics
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[WSMsgType, bytes]] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing: tuple[CloseCode, str] | None = None
        self._ended = ""
        self._bad = 0
        self._life = self._loop.time()
        self._receiving = False
        self._suspected = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        if transport is not None:
            transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._writer = self._loop.create_task(self._write(), name=f"{role}-writer")
        self._schedule(liveness.ping_s or liveness.silence_s)
        metrics.connections.labels(role).inc()
        metrics.accepted.labels(role).inc()

    @property
    def ended(self) -> str:
        """Why the connection is over, or about to be; empty while it is open."""
        return self._ended

    @property
    def ended_by_peer(self) -> bool:
        """Whether the peer's side closed or reset it, and not we for its silence or errors."""
        return self._ended in _BY_PEER

    def send(self, message: msgspec.Struct) -> None:
        """Queue a message; one more than the queue holds ends a slow reader."""
        if self._ended:
            return
        self._metrics.sent.labels(self._role).inc()
        self._put(WSMsgType.TEXT, encode(message).encode())

    def send_error(self, code: ErrorCode, text: str, *, retry_after_ms: int | None = None) -> None:
        """Queue a typed error; ``text`` must be safe to show."""
        self._metrics.errors.labels(self._role, code.value).inc()
        self.send(
            Error(error=text, code=code, retryable=code in RETRYABLE, retry_after_ms=retry_after_ms)
        )

    def close(self, code: CloseCode, reason: str) -> None:
        """Write what is queued, then close; the first call decides."""
        if self._ended:
            return
        self._ended = reason
        self._closing = (code, reason)
        self._wake.set()

    def lose(self, reason: str) -> None:
        """Cut the socket now: nothing more reaches the peer."""
        self._ended = self._ended or reason
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    async def receive(self) -> T | None:
        """The next message; None when the connection is over.

        What the peer must not send is answered with a typed error here.
        """
        while not self._ended:
            self._receiving = True
            try:
                frame = await self._ws.receive()
            finally:
                self._receiving = False
            data = frame.data
            if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._life = self._loop.time()
                if self._too_fast():
                    break
                if (message := self._decode(data)) is not None:
                    return message
            elif frame.type in (WSMsgType.PING, WSMsgType.PONG):
                if self._liveness.frames:
                    self._life = self._loop.time()
                if self._too_fast():
                    break
                if frame.type is WSMsgType.PING:
                    self._put(WSMsgType.PONG, bytes(data))
            else:
                self._ended = self._ended or _why(self._ws.close_code)
        return None

    async def finish(self) -> None:
        """Wait, bounded, until everything is written and the socket is closed."""
        self._ended = self._ended or "left"
        self._wake.set()
        deadline_s = self._bounds.write_deadline_s + self._bounds.close_deadline_s
        done, _ = await asyncio.wait({self._writer}, timeout=2 * deadline_s)
        if not done:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self._metrics.connections.labels(self._role).dec()
        self._metrics.closed.labels(self._role, self._ended).inc()

    # --- reading ---------------------------------------------------------------

    def _decode(self, data: str | bytes) -> T | None:
        try:
            message = self._decoder.decode(data)
        except ProtocolError as error:
            self.refuse(error)
            return None
        tag = str(message.__struct_config__.tag)
        self._metrics.received.labels(self._role, tag).inc()
        return message

    def refuse(self, error: ProtocolError) -> None:
        """Tell the peer what was wrong with its message; too often, or too much, ends it."""
        self.send_error(error.code, str(error))
        self._bad += 1
        if isinstance(error, MessageTooLarge):
            self.close(CloseCode.TOO_BIG, "message_too_large")
        elif self._bad >= self._bounds.bad_messages:
            self.close(CloseCode.POLICY, "too_many_errors")

    def _too_fast(self) -> bool:
        if self._rate is None or self._rate.take(self._life):
            return False
        self.send_error(ErrorCode.TOO_MANY, "too many messages")
        self.close(CloseCode.POLICY, "too_many_messages")
        return True

    # --- writing ---------------------------------------------------------------

    def _put(self, kind: WSMsgType, data: bytes) -> None:
        bounds = self._bounds
        self._queued_bytes += len(data)
        if len(self._queue) >= bounds.queue_messages or self._queued_bytes > self._queue_limit:
            self._queue.clear()
            self._slow()
            return
        self._queue.append((kind, data))
        self._wake.set()

    async def _write(self) -> None:
        while True:
            while self._queue:
                kind, data = self._queue.popleft()
                self._queued_bytes -= len(data)
                try:
                    async with asyncio.timeout(self._bounds.write_deadline_s):
                        await self._ws.send_frame(data, kind)
                except TimeoutError:
                    self._slow()
                    return
                except (ConnectionError, RuntimeError):
                    self._ended = self._ended or "reset"
                    return
            if self._closing is not None:
                await self._close(*self._closing)
                return
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _close(self, code: CloseCode, reason: str) -> None:
        try:
            async with asyncio.timeout(self._bounds.close_deadline_s):
                await self._ws.close(code=code, message=reason.encode())
        except TimeoutError:
            self.lose(reason)
        except (ConnectionError, RuntimeError):
            return

    def _slow(self) -> None:
        """The peer does not read: its close code cannot reach it, so the log has it."""
        log.warning("peer.slow", peer=self._role, code=int(CloseCode.SLOW_READER))
        self._ended = "slow_reader"
        self._closing = None
        self.lose("slow_reader")

    # --- liveness --------------------------------------------------------------

    def _schedule(self, after_s: float) -> None:
        self._due = self._loop.time() + max(0.01, after_s)
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        """Ping or lose a silent peer.

        Silence is the peer's fault only if its messages could have been read:
        not while the owner is busy with an earlier one, and not before a second
        look, since this very loop may have been held up.
        """
        if self._ended:
            return
        now = self._loop.time()
        silent_s = now - self._life
        liveness = self._liveness
        if silent_s >= liveness.silence_s:
            if self._suspected and self._receiving:
                self.lose("silent")
                return
            self._suspected = self._receiving
            self._schedule(max(_SECOND_LOOK_S, now - self._due))
            return
        self._suspected = False
        if liveness.ping_s is not None and silent_s < liveness.ping_s:
            self._schedule(liveness.ping_s - silent_s)
            return
        if liveness.ping_s is not None:
            self._put(WSMsgType.PING, b"")
        self._schedule(liveness.silence_s - silent_s)


def _why(close_code: int | None) -> str:
    if close_code == CloseCode.TOO_BIG:
        return "message_too_large"
    return "left" if close_code in (CloseCode.NORMAL, CloseCode.GOING_AWAY) else "dropped"
