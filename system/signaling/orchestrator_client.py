"""The orchestrator's HTTP interface as signaling uses it: deadlines, typed errors, nothing else."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from system.protocol import codec
from system.protocol.errors import ErrorCode, ProtocolError
from system.protocol.messages import Allocated, AllocateRequest, Ticket
from system.protocol.tokens import SERVICE_TTL_S, Audience, Keys, sign

_POLL_MARGIN_S: Final = 2.0
_PAUSE_S: Final = 0.05
_MAX_BODY: Final = 64 * 1024


class OrchestratorUnavailable(Exception):
    """It could not be reached, did not answer in time, or made no sense."""


class AllocationRefused(Exception):
    """It answered that there will be no worker; ``code`` says why."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.value)
        self.code = code


class OrchestratorClient:
    """One per node; an async context manager.

    Allocations and long polls have connection pools of their own, so that a
    long queue never delays somebody who could be served at once.
    """

    def __init__(self, url: str, node: str, keys: Keys | None) -> None:
        self._base = URL(url.rstrip("/") + "/")
        self._node = node
        self._keys = keys
        self._token = ""
        self._token_until = 0.0
        self._calls: aiohttp.ClientSession
        self._polls: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._calls = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=128))
        self._polls = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._calls.close()
        await self._polls.close()

    async def allocate(self, request: AllocateRequest, *, deadline_s: float) -> Allocated | Ticket:
        """A worker, or a place in the queue; tried again within the deadline.

        Repeating is safe: the session id makes it the same request.

        Raises:
            AllocationRefused: no worker, and no place in the queue.
            OrchestratorUnavailable: no answer in time.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    try:
                        return await self._ask(self._calls, "POST", "allocate", request)
                    except aiohttp.ClientConnectionError:
                        await asyncio.sleep(_PAUSE_S)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise OrchestratorUnavailable(type(error).__name__) from None

    async def wait(self, ticket: Ticket, *, wait_ms: int) -> Allocated | Ticket:
        """The ticket's worker, or its new position; returns at the latest after ``wait_ms``.

        Raises as ``allocate`` does; AllocationRefused where the ticket is unknown.
        """
        query = {"waitMs": str(wait_ms), "position": str(ticket.position)}
        try:
            async with asyncio.timeout(wait_ms / 1000 + _POLL_MARGIN_S):
                return await self._ask(self._polls, "GET", _ticket_path(ticket.ticket), None, query)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise OrchestratorUnavailable(type(error).__name__) from None

    async def abandon(self, ticket: str, *, deadline_s: float = 2.0) -> bool:
        """Give a place in the queue back; False where that could not be said."""
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._calls.delete(
                    self._base.join(URL(_ticket_path(ticket), encoded=True)),
                    headers=self._headers(),
                ) as response,
            ):
                return response.status < 500
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def alive(self, *, deadline_s: float = 1.0) -> bool:
        """Whether it answers at all."""
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._calls.get(self._base.join(URL("livez"))) as response,
            ):
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        body: msgspec.Struct | None,
        query: dict[str, str] | None = None,
    ) -> Allocated | Ticket:
        url = self._base.join(URL(path, encoded=True))
        data: Any = None if body is None else codec.encode(body)
        async with session.request(
            method, url, data=data, params=query, headers=self._headers()
        ) as response:
            text = await response.content.read(_MAX_BODY)
            try:
                if response.status == 200:
                    return codec.allocated.decode(text)
                if response.status == 202:
                    return codec.ticket.decode(text)
                code = codec.refused.decode(text).code
            except ProtocolError:
                raise OrchestratorUnavailable(f"status {response.status}") from None
        if code in (ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL):
            raise OrchestratorUnavailable(code.value)
        raise AllocationRefused(code)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._keys is not None:
            now_s = time.time()
            if now_s > self._token_until:
                self._token = sign(
                    self._keys, Audience.SERVICE, self._node, now_s=now_s, ttl_s=SERVICE_TTL_S
                )
                self._token_until = now_s + SERVICE_TTL_S / 2
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def _ticket_path(ticket: str) -> str:
    return f"tickets/{quote(ticket, safe='')}"
