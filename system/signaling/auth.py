"""Who is asking: tokens from the Authorization header or from a WebSocket subprotocol.

A browser cannot set headers on a WebSocket, so it offers the subprotocols
``remote-render.v1`` and ``token.<token>`` (and ``resume.<resume token>``); the
server picks the first and never says the others back. Tokens in URLs are not
read: they end up in logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from system.protocol.errors import Unauthorized
from system.protocol.tokens import Audience, Claims, Keys, verify, worker_token

SUBPROTOCOL: Final = "remote-render.v1"
TOKEN_PREFIX: Final = "token."
RESUME_PREFIX: Final = "resume."
_MAX_TOKEN_CHARS: Final = 4096


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought along; ``protocol`` is the subprotocol to agree to."""

    token: str = field(default="", repr=False)
    resume: str = field(default="", repr=False)
    protocol: str | None = None


def credentials(headers: Mapping[str, str]) -> Credentials:
    """The credentials in a request's headers; a header wins over a subprotocol."""
    offered = [p.strip() for p in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    scheme, _, header = headers.get("Authorization", "").partition(" ")
    token = header.strip() if scheme.lower() == "bearer" else ""
    return Credentials(
        token=token or _first(offered, TOKEN_PREFIX),
        resume=_first(offered, RESUME_PREFIX),
        protocol=SUBPROTOCOL if SUBPROTOCOL in offered else None,
    )


class Gatekeeper:
    """Checks tokens; with ``keys`` None (development mode) everybody is who they say.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, keys: Keys | None, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    def client(self, token: str, user_id: str, project_id: str) -> None:
        """Raise Unauthorized unless ``token`` lets this user join this project."""
        claims = self._claims(Audience.CLIENT, token, user_id)
        if claims is not None and claims.project_id not in (None, project_id):
            raise Unauthorized("the token is for another project")

    def worker(self, token: str, worker_id: str) -> None:
        """Raise Unauthorized unless ``token`` is that of this worker."""
        self._claims(Audience.WORKER, token, worker_id)

    def renewed(self, worker_id: str) -> str | None:
        """A fresh token for a worker that was let in; None in development mode."""
        if self._keys is None:
            return None
        return worker_token(self._keys, worker_id, now_s=self._clock())

    def _claims(self, audience: Audience, token: str, subject: str) -> Claims | None:
        if self._keys is None:
            return None
        if not token:
            raise Unauthorized("a token is required")
        if len(token) > _MAX_TOKEN_CHARS:
            raise Unauthorized("the token is not valid here")
        claims = verify(self._keys, audience, token, now_s=self._clock())
        if claims.subject != subject:
            raise Unauthorized("the token is for somebody else")
        return claims


def _first(offered: list[str], prefix: str) -> str:
    return next((p.removeprefix(prefix) for p in offered if p.startswith(prefix)), "")
