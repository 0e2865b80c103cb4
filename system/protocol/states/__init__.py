"""The life cycles of sessions and workers: the one implementation of every transition.

``apply(record, event)`` returns the changed record, or a Refusal when the
event does not fit the record's state; it never raises and touches nothing
else. The ledger stores its results, the simulator runs it as it is.

Times are milliseconds of the store's clock.
"""

from __future__ import annotations

from typing import cast, overload

from system.protocol.states.refusal import Refusal
from system.protocol.states.session import (
    HELD,
    Session,
    SessionActivated,
    SessionConfirmed,
    SessionEnded,
    SessionEvent,
    SessionQueued,
    SessionReserved,
    SessionResumed,
    SessionState,
    SessionSuspended,
    SessionUnplaced,
    apply_session,
)
from system.protocol.states.worker import (
    FINAL,
    LAUNCHING,
    SERVING,
    SlotConfirmed,
    SlotReleased,
    SlotReserved,
    Worker,
    WorkerBooting,
    WorkerDrains,
    WorkerEvent,
    WorkerFailed,
    WorkerGone,
    WorkerReady,
    WorkerScrubbed,
    WorkerStarts,
    WorkerState,
    WorkerStopped,
    WorkerStops,
    WorkerTerminates,
    apply_worker,
)

__all__ = [
    "FINAL",
    "HELD",
    "LAUNCHING",
    "SERVING",
    "Refusal",
    "Session",
    "SessionActivated",
    "SessionConfirmed",
    "SessionEnded",
    "SessionEvent",
    "SessionQueued",
    "SessionReserved",
    "SessionResumed",
    "SessionState",
    "SessionSuspended",
    "SessionUnplaced",
    "SlotConfirmed",
    "SlotReleased",
    "SlotReserved",
    "Worker",
    "WorkerBooting",
    "WorkerDrains",
    "WorkerEvent",
    "WorkerFailed",
    "WorkerGone",
    "WorkerReady",
    "WorkerScrubbed",
    "WorkerStarts",
    "WorkerState",
    "WorkerStopped",
    "WorkerStops",
    "WorkerTerminates",
    "apply",
]


@overload
def apply(record: Session, event: SessionEvent) -> Session | Refusal: ...
@overload
def apply(record: Worker, event: WorkerEvent) -> Worker | Refusal: ...
def apply(
    record: Session | Worker, event: SessionEvent | WorkerEvent
) -> Session | Worker | Refusal:
    """The record after the event, or why the event does not fit it."""
    if isinstance(record, Session):
        return apply_session(record, cast(SessionEvent, event))
    return apply_worker(record, cast(WorkerEvent, event))
