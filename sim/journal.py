"""The event log of a simulated day: what happened to whom, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ARRIVES: Final = "arrives"
WAITS: Final = "waits"
"""It is in the queue from now on."""
BLOCKED: Final = "blocked"
"""It left at once: no patience, and nobody to serve."""
SERVED: Final = "served"
LEAVES: Final = "leaves"
"""It has waited long enough."""
ENDS: Final = "ends"
INTERRUPTED: Final = "interrupted"
"""Its worker was lost."""

LAUNCHED: Final = "launched"
STARTED: Final = "started"
"""From stopped."""
READY: Final = "ready"
"""Boot or start is done."""
SCRUBBED: Final = "scrubbed"
STOPPED: Final = "stopped"
TERMINATED: Final = "terminated"
"""By the policy, or because it has served and is not to serve again."""
LOST: Final = "lost"
"""Against the policy's will."""

NOBODY: Final = -1


@dataclass(frozen=True, order=True, slots=True)
class Event:
    """``session`` by its index in the day; ``worker`` by the order in which they came to be."""

    at_us: int
    what: str
    session: int = NOBODY
    worker: int = NOBODY


@dataclass
class Journal:
    """Events in the order in which they happened."""

    events: list[Event] = field(default_factory=list)

    def note(self, at_us: int, what: str, session: int = NOBODY, worker: int = NOBODY) -> None:
        """Add one event."""
        self.events.append(Event(at_us, what, session, worker))
