"""Owns which sessions this worker serves, and whether it takes another. No I/O."""

from __future__ import annotations

from enum import Enum

from system.protocol.errors import ErrorCode
from system.protocol.messages import SessionAssigned
from system.worker.fencing import Assignment, FenceGuard
from system.worker.session import WorkerSession


class Admission(Enum):
    """What to do with an assignment."""

    TAKE = "take"
    CONFIRM_AGAIN = "confirm_again"
    REFUSE_STALE = "refuse_stale"
    REFUSE_FULL = "refuse_full"

    @property
    def refusal(self) -> ErrorCode | None:
        return _REFUSALS.get(self)


_REFUSALS = {
    Admission.REFUSE_STALE: ErrorCode.STALE_FENCE,
    Admission.REFUSE_FULL: ErrorCode.NO_CAPACITY,
}


class Slots:
    """Sessions by id, at most ``limit``. A session that is ending has left its slot."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.draining = False
        self._fences = FenceGuard()
        self._sessions: dict[str, WorkerSession] = {}

    @property
    def sessions(self) -> tuple[WorkerSession, ...]:
        return tuple(self._sessions.values())

    def get(self, session_id: str | None) -> WorkerSession | None:
        return None if session_id is None else self._sessions.get(session_id)

    def judge(self, assigned: SessionAssigned) -> Admission:
        """Whether to take an assignment.

        A newer one for a session that is here replaces it: the pool has given
        up on the older one.
        """
        held = self._sessions.get(assigned.session_id)
        verdict = self._fences.admit(assigned.fence, None if held is None else held.fence)
        if verdict is Assignment.REPEATED:
            return Admission.CONFIRM_AGAIN
        if verdict is Assignment.STALE:
            return Admission.REFUSE_STALE
        others = len(self._sessions) - (held is not None)
        if self.draining or others >= self.limit:
            return Admission.REFUSE_FULL
        return Admission.TAKE

    def put(self, session: WorkerSession) -> None:
        self._sessions[session.session_id] = session

    def free(self, session: WorkerSession) -> None:
        """The session is ending, or over; no harm if it has left before."""
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
