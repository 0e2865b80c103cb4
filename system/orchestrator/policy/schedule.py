"""The ``schedule`` policy: a buffer that changes with the time of day."""

from __future__ import annotations

import math
from typing import Final

from system.orchestrator.policy.layout import (
    BOOTING,
    BUSY,
    COOLDOWN_S,
    EXCESS_SINCE_S,
    FREE_SLOTS,
    IDLE,
    LAST_ACTION_S,
    MAX,
    MIN,
    NEVER,
    NOW_S,
    OWN,
    SCALE_IN_DELAY_S,
    SLOTS,
    TOTAL,
    WAITING,
    Decision,
    Numbers,
)

DAY_OFFSET_S: Final = OWN
"""Parameter: added to ``now_s`` it is the time of day."""
STEPS: Final = OWN + 1
"""Parameter: number of steps, of three numbers each: ``at_s``, workers, share of the busy ones."""
FIRST_STEP: Final = OWN + 2

DAY_S: Final = 86_400.0


def decide_schedule(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Keep spare workers by the step of this time of day; the last one holds over midnight."""
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    total = observation[TOTAL]
    slots = max(observation[SLOTS], 1.0)
    day_s = (now_s + parameters[DAY_OFFSET_S]) % DAY_S
    steps = int(parameters[STEPS])
    current = FIRST_STEP + 3 * (steps - 1)
    for step in range(steps):
        if parameters[FIRST_STEP + 3 * step] <= day_s:
            current = FIRST_STEP + 3 * step
    share = float(math.ceil(parameters[current + 2] * observation[BUSY] - 1.0e-9))
    warm = max(parameters[current + 1], share) * slots
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
