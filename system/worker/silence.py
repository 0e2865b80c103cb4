"""Owns when a session without signs of life is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DETACHED_HEARTBEATS: Final = 1.5
CLOSED_S: Final = 0.7
"""Long enough for seven questions, and for the answer to one to cross the world and back."""

SILENT_S: Final = 30.0
"""As long as ICE consent itself takes to expire (6 checks of 5 s)."""


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a viewer at one moment, in monotonic seconds.

    ``heard_s``: last RTCP or STUN, None before any. ``deadline_s``: when it must
    have connected, None once it has. ``closed_s``: when its own side ended its
    signaling socket, None where it did not.
    """

    attached: bool
    heard_s: float | None
    deadline_s: float | None
    closed_s: float | None = None


def verdict(life: Life, now_s: float, heartbeat_s: float) -> str | None:
    """Why the session ends now, or None.

    Signaling traffic is no sign of life and its absence no sign of death: a
    stream may run for hours without any. But a viewer whose signaling socket is
    gone *and* who falls silent is gone: soon where its own side closed the
    socket, which is what the system does for a process that was killed.
    """
    if life.deadline_s is not None:
        return "connect_timeout" if now_s >= life.deadline_s else None
    if life.heard_s is None:
        return None
    silent_s = now_s - life.heard_s
    if life.attached:
        return "media_silent" if silent_s >= SILENT_S else None
    if silent_s >= DETACHED_HEARTBEATS * heartbeat_s:
        return "client_gone"
    if life.closed_s is not None and now_s - max(life.closed_s, life.heard_s) >= CLOSED_S:
        return "client_gone"
    return None
