"""The client's WebSocket to signaling: messages out and in, keep-alive, bounded waits."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from system.protocol import codec
from system.protocol.errors import ProtocolError
from system.protocol.limits import MAX_MESSAGE_BYTES
from system.protocol.messages import Message, Ping, Pong, ToClient
from system.telemetry import logs

logger = logs.get(__name__)

OPEN_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0


class SignalingClosed(Exception):
    """The socket is gone. ``code`` is the close code, 1006 where there was none."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"signaling closed with {code} {reason}".rstrip())
        self.code = code

    @property
    def final(self) -> bool:
        """Reconnecting is useless (see system.protocol.errors.CloseCode)."""
        return self.code == 1008 or 4000 <= self.code < 4500


class SignalingSocket:
    """One connection. Reading answers pings; unknown and malformed messages are skipped."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._websocket = websocket
        self.skipped = 0

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        url: str,
        user_id: str,
        project_id: str,
        token: str | None,
        timeout_s: float = OPEN_TIMEOUT_S,
    ) -> SignalingSocket:
        """Connect; raises SignalingClosed, whose code is 4401/4403 for a refused token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with asyncio.timeout(timeout_s):
                websocket = await http.ws_connect(
                    websocket_url(url),
                    params={"userId": user_id, "projectId": project_id},
                    headers=headers,
                    max_msg_size=MAX_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            code = {401: 4401, 403: 4403}.get(error.status, 1006)
            raise SignalingClosed(code, f"HTTP {error.status}") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise SignalingClosed(1006, type(error).__name__) from None
        return cls(websocket)

    async def send(self, message: Message) -> None:
        """Raises SignalingClosed; a peer that does not read for five seconds counts as gone."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._websocket.send_str(codec.encode(message))
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise SignalingClosed(1006, type(error).__name__) from None

    async def receive(self) -> ToClient:
        """The next message; waits as long as it takes, raises SignalingClosed at the end."""
        while True:
            received = await self._websocket.receive()
            if received.type is not aiohttp.WSMsgType.TEXT:
                if received.type is aiohttp.WSMsgType.BINARY:
                    self.skipped += 1
                    continue
                raise SignalingClosed(self._websocket.close_code or 1006)
            try:
                message = codec.to_client.decode(received.data)
            except ProtocolError as error:
                self.skipped += 1
                logger.info("signaling.skipped", code=error.code)
                continue
            if isinstance(message, Ping):
                await self.send(Pong(time=message.time))
                continue
            return message

    async def close(self) -> None:
        """Say goodbye, at most for two seconds."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._websocket.close()
        except TimeoutError:
            logger.info("signaling.close_timed_out")


def websocket_url(url: str) -> str:
    """``http`` and ``https`` are taken as ``ws`` and ``wss``; a bare origin gets the path /ws."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.netloc:
        raise ValueError("a signaling URL begins with ws:// or wss://")
    return urlunsplit((scheme, parts.netloc, parts.path or "/ws", parts.query, ""))
