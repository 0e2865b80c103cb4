"""What the numbers of an observation, of parameters, memory and actions stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Numbers: TypeAlias = Sequence[float]

NOW_S: Final = 0
"""Observation: any monotonic clock, s."""
IDLE: Final = 1
"""Observation: workers that serve nobody and would."""
BUSY: Final = 2
"""Observation: workers with a session that take others when they have room."""
BOOTING: Final = 3
"""Observation: workers on their way to idle: booting, starting, or being scrubbed."""
STOPPED: Final = 4
"""Observation: workers that are stopped, disk kept."""
WAITING: Final = 5
"""Observation: sessions in the queue."""
TOTAL: Final = 6
"""Observation: workers that count against the quota, draining ones included."""
ARRIVALS: Final = 7
"""Observation: sessions that have asked since the last decision."""
FREE_SLOTS: Final = 8
"""Observation: slots that a session could take now, on idle and on busy workers."""
SLOTS: Final = 9
"""Observation: slots of one worker."""
OBSERVATION_FIELDS: Final = (
    "now_s",
    "idle",
    "busy",
    "booting",
    "stopped",
    "waiting",
    "total",
    "arrivals",
    "free_slots",
    "slots",
)

SIZE: Final = 0
"""Parameter: ``fixed`` workers, ``buffer`` warm workers, or workers of headroom."""
RATIO: Final = 1
"""Parameter: the same as a share of the busy ones; the larger of the two counts."""
MIN: Final = 2
"""Parameter: workers below which the pool never shrinks."""
MAX: Final = 3
"""Parameter: workers above which it never grows; may be infinite."""
COOLDOWN_S: Final = 4
"""Parameter: after an action there is no other for so long."""
SCALE_IN_DELAY_S: Final = 5
"""Parameter: an excess must have lasted so long, without a break, before workers go."""
OWN: Final = 6
"""Parameters of one kind begin here; its module says which they are."""

LAST_ACTION_S: Final = 0
"""Memory: when the policy last acted."""
EXCESS_SINCE_S: Final = 1
"""Memory: since when there has been an excess."""
NEVER: Final = -1.0e18
"""Memory: a time that has not come."""
INITIAL_MEMORY: Final[tuple[float, ...]] = (NEVER, NEVER)

LAUNCH: Final = 0
"""Action: workers to launch."""
TERMINATE: Final = 1
"""Action: idle workers to terminate."""
START: Final = 2
"""Action of ``two-tier``: stopped workers to start."""
STOP: Final = 3
"""Action of ``two-tier``: idle workers to stop."""

Decision: TypeAlias = tuple[Numbers, Numbers]
Decide: TypeAlias = Callable[[Numbers, Numbers, Numbers], Decision]
