"""The life cycles of sessions and workers: the one implementation of every transition.

``apply(record, event)`` returns the changed record, or a Refusal when the
event does not fit the record's state; it never raises and touches nothing
else. The ledger stores its results, the simulator runs it as it is.

Session: requested -> queued -> reserved -> connecting -> active -> (suspended) -> ended.
Worker:  requested -> booting -> ready -> reserved -> active -> draining -> ready | stopping
         -> stopped -> starting -> ready | terminating -> gone; failed from anywhere.

Times are milliseconds of the store's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import overload

from system.protocol.fields import Fence


class SessionState(StrEnum):
    REQUESTED = "requested"
    QUEUED = "queued"
    RESERVED = "reserved"
    CONNECTING = "connecting"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class WorkerState(StrEnum):
    REQUESTED = "requested"
    PROVISIONING = "provisioning"
    BOOTING = "booting"
    READY = "ready"
    RESERVED = "reserved"
    ACTIVE = "active"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    TERMINATING = "terminating"
    FAILED = "failed"
    GONE = "gone"


LAUNCHING = frozenset(
    {
        WorkerState.REQUESTED,
        WorkerState.PROVISIONING,
        WorkerState.BOOTING,
        WorkerState.STARTING,
    }
)
"""Workers that are on their way into the pool."""

SERVING = frozenset({WorkerState.READY, WorkerState.RESERVED, WorkerState.ACTIVE})
"""Workers that may have a free slot."""

FINAL = frozenset({WorkerState.FAILED, WorkerState.GONE})


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
    lease_until_ms: int | None = None
    """A reservation that no worker has confirmed by then is void."""
    suspended_until_ms: int | None = None
    """A suspended session that has not resumed by then has ended."""
    negotiation: int = 1
    node: str = ""
    """Signaling node to which the client is attached."""
    resume_digest: str = ""
    """SHA-256 of the one resume token that is valid now."""
    created_ms: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker and its slots. ``sessions`` holds the ids of reserved and active sessions."""

    worker_id: str
    pool: str
    state: WorkerState = WorkerState.REQUESTED
    slots: int = 1
    sessions: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    """Those of ``sessions`` that the worker has confirmed."""
    fence_n: int = 0
    """Number of the last reservation made on this worker."""
    generation: int = 0
    node: str = ""
    """Signaling node to which the worker is attached."""
    endpoint: str = ""
    renderer: str = ""
    encoder: str = ""
    created_ms: int = 0
    ready_ms: int = 0
    changed_ms: int = 0
    draining: bool = False
    reason: str = ""

    @property
    def free_slots(self) -> int:
        """Slots that a reservation could take now."""
        if self.draining or self.state not in SERVING:
            return 0
        return self.slots - len(self.sessions)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The event does not fit the record; ``reason`` is for logs and tests."""

    reason: str


# --- events of a session -------------------------------------------------------


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

    The next worker is offered the next ``negotiation``.
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

# --- events of a worker --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerBooting:
    """The provider has started it."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """Its own probe has rendered and encoded a frame and it is attached to ``node``.

    ``sessions`` are those it still holds (after it has reconnected).
    """

    at_ms: int
    generation: int
    node: str
    slots: int = 1
    endpoint: str = ""
    renderer: str = ""
    encoder: str = ""
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotReserved:
    session_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SlotConfirmed:
    session_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SlotReleased:
    """The session is over. ``scrub``: the worker serves again only after SlotScrubbed."""

    session_id: str
    at_ms: int
    scrub: bool = False


@dataclass(frozen=True, slots=True)
class WorkerScrubbed:
    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerDrains:
    """Takes no further session."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerStops:
    """Told to stop, to be started again later."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerStarts:
    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerTerminates:
    """Told to go for good; refused while it has sessions."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerGone:
    at_ms: int


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """Lost, crashed, or never became ready. Its sessions must be ended or moved."""

    at_ms: int
    reason: str


WorkerEvent = (
    WorkerBooting
    | WorkerReady
    | SlotReserved
    | SlotConfirmed
    | SlotReleased
    | WorkerScrubbed
    | WorkerDrains
    | WorkerStops
    | WorkerStopped
    | WorkerStarts
    | WorkerTerminates
    | WorkerGone
    | WorkerFailed
)


@overload
def apply(record: Session, event: SessionEvent) -> Session | Refusal: ...
@overload
def apply(record: Worker, event: WorkerEvent) -> Worker | Refusal: ...
def apply(
    record: Session | Worker, event: SessionEvent | WorkerEvent
) -> Session | Worker | Refusal:
    """The record after the event, or why the event does not fit it."""
    if isinstance(record, Session):
        return _apply_session(record, event)
    return _apply_worker(record, event)


def _refuse(record: Session | Worker, event: object) -> Refusal:
    return Refusal(f"{type(event).__name__} does not fit state {record.state.value}")


def _apply_session(record: Session, event: object) -> Session | Refusal:
    state = SessionState
    if record.state is state.ENDED:
        return _refuse(record, event)
    match event:
        case SessionQueued() if record.state is state.REQUESTED:
            return replace(record, state=state.QUEUED)
        case SessionReserved() if record.state in (state.REQUESTED, state.QUEUED):
            return replace(
                record,
                state=state.RESERVED,
                worker_id=event.worker_id,
                fence=event.fence,
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
        case SessionSuspended() if record.state is state.ACTIVE:
            return replace(
                record, state=state.SUSPENDED, suspended_until_ms=event.until_ms, node=""
            )
        case SessionResumed() if record.state in (state.SUSPENDED, state.ACTIVE):
            return replace(
                record,
                state=state.ACTIVE,
                suspended_until_ms=None,
                node=event.node,
                resume_digest=event.resume_digest,
            )
        case SessionUnplaced() if record.worker_id is not None:
            return replace(
                record,
                state=state.REQUESTED,
                worker_id=None,
                fence=None,
                lease_until_ms=None,
                suspended_until_ms=None,
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
    return _refuse(record, event)


def _apply_worker(record: Worker, event: object) -> Worker | Refusal:
    state = WorkerState
    match event:
        case WorkerReady():
            return _ready(record, event)
        case _ if record.state in FINAL:
            return _refuse(record, event)
        case WorkerFailed():
            return replace(
                record,
                state=state.FAILED,
                sessions=(),
                active=(),
                reason=event.reason,
                changed_ms=event.at_ms,
            )
        case WorkerBooting() if record.state is state.REQUESTED:
            return replace(record, state=state.BOOTING, changed_ms=event.at_ms)
        case SlotReserved() | SlotConfirmed() | SlotReleased() | WorkerScrubbed():
            return _apply_slot(record, event)
        case WorkerDrains() if record.state in SERVING or record.state is state.DRAINING:
            return replace(record, state=state.DRAINING, draining=True, changed_ms=event.at_ms)
        case WorkerStops() if not record.sessions and (
            record.state in (state.READY, state.DRAINING)
        ):
            return replace(record, state=state.STOPPING, changed_ms=event.at_ms)
        case WorkerStopped() if record.state is state.STOPPING:
            return replace(record, state=state.STOPPED, draining=False, changed_ms=event.at_ms)
        case WorkerStarts() if record.state is state.STOPPED:
            return replace(record, state=state.STARTING, changed_ms=event.at_ms)
        case WorkerTerminates() if not record.sessions and record.state is not state.TERMINATING:
            return replace(record, state=state.TERMINATING, draining=True, changed_ms=event.at_ms)
        case WorkerGone():
            return replace(record, state=state.GONE, sessions=(), active=(), changed_ms=event.at_ms)
    return _refuse(record, event)


def _ready(record: Worker, event: WorkerReady) -> Worker | Refusal:
    """Boot, start or reconnection is done; the newest generation wins."""
    if record.state in (WorkerState.TERMINATING, WorkerState.GONE):
        return _refuse(record, event)
    if event.generation < record.generation:
        return Refusal("an older generation of this worker")
    same_process = event.generation == record.generation and record.state not in FINAL
    held = tuple(s for s in record.sessions if same_process or s in event.sessions)
    changed = replace(
        record,
        state=WorkerState.READY,
        generation=event.generation,
        node=event.node,
        slots=event.slots,
        endpoint=event.endpoint,
        renderer=event.renderer,
        encoder=event.encoder,
        sessions=held,
        active=tuple(s for s in record.active if s in held),
        ready_ms=event.at_ms,
        changed_ms=event.at_ms,
        draining=record.draining and same_process,
        reason="",
    )
    return replace(changed, state=_occupied_state(changed))


def _apply_slot(
    record: Worker, event: SlotReserved | SlotConfirmed | SlotReleased | WorkerScrubbed
) -> Worker | Refusal:
    match event:
        case SlotReserved() if event.session_id not in record.sessions:
            if record.free_slots < 1:
                return Refusal("no free slot")
            changed = replace(
                record,
                sessions=(*record.sessions, event.session_id),
                fence_n=record.fence_n + 1,
            )
        case SlotConfirmed() if event.session_id in record.sessions:
            if event.session_id in record.active:
                return record
            changed = replace(record, active=(*record.active, event.session_id))
        case SlotReleased() if event.session_id in record.sessions:
            changed = replace(
                record,
                sessions=tuple(s for s in record.sessions if s != event.session_id),
                active=tuple(s for s in record.active if s != event.session_id),
            )
            if event.scrub and not changed.sessions:
                return replace(changed, state=WorkerState.DRAINING, changed_ms=event.at_ms)
        case WorkerScrubbed() if record.state is WorkerState.DRAINING and not record.draining:
            changed = record
        case _:
            return _refuse(record, event)
    return replace(changed, state=_occupied_state(changed), changed_ms=event.at_ms)


def _occupied_state(record: Worker) -> WorkerState:
    if record.draining:
        return WorkerState.DRAINING
    if record.active:
        return WorkerState.ACTIVE
    return WorkerState.RESERVED if record.sessions else WorkerState.READY
