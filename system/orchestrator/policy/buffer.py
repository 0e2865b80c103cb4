"""The ``buffer`` policy: so many workers spare beyond what is used and awaited."""

from __future__ import annotations

import math

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
    RATIO,
    SCALE_IN_DELAY_S,
    SIZE,
    SLOTS,
    TOTAL,
    WAITING,
    Decision,
    Numbers,
)


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
