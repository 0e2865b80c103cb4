"""One worker of the reference model."""

from __future__ import annotations

from dataclasses import dataclass, field

from system.protocol.states import FINAL, LAUNCHING, WorkerState


@dataclass(eq=False, slots=True)
class Worker:
    """``state`` is ACTIVE with sessions; DRAINING is being scrubbed, or under a spot notice.

    Names are those of ``system.protocol.states``. A worker that is told to stop
    or to go has stopped or gone at once.
    """

    index: int
    slots: int
    state: WorkerState = WorkerState.REQUESTED
    sessions: list[int] = field(default_factory=list)
    noticed: bool = False
    was_ready: bool = False
    bound: int = -1
    """The session that it was launched for, and no other may have."""
    idle_since_us: int = -1

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
