"""One worker of the reference model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from system.protocol import states
from system.protocol.states import FINAL, LAUNCHING, WorkerEvent, WorkerState

_BOOTS: Final = states.WorkerBooting(0)
_IS_READY: Final = states.WorkerReady(0, generation=1, node="")
_SERVES: Final = (states.SlotReserved("s", 0), states.SlotConfirmed("s", 0))
_STOPS: Final = (states.WorkerStops(0), states.WorkerStopped(0))
_GOES: Final = (states.WorkerTerminates(0), states.WorkerGone(0))
_IS_FREE: Final = states.SlotReleased("s", 0)
_IS_USED: Final = states.SlotReleased("s", 0, scrub=True)

_WAYS: Final[Mapping[tuple[WorkerState, WorkerState], tuple[WorkerEvent, ...]]] = {
    (WorkerState.REQUESTED, WorkerState.BOOTING): (_BOOTS,),
    (WorkerState.REQUESTED, WorkerState.READY): (_BOOTS, _IS_READY),
    (WorkerState.REQUESTED, WorkerState.STOPPED): (_BOOTS, _IS_READY, *_STOPS),
    (WorkerState.BOOTING, WorkerState.READY): (_IS_READY,),
    (WorkerState.STARTING, WorkerState.READY): (_IS_READY,),
    (WorkerState.READY, WorkerState.ACTIVE): _SERVES,
    (WorkerState.READY, WorkerState.STOPPED): _STOPS,
    (WorkerState.READY, WorkerState.GONE): _GOES,
    (WorkerState.ACTIVE, WorkerState.READY): (_IS_FREE,),
    (WorkerState.ACTIVE, WorkerState.DRAINING): (_IS_USED,),
    (WorkerState.ACTIVE, WorkerState.GONE): (_IS_USED, *_GOES),
    (WorkerState.DRAINING, WorkerState.READY): (states.WorkerScrubbed(0),),
    (WorkerState.DRAINING, WorkerState.GONE): _GOES,
    (WorkerState.STOPPED, WorkerState.STARTING): (states.WorkerStarts(0),),
    (WorkerState.STOPPED, WorkerState.GONE): _GOES,
    (WorkerState.STARTING, WorkerState.GONE): _GOES,
}
"""What happens to a worker between two states of the model. It may fail in any."""


@cache
def comes_to(before: WorkerState, after: WorkerState) -> bool:
    """Whether the orchestrator's own transitions lead from one state to the other.

    Everything but the state is alike for all workers here, so it is asked once.
    """
    if before is after is WorkerState.ACTIVE:
        return True  # one more session, or one fewer
    events: tuple[WorkerEvent, ...] = _WAYS.get((before, after), ())
    if after is WorkerState.FAILED:
        events = (states.WorkerFailed(0, "lost"),)
    held = ("s",) if before is WorkerState.ACTIVE else ()
    record: states.Worker | states.Refusal = states.Worker(
        "w", "pool", state=before, sessions=held, active=held
    )
    for event in events:
        if isinstance(record, states.Refusal):
            return False
        record = states.apply(record, event)
    return isinstance(record, states.Worker) and bool(events) and record.state is after


@dataclass(eq=False, slots=True)
class Worker:
    """``state`` is ACTIVE with sessions; DRAINING is being scrubbed, or under a spot notice.

    States and what leads from one to the other are those of
    ``system.protocol.states``. A worker that is told to stop or to go has
    stopped or gone at once.
    """

    index: int
    slots: int
    _state: WorkerState = WorkerState.REQUESTED
    sessions: list[int] = field(default_factory=list)
    noticed: bool = False
    was_ready: bool = False
    bound: int = -1
    """The session that it was launched for, and no other may have."""
    idle_since_us: int = -1

    @property
    def state(self) -> WorkerState:
        return self._state

    @state.setter
    def state(self, state: WorkerState) -> None:
        assert comes_to(self._state, state), (self._state, state)
        self._state = state

    @property
    def exists(self) -> bool:
        return self.state not in FINAL

    @property
    def on_its_way(self) -> bool:
        """To idle: booting, starting or being scrubbed."""
        return self.state in LAUNCHING or (
            self.state is WorkerState.DRAINING and not self.noticed and not self.sessions
        )

    @property
    def serves(self) -> bool:
        """Would take a session if it had a free slot."""
        return self.state in (WorkerState.READY, WorkerState.ACTIVE)
