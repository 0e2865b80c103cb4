"""The fast engine's sessions: who stands in the queue, who goes and comes again.

Each function does what the one of the same name in ``sim.reference`` does.
"""

from __future__ import annotations

from sim.fast import fleet, queue
from sim.fast.compiled import lean
from sim.fast.state import (
    LEFT,
    NOW,
    QUEUE_HEAD,
    QUEUE_TAIL,
    QUEUED_AFTER,
    QUEUED_BEFORE,
    SESSION_RETURNS,
    WAITING_NOW,
    Bytes,
    Small,
)
from sim.model import RANK_RETURN, Ints

put, follow = queue.put, fleet.follow


@lean
def enqueue(now: Ints, queued: Small, session: int) -> None:
    tail = now[QUEUE_TAIL]
    queued[session, QUEUED_BEFORE] = tail
    queued[session, QUEUED_AFTER] = -1
    if tail >= 0:
        queued[tail, QUEUED_AFTER] = session
    else:
        now[QUEUE_HEAD] = session
    now[QUEUE_TAIL] = session
    now[WAITING_NOW] += 1


@lean
def unqueue(now: Ints, queued: Small, session: int) -> None:
    left = queued[session, QUEUED_BEFORE]
    right = queued[session, QUEUED_AFTER]
    if left >= 0:
        queued[left, QUEUED_AFTER] = right
    else:
        now[QUEUE_HEAD] = right
    if right >= 0:
        queued[right, QUEUED_BEFORE] = left
    else:
        now[QUEUE_TAIL] = left
    now[WAITING_NOW] -= 1


@lean
def leave(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    queued: Small,
    outcome: Bytes,
    retry_us: Ints,
    session: int,
    how: int,
) -> None:
    """It goes; it may come again."""
    outcome[session] = how
    times = queued[session, LEFT]
    queued[session, LEFT] = times + 1
    if times < retry_us.shape[1] and retry_us[session, times] >= 0:
        at_us = now[NOW] + retry_us[session, times]
        put(now, heap, far, heads, at_us, RANK_RETURN, SESSION_RETURNS, session, 0)
    else:
        follow(now, limits, heap, far, heads, len(outcome), session)
