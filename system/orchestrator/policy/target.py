"""The ``target`` policy: as many workers as keep a share of their slots in use."""

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

UTILISATION: Final = OWN
"""Parameter: share of the slots that shall be in use, above 0."""


def decide_target(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Follow the sessions that are served or waiting; SIZE and RATIO are not used."""
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    serving = idle + observation[BUSY]
    have = serving + observation[BOOTING]
    slots = max(observation[SLOTS], 1.0)
    wanted = serving * slots - observation[FREE_SLOTS] + observation[WAITING]
    want = float(math.ceil(wanted / (slots * parameters[UTILISATION]) - 1.0e-9))
    want = max(want, parameters[MIN])
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
