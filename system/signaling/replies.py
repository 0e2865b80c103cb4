"""What a client is told when something fails: our words alone, and a close code. Pure."""

from __future__ import annotations

import re
from typing import Final

from system.protocol.errors import CloseCode, ErrorCode

_REASON = re.compile(r"[a-z][a-z_ -]{0,39}")

_TEXTS: Final[dict[ErrorCode, str]] = {
    ErrorCode.NO_CAPACITY: "no worker is available",
    ErrorCode.QUEUE_FULL: "too many are waiting for a worker",
    ErrorCode.UNAVAILABLE: "the service is temporarily unavailable",
    ErrorCode.WORKER_LOST: "the worker was lost",
    ErrorCode.CONNECT_TIMEOUT: "the media connection was not made in time",
    ErrorCode.BAD_DESCRIPTION: "the worker cannot use the session description",
    ErrorCode.BAD_CANDIDATE: "the worker cannot use the candidate",
    ErrorCode.RESUME_REFUSED: "the session cannot be resumed",
    ErrorCode.FORBIDDEN: "this is not allowed",
}


CLOSE: Final[dict[ErrorCode, CloseCode]] = {
    ErrorCode.NO_CAPACITY: CloseCode.NO_CAPACITY,
    ErrorCode.QUEUE_FULL: CloseCode.NO_CAPACITY,
    ErrorCode.CONNECT_TIMEOUT: CloseCode.SESSION_ENDED,
    ErrorCode.WORKER_LOST: CloseCode.SESSION_ENDED,
    ErrorCode.FORBIDDEN: CloseCode.FORBIDDEN,
}


def text(code: ErrorCode) -> str:
    """The text that goes with ``code``; never what another process wrote."""
    return _TEXTS.get(code, "the session has a problem")


def reason(given: str) -> str:
    """A reason to show: a word or a few in lower case, as our own processes give them."""
    return given if _REASON.fullmatch(given) else "ended"
