"""A session, its states and events, and its transitions.

requested -> queued -> reserved -> connecting -> active -> (suspended) -> ended.

A session whose worker is lost may be *moved*: it is queued again, under the
same id and with the next negotiation. Without its client it waits suspended and
without a worker: nobody holds a slot for a client that is away and sees nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from system.protocol.fields import Fence
from system.protocol.states.refusal import Refusal, refuse


class SessionState(StrEnum):
    REQUESTED = "requested"
    QUEUED = "queued"
    RESERVED = "reserved"
    CONNECTING = "connecting"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    """A viewer's session. ``fence`` and ``worker_id`` are set together, with a reservation."""

    session_id: str
    client_id: str
    project_id: str
    pool: str
    state: SessionState = SessionState.REQUESTED
    worker_id: str | None = None
    fence: Fence | None = None
    fence_n: int = 0
    """``n`` of its last fence; its next one is higher, whichever worker gives it.

    So a fence also says which placement of the session is meant.
    """
    lease_until_ms: int | None = None
    """A reservation that no worker has confirmed by then is void."""
    suspended_until_ms: int | None = None
    """A suspended session that has not resumed by then has ended."""
    negotiation: int = 1
    """Grows by one each time the session loses a worker."""
    moves: bool = False
    """Its client can be given another worker."""
    node: str = ""
    """Signaling node to which the client is attached."""
    resume_digest: str = ""
    """SHA-256 of the one resume token that is valid now."""
    created_ms: int = 0
    reason: str = ""

    @property
    def moved(self) -> bool:
        """It has lost a worker before."""
        return self.negotiation > 1

    @property
    def movable(self) -> bool:
        """Losing its worker is not its end. One that no worker ever had begins anew instead."""
        if not self.moves or self.state is SessionState.ENDED:
            return False
        return self.moved or self.state in HELD


HELD = frozenset({SessionState.CONNECTING, SessionState.ACTIVE, SessionState.SUSPENDED})
"""States in which a worker has the session, unless it is suspended without one."""


@dataclass(frozen=True, slots=True)
class SessionQueued:
    pass


@dataclass(frozen=True, slots=True)
class SessionReserved:
    """A slot of a worker is leased to the session until ``lease_until_ms``."""

    worker_id: str
    fence: Fence
    lease_until_ms: int


@dataclass(frozen=True, slots=True)
class SessionConfirmed:
    """The worker has the session."""

    fence: Fence


@dataclass(frozen=True, slots=True)
class SessionActivated:
    """Media flows."""

    fence: Fence


@dataclass(frozen=True, slots=True)
class SessionSuspended:
    """The client's signaling socket is gone; it may come back until ``until_ms``."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class SessionResumed:
    """The client is back, on ``node``, with the next resume token."""

    node: str
    resume_digest: str


@dataclass(frozen=True, slots=True)
class SessionUnplaced:
    """Its worker was lost, or never confirmed: it waits for another one.

    The next worker is offered the next ``negotiation``. A suspended session
    stays so until its client is back.
    """


@dataclass(frozen=True, slots=True)
class SessionEnded:
    reason: str


SessionEvent = (
    SessionQueued
    | SessionReserved
    | SessionConfirmed
    | SessionActivated
    | SessionSuspended
    | SessionResumed
    | SessionUnplaced
    | SessionEnded
)


def apply_session(record: Session, event: SessionEvent) -> Session | Refusal:
    """The session after the event, or why the event does not fit it."""
    state = SessionState
    if record.state is state.ENDED:
        return refuse(record.state, event)
    match event:
        case SessionQueued() if record.state is state.REQUESTED:
            return replace(record, state=state.QUEUED)
        case SessionReserved() if record.state in (state.REQUESTED, state.QUEUED):
            return replace(
                record,
                state=state.RESERVED,
                worker_id=event.worker_id,
                fence=event.fence,
                fence_n=event.fence.n,
                lease_until_ms=event.lease_until_ms,
            )
        case SessionConfirmed() if record.state is state.RESERVED:
            if event.fence != record.fence:
                return Refusal("stale fence")
            return replace(record, state=state.CONNECTING, lease_until_ms=None)
        case SessionActivated() if record.state in (state.CONNECTING, state.ACTIVE):
            if event.fence != record.fence:
                return Refusal("stale fence")
            return replace(record, state=state.ACTIVE)
        case SessionSuspended() if record.state is state.ACTIVE or (
            record.moved and record.worker_id is None and record.state is not state.SUSPENDED
        ):
            return replace(
                record, state=state.SUSPENDED, suspended_until_ms=event.until_ms, node=""
            )
        case SessionResumed() if record.state in (state.SUSPENDED, state.ACTIVE):
            return replace(
                record,
                state=state.REQUESTED if record.worker_id is None else state.ACTIVE,
                suspended_until_ms=None,
                node=event.node,
                resume_digest=event.resume_digest,
            )
        case SessionUnplaced() if record.worker_id is not None:
            suspended = record.state is state.SUSPENDED
            return replace(
                record,
                state=state.SUSPENDED if suspended else state.REQUESTED,
                worker_id=None,
                fence=None,
                lease_until_ms=None,
                negotiation=record.negotiation + 1,
            )
        case SessionEnded():
            return replace(
                record,
                state=state.ENDED,
                lease_until_ms=None,
                suspended_until_ms=None,
                resume_digest="",
                reason=event.reason,
            )
    return refuse(record.state, event)
