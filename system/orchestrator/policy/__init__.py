"""Warm-pool policies: pure decisions over numbers, the same code here and in the simulator.

``decide(observation, parameters, memory) -> (actions, memory)``. All four are
flat sequences of floats (tuples or lists here; arrays under numba's ``njit``),
laid out by the index constants below. Each kind is one self-contained function
in the subset that numba compiles: no clock, no randomness, no I/O, no helper.

A worker with several slots counts through its free slots: keeping ``warm``
workers spare means ``warm * slots`` free slots. With one slot per worker the
buffer policy is exactly: while idle + booting - waiting < warm and total < max,
launch; while idle > warm, terminate an idle worker. Boots are never cancelled.
"""

from __future__ import annotations

from typing import Final

from system.orchestrator.policy.buffer import decide_buffer
from system.orchestrator.policy.fixed import decide_fixed
from system.orchestrator.policy.layout import (
    ARRIVALS,
    BOOTING,
    BUSY,
    COOLDOWN_S,
    EXCESS_SINCE_S,
    FREE_SLOTS,
    IDLE,
    INITIAL_MEMORY,
    LAST_ACTION_S,
    LAUNCH,
    MAX,
    MIN,
    NEVER,
    NOW_S,
    OBSERVATION_FIELDS,
    RATIO,
    SCALE_IN_DELAY_S,
    SIZE,
    SLOTS,
    START,
    STOP,
    STOPPED,
    TERMINATE,
    TOTAL,
    WAITING,
    Decide,
    Decision,
    Numbers,
)
from system.orchestrator.policy.predictive import (
    EWMA_MEMORY,
    HOLT_WINTERS_MEMORY,
    decide_ewma,
    decide_holt_winters,
    decide_mtginf,
)
from system.orchestrator.policy.schedule import decide_schedule
from system.orchestrator.policy.target import decide_target
from system.orchestrator.policy.two_tier import decide_two_tier

__all__ = [
    "ALL",
    "ARRIVALS",
    "BOOTING",
    "BUSY",
    "COOLDOWN_S",
    "EXCESS_SINCE_S",
    "FREE_SLOTS",
    "IDLE",
    "INITIAL_MEMORY",
    "LAST_ACTION_S",
    "LAUNCH",
    "MAX",
    "MEMORIES",
    "MIN",
    "NEVER",
    "NOW_S",
    "OBSERVATION_FIELDS",
    "RATIO",
    "SCALE_IN_DELAY_S",
    "SIZE",
    "SLOTS",
    "START",
    "STOP",
    "STOPPED",
    "TERMINATE",
    "TOTAL",
    "WAITING",
    "Decide",
    "Decision",
    "Numbers",
    "decide_buffer",
    "decide_fixed",
]

ALL: Final[dict[str, Decide]] = {
    "fixed": decide_fixed,
    "buffer": decide_buffer,
    "schedule": decide_schedule,
    "target": decide_target,
    "ewma": decide_ewma,
    "holt-winters": decide_holt_winters,
    "mtginf": decide_mtginf,
    "two-tier": decide_two_tier,
}
"""Every kind; each ``method`` of ``predictive`` is one."""

MEMORIES: Final[dict[str, Numbers]] = {
    **dict.fromkeys(ALL, INITIAL_MEMORY),
    "ewma": EWMA_MEMORY,
    "holt-winters": HOLT_WINTERS_MEMORY,
}
"""What a policy remembers at first."""
