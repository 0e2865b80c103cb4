"""Join tokens, worker and service tokens (JWT, HS256), and TURN REST credentials.

Each audience has a key of its own, so that a client's token can never pass as
a worker's or a service's, whatever it claims.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import jwt

from system.protocol.errors import Unauthorized

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 5
JOIN_TTL_S: Final = 60
SERVICE_TTL_S: Final = 300
WORKER_TTL_S: Final = 24 * 3600
TURN_TTL_S: Final = 300
MIN_KEY_BYTES: Final = 32


class Audience(StrEnum):
    """Who a token is for; also which key signs it."""

    CLIENT = "remote-render-client"
    WORKER = "remote-render-worker"
    SERVICE = "remote-render-service"


ROLES: Final = {Audience.CLIENT: "client", Audience.WORKER: "worker", Audience.SERVICE: "service"}


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The signing key of each audience, at least 32 bytes each."""

    client: bytes
    worker: bytes
    service: bytes

    def __post_init__(self) -> None:
        for name in ("client", "worker", "service"):
            if len(getattr(self, name)) < MIN_KEY_BYTES:
                raise ValueError(f"the {name} key needs at least {MIN_KEY_BYTES} bytes")
        if len({self.client, self.worker, self.service}) != len(ROLES):
            raise ValueError("the client, worker and service keys must differ")

    @classmethod
    def generate(cls) -> Keys:
        """Fresh random keys, for one run of the embedded stack."""
        return cls(secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(32))

    @classmethod
    def from_secret(cls, secret: str) -> Keys:
        """The three keys derived from one deployment secret (HMAC-SHA256 by audience).

        Raises:
            ValueError: the secret has fewer than 32 characters.
        """
        if len(secret) < MIN_KEY_BYTES:
            raise ValueError(f"the secret needs at least {MIN_KEY_BYTES} characters")
        client, worker, service = (
            hmac.new(secret.encode(), audience.value.encode(), hashlib.sha256).digest()
            for audience in Audience
        )
        return cls(client, worker, service)

    def of(self, audience: Audience) -> bytes:
        """The key that signs tokens for ``audience``."""
        return {
            Audience.CLIENT: self.client,
            Audience.WORKER: self.worker,
            Audience.SERVICE: self.service,
        }[audience]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    subject: str
    audience: Audience
    project_id: str | None = None


def sign(
    keys: Keys,
    audience: Audience,
    subject: str,
    *,
    now_s: float,
    ttl_s: float,
    project_id: str | None = None,
) -> str:
    """A token for ``subject`` that is valid for ``ttl_s`` seconds from ``now_s`` (Unix time)."""
    claims: dict[str, object] = {
        "aud": audience.value,
        "role": ROLES[audience],
        "sub": subject,
        "iat": int(now_s),
        "exp": int(now_s + ttl_s),
    }
    if project_id is not None:
        claims["projectId"] = project_id
    return jwt.encode(claims, keys.of(audience), algorithm=ALGORITHM)


def worker_token(keys: Keys, worker_id: str, *, now_s: float) -> str:
    """What lets one worker register, and nothing else. Workers are handed it, never the key."""
    return sign(keys, Audience.WORKER, worker_id, now_s=now_s, ttl_s=WORKER_TTL_S)


def verify(keys: Keys, audience: Audience, token: str, *, now_s: float) -> Claims:
    """The claims of a token for ``audience``.

    Raises:
        Unauthorized: malformed, signed with another key or algorithm, expired,
            or for another audience or role. The text does not say which key.
    """
    try:
        claims = jwt.decode(
            token,
            keys.of(audience),
            algorithms=[ALGORITHM],
            audience=audience.value,
            options={
                "require": ["aud", "role", "sub", "exp"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        expires = float(claims["exp"])
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
        raise Unauthorized("the token is not valid here") from None
    if now_s > expires + LEEWAY_S:
        raise Unauthorized("the token has expired")
    if claims["role"] != ROLES[audience]:
        raise Unauthorized("the token is not valid here")
    project = claims.get("projectId")
    return Claims(str(claims["sub"]), audience, None if project is None else str(project))


def new_resume_token() -> str:
    """A fresh single-use token, 256 bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What the store keeps of a resume token."""
    return hashlib.sha256(token.encode()).hexdigest()


def turn_credentials(
    secret: str, user: str, *, now_s: float, ttl_s: float = TURN_TTL_S
) -> tuple[str, str]:
    """Username and password for a TURN server that shares ``secret`` (TURN REST API)."""
    username = f"{int(now_s + ttl_s)}:{user}"
    mac = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(mac).decode()
