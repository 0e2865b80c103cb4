"""The ``predictive`` policies: workers for the load at the time when a launch would be ready.

The load is the sessions that are served or waiting. Each wants the larger of
the load now and the load predicted, plus headroom: SIZE workers, or RATIO of
the prediction.
"""

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
    INITIAL_MEMORY,
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
    TOTAL,
    WAITING,
    Decision,
    Numbers,
)

LEAD_S: Final = OWN
"""Parameter: how far ahead to look, s: the time that a launch takes."""
HALF_LIFE_S: Final = OWN + 1
"""Parameter: the age at which an observation weighs half."""
SEASON_S: Final = OWN + 2
"""Parameter of Holt-Winters: after so long the load repeats itself."""

ORIGIN_S: Final = OWN + 1
"""Parameter of M_t/G/inf: ``now_s`` at which its forecast begins."""
STEP_S: Final = OWN + 2
"""Parameter of M_t/G/inf: between two values of the forecast."""
POINTS: Final = OWN + 3
"""Parameter of M_t/G/inf: number of values, which follow; in between it is linear."""
FIRST_POINT: Final = OWN + 4

LEVEL: Final = 2
"""Memory: the smoothed load, without its season."""
SEEN_S: Final = 3
"""Memory: when the load was last looked at."""
TREND: Final = 4
"""Memory of Holt-Winters: change of the level per second."""
FIRST_SEASON: Final = 5
"""Memory of Holt-Winters: what each part of the season adds to the level."""
PARTS: Final = 48

EWMA_MEMORY: Final[tuple[float, ...]] = (*INITIAL_MEMORY, 0.0, NEVER)
HOLT_WINTERS_MEMORY: Final[tuple[float, ...]] = (*EWMA_MEMORY, 0.0, *([0.0] * PARTS))


def decide_ewma(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Predict that the load goes on at its smoothed level."""
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    serving = idle + observation[BUSY]
    have = serving + observation[BOOTING]
    slots = max(observation[SLOTS], 1.0)
    load = serving * slots - observation[FREE_SLOTS] + observation[WAITING]
    level = memory[LEVEL]
    if memory[SEEN_S] == NEVER:
        level = load
    else:
        kept = 0.5 ** ((now_s - memory[SEEN_S]) / parameters[HALF_LIFE_S])
        level = load + kept * (level - load)
    predicted = float(math.ceil(max(load, level) / slots - 1.0e-9))
    headroom = max(parameters[SIZE], float(math.ceil(parameters[RATIO] * predicted - 1.0e-9)))
    want = max(predicted + headroom, parameters[MIN])
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
    return (launch, excess), (last_action_s, excess_since_s, level, now_s)


def decide_holt_winters(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Predict level, trend and season, each smoothed over irregular intervals.

    The trend is smoothed four times as long as the level, because it multiplies
    the lead. What a part of the season adds is learned once a season.
    """
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    serving = idle + observation[BUSY]
    have = serving + observation[BOOTING]
    slots = max(observation[SLOTS], 1.0)
    load = serving * slots - observation[FREE_SLOTS] + observation[WAITING]
    after = [number for number in memory]  # noqa: C416  numba has no list() of a tuple
    part_s = parameters[SEASON_S] / PARTS
    part = FIRST_SEASON + int((now_s % parameters[SEASON_S]) / part_s) % PARTS
    if memory[SEEN_S] == NEVER:
        after[LEVEL] = load
    else:
        passed_s = now_s - memory[SEEN_S]
        if passed_s > 0.0:
            kept = 0.5 ** (passed_s / parameters[HALF_LIFE_S])
            before = memory[LEVEL]
            expected = before + memory[TREND] * passed_s
            level = load - memory[part] + kept * (expected - (load - memory[part]))
            slow = 0.5 ** (passed_s / (4.0 * parameters[HALF_LIFE_S]))
            slope = (level - before) / passed_s
            after[LEVEL] = level
            after[TREND] = slope + slow * (memory[TREND] - slope)
            season = 0.5 ** (passed_s / part_s)
            after[part] = load - level + season * (memory[part] - (load - level))
    after[SEEN_S] = now_s
    then_s = now_s + parameters[LEAD_S]
    part_then = FIRST_SEASON + int((then_s % parameters[SEASON_S]) / part_s) % PARTS
    ahead = after[LEVEL] + after[TREND] * parameters[LEAD_S] + after[part_then]
    predicted = float(math.ceil(max(load, ahead) / slots - 1.0e-9))
    headroom = max(parameters[SIZE], float(math.ceil(parameters[RATIO] * predicted - 1.0e-9)))
    want = max(predicted + headroom, parameters[MIN])
    launch = max(0.0, min(want - have, parameters[MAX] - observation[TOTAL]))
    excess = max(0.0, min(have - want, idle))

    after[EXCESS_SINCE_S] = NEVER
    if excess > 0.0:
        after[EXCESS_SINCE_S] = memory[EXCESS_SINCE_S]
        if memory[EXCESS_SINCE_S] == NEVER:
            after[EXCESS_SINCE_S] = now_s
        if now_s - after[EXCESS_SINCE_S] < parameters[SCALE_IN_DELAY_S]:
            excess = 0.0
    if now_s - memory[LAST_ACTION_S] < parameters[COOLDOWN_S]:
        launch = 0.0
        excess = 0.0
    if launch > 0.0 or excess > 0.0:
        after[LAST_ACTION_S] = now_s
    return (launch, excess), after


def decide_mtginf(observation: Numbers, parameters: Numbers, memory: Numbers) -> Decision:
    """Take the load from a forecast: the mean of an infinite pool under known arrival rates."""
    now_s = observation[NOW_S]
    idle = observation[IDLE]
    serving = idle + observation[BUSY]
    have = serving + observation[BOOTING]
    slots = max(observation[SLOTS], 1.0)
    load = serving * slots - observation[FREE_SLOTS] + observation[WAITING]
    last = int(parameters[POINTS]) - 1
    place = (now_s + parameters[LEAD_S] - parameters[ORIGIN_S]) / parameters[STEP_S]
    place = max(0.0, min(place, float(last)))
    left = min(int(place), max(last - 1, 0))
    right = min(left + 1, last)
    ahead = parameters[FIRST_POINT + left]
    ahead = ahead + (parameters[FIRST_POINT + right] - ahead) * (place - left)
    predicted = float(math.ceil(max(load, ahead) / slots - 1.0e-9))
    headroom = max(parameters[SIZE], float(math.ceil(parameters[RATIO] * predicted - 1.0e-9)))
    want = max(predicted + headroom, parameters[MIN])
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
