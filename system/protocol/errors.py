"""Errors that cross a boundary, their codes on the wire, and WebSocket close codes.

::

    ProtocolError                 a peer sent something that is refused
    ├── BadMessage                not JSON, not an object, a wrong type or a missing field
    ├── UnknownType               well-formed, but no message of that type exists here
    ├── MessageTooLarge           beyond limits.MAX_MESSAGE_BYTES
    ├── BadDescription            an SDP that cannot be used
    └── BadCandidate              an ICE candidate that cannot be used
    Unauthorized                  no, an expired, or somebody else's token

Each carries a ``code`` (an ErrorCode) that goes on the wire and a text that is
safe to show: never upstream output, never the input itself.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """The ``code`` of an ``error`` message; machine-readable and stable."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    BAD_DESCRIPTION = "bad_description"
    BAD_CANDIDATE = "bad_candidate"
    TOO_MANY = "too_many"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NO_CAPACITY = "no_capacity"
    QUEUE_FULL = "queue_full"
    UNAVAILABLE = "unavailable"
    WORKER_LOST = "worker_lost"
    CONNECT_TIMEOUT = "connect_timeout"
    STALE_FENCE = "stale_fence"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    EDIT_REFUSED = "edit_refused"
    RESUME_REFUSED = "resume_refused"
    INTERNAL = "internal"


RETRYABLE: frozenset[ErrorCode] = frozenset(
    {
        ErrorCode.NO_CAPACITY,
        ErrorCode.QUEUE_FULL,
        ErrorCode.UNAVAILABLE,
        ErrorCode.WORKER_LOST,
        ErrorCode.CONNECT_TIMEOUT,
        ErrorCode.STALE_FENCE,
        ErrorCode.CONFLICT,
        ErrorCode.INTERNAL,
    }
)
"""Codes after which trying again later may succeed."""


class CloseCode(IntEnum):
    """WebSocket close codes. 4000-4499: reconnecting is useless, 4500-4999: reconnect."""

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY = 1008
    TOO_BIG = 1009
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    REPLACED = 4409
    SESSION_ENDED = 4410
    SLOW_READER = 4508
    NO_CAPACITY = 4513
    UNAVAILABLE = 4503


class ProtocolError(Exception):
    """A peer sent something that is refused; ``str(error)`` may be shown to it."""

    code: ClassVar[ErrorCode] = ErrorCode.BAD_MESSAGE


class BadMessage(ProtocolError):
    """Not JSON, not an object, or a field of a wrong type."""


class UnknownType(ProtocolError):
    """No message of that type exists on this connection."""

    code = ErrorCode.UNKNOWN_TYPE


class MessageTooLarge(ProtocolError):
    """Longer than this connection allows."""

    code = ErrorCode.TOO_LARGE


class BadDescription(ProtocolError):
    """A session description that cannot be used."""

    code = ErrorCode.BAD_DESCRIPTION


class BadCandidate(ProtocolError):
    """An ICE candidate that cannot be used."""

    code = ErrorCode.BAD_CANDIDATE


class Unauthorized(Exception):
    """A token is missing, malformed, expired, or for another audience, role or subject."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAUTHORIZED
