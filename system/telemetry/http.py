"""What every HTTP service here shares: typed errors, JSON bodies, health and metrics routes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry

from system.protocol import limits
from system.protocol.codec import BodyDecoder
from system.protocol.errors import (
    RETRYABLE,
    BadMessage,
    ErrorCode,
    MessageTooLarge,
    ProtocolError,
    Unauthorized,
)
from system.protocol.messages import HealthStatus, Refused
from system.telemetry import logs
from system.telemetry.metrics import exposition

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logs.get(__name__)
_encoder = msgspec.json.Encoder()

STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.STALE_FENCE: 409,
    ErrorCode.TOO_MANY: 429,
    ErrorCode.NO_CAPACITY: 503,
    ErrorCode.QUEUE_FULL: 503,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
"""HTTP status of each code; 400 for the rest."""


class HttpRefusal(Exception):
    """A handler refuses the request: ``code`` goes on the wire, the text is safe to show."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def refused(code: ErrorCode, text: str, *, status: int | None = None) -> web.Response:
    """A Refused body with its status."""
    body = Refused(error=text, code=code, retryable=code in RETRYABLE)
    headers = {"WWW-Authenticate": "Bearer"} if code is ErrorCode.UNAUTHORIZED else None
    return json_response(body, status=status or STATUS.get(code, 400), headers=headers)


def json_response(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A struct, or plain data, as a JSON response."""
    return web.Response(
        body=_encoder.encode(body),
        status=status,
        content_type="application/json",
        headers=headers,
    )


async def read_body(request: web.Request, decoder: BodyDecoder[T]) -> T:
    """The request's body.

    Raises:
        BadMessage: not such a body.
        MessageTooLarge: beyond limits.MAX_MESSAGE_BYTES; the rest was not read.
    """
    limit = limits.MAX_MESSAGE_BYTES
    if (request.content_length or 0) > limit:
        raise MessageTooLarge(f"body exceeds {limit} bytes")
    data = bytearray()
    try:
        async for chunk in request.content.iter_chunked(limit):
            data += chunk
            if len(data) > limit:
                raise MessageTooLarge(f"body exceeds {limit} bytes")
    except web.HTTPException:
        raise BadMessage("body cannot be read") from None
    return decoder.decode(bytes(data))


def bearer(request: web.Request) -> str:
    """The bearer token of a request.

    Raises:
        Unauthorized: there is none.
    """
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("a bearer token is required")
    return token.strip()


def error_middleware(*unavailable: type[Exception]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Turns every error into a typed body; no text of another system gets out.

    Args:
        unavailable: errors that mean "try again later" (the store's), answered with 503.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HttpRefusal as error:
            return refused(error.code, str(error))
        except (ProtocolError, Unauthorized) as error:
            return refused(error.code, str(error))
        except web.HTTPException as error:
            return _of_http_exception(error)
        except unavailable as error:
            _log.warning("request.unavailable", path=request.path, error=type(error).__name__)
            return refused(ErrorCode.UNAVAILABLE, "a service behind this one is not available")
        except Exception as error:  # noqa: BLE001 - the boundary to HTTP peers
            _log.exception("request.failed", error, path=request.path, method=request.method)
            return refused(ErrorCode.INTERNAL, "internal error")

    return middleware


def _of_http_exception(error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    code = {
        401: ErrorCode.UNAUTHORIZED,
        403: ErrorCode.FORBIDDEN,
        404: ErrorCode.NOT_FOUND,
        405: ErrorCode.BAD_MESSAGE,
        413: ErrorCode.TOO_LARGE,
    }.get(error.status, ErrorCode.INTERNAL if error.status >= 500 else ErrorCode.BAD_MESSAGE)
    answer = refused(code, error.reason.lower(), status=error.status)
    if hdrs.ALLOW in error.headers:
        answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return answer


@dataclass
class Health:
    """What the health routes say; ``check`` returns the state of each part by name."""

    role: str
    check: Callable[[], Awaitable[dict[str, HealthStatus]]]
    details: Callable[[], dict[str, Any]] = dict
    started_s: float = field(default_factory=time.monotonic)
    ready: bool = False
    """Set when start-up is done, cleared when the process begins to stop."""


def overall(parts: dict[str, HealthStatus]) -> HealthStatus:
    """The worst state of the parts."""
    states = set(parts.values())
    if "unhealthy" in states:
        return "unhealthy"
    return "degraded" if "degraded" in states else "healthy"


def health_routes(health: Health, registry: CollectorRegistry) -> list[web.RouteDef]:
    """``/livez`` (the loop turns), ``/readyz`` (send work), ``/health`` (why), ``/metrics``."""

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        parts = await health.check()
        ready = health.ready and overall(parts) != "unhealthy"
        return web.Response(text="ok\n" if ready else "not ready\n", status=200 if ready else 503)

    async def show(request: web.Request) -> web.Response:
        parts = await health.check()
        status = overall(parts)
        body = {
            "status": status,
            "role": health.role,
            "ready": health.ready,
            "uptime": round(time.monotonic() - health.started_s, 3),
            "parts": parts,
            **health.details(),
        }
        return json_response(body, status=503 if status == "unhealthy" else 200)

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = exposition(registry)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    return [
        web.get("/livez", livez),
        web.get("/readyz", readyz),
        web.get("/health", show),
        web.get("/metrics", metrics),
    ]
