"""The orchestrator's policies, compiled, behind one function that picks by number."""

from __future__ import annotations

from typing import Any

from sim.fast.compiled import compiled
from sim.model import KINDS, Floats
from system.orchestrator.policy import ALL

FIXED, BUFFER, SCHEDULE, TARGET, EWMA, HOLT_WINTERS, MTGINF, TWO_TIER = (
    KINDS.index(kind)
    for kind in (
        "fixed",
        "buffer",
        "schedule",
        "target",
        "ewma",
        "holt-winters",
        "mtginf",
        "two-tier",
    )
)

_fixed: Any = compiled(ALL["fixed"])
_buffer: Any = compiled(ALL["buffer"])
_schedule: Any = compiled(ALL["schedule"])
_target: Any = compiled(ALL["target"])
_ewma: Any = compiled(ALL["ewma"])
_holt_winters: Any = compiled(ALL["holt-winters"])
_mtginf: Any = compiled(ALL["mtginf"])
_two_tier: Any = compiled(ALL["two-tier"])


@compiled
def decide(
    kind: int, observation: Floats, parameters: Floats, memory: Floats, actions: Floats
) -> None:
    """Write the actions (launch, terminate, start, stop); ``memory`` is changed in place."""
    actions[2] = 0.0
    actions[3] = 0.0
    if kind == BUFFER:
        done, after = _buffer(observation, parameters, memory)
    elif kind == FIXED:
        done, after = _fixed(observation, parameters, memory)
    elif kind == SCHEDULE:
        done, after = _schedule(observation, parameters, memory)
    elif kind == TARGET:
        done, after = _target(observation, parameters, memory)
    elif kind == MTGINF:
        done, after = _mtginf(observation, parameters, memory)
    elif kind == TWO_TIER:
        four, after = _two_tier(observation, parameters, memory)
        done = (four[0], four[1])
        actions[2] = four[2]
        actions[3] = four[3]
    elif kind == EWMA:
        done, longer = _ewma(observation, parameters, memory)
        after = (longer[0], longer[1])
        memory[2] = longer[2]
        memory[3] = longer[3]
    else:
        done, whole = _holt_winters(observation, parameters, memory)
        after = (whole[0], whole[1])
        for index in range(2, len(whole)):
            memory[index] = whole[index]
    actions[0] = done[0]
    actions[1] = done[1]
    memory[0] = after[0]
    memory[1] = after[1]
