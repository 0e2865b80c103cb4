"""The ``fixed`` policy: so many workers, always."""

from __future__ import annotations

from system.orchestrator.policy.layout import (
    BOOTING,
    BUSY,
    COOLDOWN_S,
    EXCESS_SINCE_S,
    IDLE,
    LAST_ACTION_S,
    MAX,
    MIN,
    NEVER,
    NOW_S,
    SCALE_IN_DELAY_S,
    SIZE,
    TOTAL,
    Decision,
    Numbers,
)


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
