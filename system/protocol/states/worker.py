"""A worker and its slots, their states and events, and their transitions.

requested -> booting -> ready -> reserved -> active -> draining -> ready | stopping -> stopped
-> starting -> ready | terminating -> gone; failed from anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from system.protocol.states.refusal import Refusal, refuse


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
    """``above``: the reservation's number is higher than this one too."""

    session_id: str
    at_ms: int
    above: int = 0


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


def apply_worker(record: Worker, event: WorkerEvent) -> Worker | Refusal:
    """The worker after the event, or why the event does not fit it."""
    state = WorkerState
    match event:
        case WorkerReady():
            return _ready(record, event)
        case _ if record.state in FINAL:
            return refuse(record.state, event)
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
    return refuse(record.state, event)


def _ready(record: Worker, event: WorkerReady) -> Worker | Refusal:
    """Boot, start or reconnection is done; the newest generation wins."""
    if record.state in (WorkerState.TERMINATING, WorkerState.GONE):
        return refuse(record.state, event)
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
                fence_n=max(record.fence_n, event.above) + 1,
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
            return refuse(record.state, event)
    return replace(changed, state=_occupied_state(changed), changed_ms=event.at_ms)


def _occupied_state(record: Worker) -> WorkerState:
    if record.draining:
        return WorkerState.DRAINING
    if record.active:
        return WorkerState.ACTIVE
    return WorkerState.RESERVED if record.sessions else WorkerState.READY
