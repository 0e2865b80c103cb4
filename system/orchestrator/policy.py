"""Warm-pool policies: pure decisions over numbers, the same code here and in the simulator.

``decide(observation, parameters, memory) -> (actions, memory)``. All four are
flat sequences of floats (tuples here; tuples or arrays under numba's ``njit``),
laid out by the index constants below. Each kind is one self-contained function
in the subset that numba compiles: no clock, no randomness, no I/O, no helper.

A worker with several slots counts through its free slots: keeping ``warm``
workers spare means ``warm * slots`` free slots. With one slot per worker the
buffer policy is exactly: while idle + booting - waiting < warm and total < max,
launch; while idle > warm, terminate an idle worker. Boots are never cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

Numbers: TypeAlias = tuple[float, ...]

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
"""Parameter: ``fixed`` workers, or ``buffer`` warm workers."""
RATIO: Final = 1
"""Parameter: warm workers as a share of the busy ones; the larger of the two counts."""
MIN: Final = 2
"""Parameter: workers below which the pool never shrinks."""
MAX: Final = 3
"""Parameter: workers above which it never grows; may be infinite."""
COOLDOWN_S: Final = 4
"""Parameter: after an action there is no other for so long."""
SCALE_IN_DELAY_S: Final = 5
"""Parameter: an excess must have lasted so long, without a break, before workers go."""

LAST_ACTION_S: Final = 0
"""Memory: when the policy last acted."""
EXCESS_SINCE_S: Final = 1
"""Memory: since when there has been an excess."""
NEVER: Final = -1.0e18
"""Memory: a time that has not come."""
INITIAL_MEMORY: Final[Numbers] = (NEVER, NEVER)

LAUNCH: Final = 0
"""Action: workers to launch."""
TERMINATE: Final = 1
"""Action: idle workers to terminate."""

Decision: TypeAlias = tuple[Numbers, Numbers]
Decide: TypeAlias = Callable[[Numbers, Numbers, Numbers], Decision]


def decide_fixed(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Keep SIZE workers that serve or are about to; RATIO is not used."""
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    have = idle + observation[BUSY] + observation[BOOTING]
    want = max(parameters[SIZE], parameters[MIN])
    launch = max(0.0, min(want - have, parameters[MAX] - observation[TOTAL]))
    excess = max(0.0, min(have - want, idle))

    excess_since_s = NEVER
    if excess > 0.0:
        excess_since_s = memory[EXCESS_SINCE_S]
        if excess_since_s == NEVER:
            excess_since_s = now_s
        if now_s - excess_since_s < parameters[SCALE_IN_DELAY_S]:
            excess = 0.0
    last_action_s = memory[LAST_ACTION_S]
    if now_s - last_action_s < parameters[COOLDOWN_S]:
        launch = 0.0
        excess = 0.0
    if launch > 0.0 or excess > 0.0:
        last_action_s = now_s
    return (launch, excess), (last_action_s, excess_since_s)


def decide_buffer(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Keep SIZE workers, or RATIO of the busy ones, spare beyond what is used and awaited."""
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    total = observation[TOTAL]
    slots = max(observation[SLOTS], 1.0)
    share = float(math.ceil(parameters[RATIO] * observation[BUSY] - 1.0e-9))
    warm = max(parameters[SIZE], share) * slots
    open_slots = observation[FREE_SLOTS] - observation[WAITING]
    lacking = warm - open_slots - observation[BOOTING] * slots
    launch = max(float(math.ceil(lacking / slots)), parameters[MIN] - total)
    launch = max(0.0, min(launch, parameters[MAX] - total))
    excess = float(math.floor((open_slots - warm) / slots))
    excess = max(0.0, min(excess, idle, total - parameters[MIN]))

    excess_since_s = NEVER
    if excess > 0.0:
        excess_since_s = memory[EXCESS_SINCE_S]
        if excess_since_s == NEVER:
            excess_since_s = now_s
        if now_s - excess_since_s < parameters[SCALE_IN_DELAY_S]:
            excess = 0.0
    last_action_s = memory[LAST_ACTION_S]
    if now_s - last_action_s < parameters[COOLDOWN_S]:
        launch = 0.0
        excess = 0.0
    if launch > 0.0 or excess > 0.0:
        last_action_s = now_s
    return (launch, excess), (last_action_s, excess_since_s)


POLICIES: Final[dict[str, Decide]] = {"fixed": decide_fixed, "buffer": decide_buffer}
