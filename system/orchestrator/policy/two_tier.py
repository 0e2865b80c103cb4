"""The ``two-tier`` policy: a buffer, and stopped workers behind it that start fast."""

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
    RATIO,
    SCALE_IN_DELAY_S,
    SIZE,
    SLOTS,
    STOPPED,
    TOTAL,
    WAITING,
    Decision,
    Numbers,
)

STOPPED_SIZE: Final = OWN
"""Parameter: workers to keep stopped."""


def decide_two_tier(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Start stopped workers before new ones are launched; stop what is spare before it goes.

    The stopped tier is filled up like the buffer: what is launched for it
    boots, is idle for a moment, and is stopped. MAX bounds the workers that run.
    """
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    total = observation[TOTAL]
    stopped = observation[STOPPED]
    slots = max(observation[SLOTS], 1.0)
    share = float(math.ceil(parameters[RATIO] * observation[BUSY] - 1.0e-9))
    warm = max(parameters[SIZE], share) * slots
    open_slots = observation[FREE_SLOTS] - observation[WAITING]
    room = max(0.0, parameters[MAX] - total)
    lacking = float(math.ceil((warm - open_slots) / slots)) - observation[BOOTING]
    start = max(0.0, min(lacking, stopped, room))
    launch = lacking + parameters[STOPPED_SIZE] - stopped
    launch = max(launch, parameters[MIN] - total - start)
    launch = max(0.0, min(launch, room - start))
    spare = float(math.floor((open_slots - warm) / slots))
    spare = max(0.0, min(spare, idle, total - parameters[MIN]))
    stop = max(0.0, min(spare, parameters[STOPPED_SIZE] - stopped))
    excess = spare - stop

    excess_since_s = NEVER
    if excess + stop > 0.0:
        excess_since_s = memory[EXCESS_SINCE_S]
        if excess_since_s == NEVER:
            excess_since_s = now_s
        if now_s - excess_since_s < parameters[SCALE_IN_DELAY_S]:
            excess = 0.0
            stop = 0.0
    last_action_s = memory[LAST_ACTION_S]
    if now_s - last_action_s < parameters[COOLDOWN_S]:
        launch = 0.0
        start = 0.0
        excess = 0.0
        stop = 0.0
    if launch + start + excess + stop > 0.0:
        last_action_s = now_s
    return (launch, excess, start, stop), (last_action_s, excess_since_s)
