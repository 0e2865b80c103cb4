"""Owns the one WebSocket to signaling: connecting, registering, bounded writing.

::

    ControlError
    ├── ControlRefused       signaling does not want this worker; trying again is useless
    └── ControlUnreachable   no signaling within the time allowed
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from yarl import URL

from system.protocol import codec
from system.protocol.errors import CloseCode, ProtocolError
from system.protocol.limits import MAX_CONTROL_BYTES
from system.protocol.messages import Message, Register, Registered, TokenRenewed, ToWorker
from system.telemetry import logs
from system.worker.backoff import full_jitter_s
from system.worker.config import WorkerConfig

_log = logs.get(__name__)

CONNECT_DEADLINE_S: Final = 5.0
REGISTER_DEADLINE_S: Final = 10.0
WRITE_DEADLINE_S: Final = 3.0
PING_EVERY_S: Final = 5.0
FIRST_TIME_S: Final = 30.0
"""How long a worker that never registered tries to."""

GIVE_UP_S: Final = 60.0
"""How long one that was registered, and holds no session, tries to come back."""

MAX_UNSENT: Final = 1024
USELESS: Final = range(4000, 4500)


class ControlError(Exception):
    """The worker cannot be controlled; ``str(error)`` is one line for its user."""


class ControlRefused(ControlError):
    """A token, an id or a generation that signaling does not accept."""


class ControlUnreachable(ControlError):
    """Signaling could not be reached for too long."""


class Control:
    """Keeps the worker registered. While it is away, media goes on and messages are dropped.

    What was dropped is made good by registering again with the sessions held.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        register: Callable[[], Register],
        received: Callable[[ToWorker], None],
        keep_trying: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        self._config = config
        self._register = register
        self._received = received
        self._keep_trying = keep_trying
        self._rng = rng
        self._token = config.token
        self._unsent: asyncio.Queue[Message] = asyncio.Queue(MAX_UNSENT)
        self._writer: asyncio.Task[None] | None = None
        self.registered = False
        self.registrations = 0

    def send(self, message: Message) -> bool:
        """Queue a message; False, and nothing sent, while signaling is away."""
        if not self.registered:
            return False
        try:
            self._unsent.put_nowait(message)
        except asyncio.QueueFull:
            _log.warning("control.overflow")
            self.registered = False
            if self._writer is not None:
                self._writer.cancel()
            return False
        return True

    async def flush(self, timeout_s: float) -> None:
        """Wait until what was queued is written, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._unsent.join()

    async def run(self) -> None:
        """Connect, serve, reconnect, until cancelled. Raises ControlError."""
        async with aiohttp.ClientSession() as http:
            since = time.monotonic()
            attempt = 0
            while True:
                before = self.registrations
                try:
                    await self._connected(http)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    _log.info("control.lost", error=type(error).__name__)
                finally:
                    self._forget()
                if self.registrations != before:
                    since, attempt = time.monotonic(), 0
                allowed_s = GIVE_UP_S if self.registrations else FIRST_TIME_S
                if time.monotonic() - since > allowed_s and not self._keep_trying():
                    where = URL(self._config.signaling).authority
                    raise ControlUnreachable(f"signaling at {where} cannot be reached")
                attempt += 1
                await asyncio.sleep(full_jitter_s(attempt, self._rng))

    async def _connected(self, http: aiohttp.ClientSession) -> None:
        """One connection, until either direction of it ends."""
        socket = await self._open(http)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WRITE_DEADLINE_S):
                await socket.send_str(codec.encode(self._register()))
            reader = loop.create_task(self._read(socket))
            self._writer = loop.create_task(self._write(socket))
            try:
                await asyncio.wait((reader, self._writer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.registered = False
                await _ended(reader, self._writer)
        finally:
            await _close(socket)
        _judge(socket.close_code)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async with asyncio.timeout(REGISTER_DEADLINE_S) as registering:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return
                message = _decoded(frame.data)
                if isinstance(message, Registered):
                    registering.reschedule(None)
                    self.registered = True
                    self.registrations += 1
                if isinstance(message, TokenRenewed):
                    self._token = message.token
                elif message is not None:
                    self._received(message)

    async def _open(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        config = self._config
        url = URL(config.signaling).update_query(
            type="worker", userId=config.worker_id, projectId=config.pool
        )
        headers = {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                return await http.ws_connect(
                    url,
                    headers=headers,
                    heartbeat=PING_EVERY_S,
                    max_msg_size=MAX_CONTROL_BYTES,
                    compress=0,
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                raise ControlRefused(f"signaling refuses this worker ({error.status})") from None
            raise

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Write what is queued; a socket that does not take it in time is given up."""
        while True:
            message = await self._unsent.get()
            try:
                async with asyncio.timeout(WRITE_DEADLINE_S):
                    await socket.send_str(codec.encode(message))
            finally:
                self._unsent.task_done()

    def _forget(self) -> None:
        self._writer = None
        while not self._unsent.empty():
            self._unsent.get_nowait()
            self._unsent.task_done()


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks and await them; what a broken connection raised is logged."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, TimeoutError | aiohttp.ClientError | OSError):
                raise error
            _log.warning("control.broken", error=type(error).__name__)


def _decoded(raw: str) -> ToWorker | None:
    try:
        return codec.to_worker.decode(raw)
    except ProtocolError as error:
        _log.warning("control.message_refused", code=error.code.value)
        return None


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(WRITE_DEADLINE_S):
            await socket.close()


def _judge(close_code: int | None) -> None:
    """Raise ControlRefused where signaling said that coming back is useless."""
    if close_code is not None and close_code in USELESS:
        known = close_code in set(CloseCode)
        name = CloseCode(close_code).name.lower() if known else "refused"
        raise ControlRefused(f"signaling closed the connection for good ({close_code} {name})")
