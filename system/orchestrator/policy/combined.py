"""Several policies at once: the one that wants most workers wins."""

from __future__ import annotations

from collections.abc import Sequence

from system.orchestrator.policy.layout import LAUNCH, START, STOP, TERMINATE, Decision, Numbers


def highest(parts: Sequence[Decision]) -> tuple[float, float, float, float]:
    """One set of actions of the decisions of several policies; each keeps its own memory.

    As many workers come as the one asks for that asks for most, stopped ones
    first, so that together they keep within the bounds of each. Workers go only
    when all policies would let them go, and none asks for more. One policy
    alone does what it decides.
    """
    coming = max(actions[LAUNCH] + _action(actions, START) for actions, _ in parts)
    start = max(_action(actions, START) for actions, _ in parts)
    launch = coming - start
    if coming > 0.0 and len(parts) > 1:
        return (launch, 0.0, start, 0.0)
    leaving = min(actions[TERMINATE] + _action(actions, STOP) for actions, _ in parts)
    stop = min(leaving, max(_action(actions, STOP) for actions, _ in parts))
    return (launch, leaving - stop, start, stop)


def _action(actions: Numbers, index: int) -> float:
    return actions[index] if len(actions) > index else 0.0
