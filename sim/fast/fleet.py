"""The fast engine's workers: who has room, who serves whom, who comes and goes.

Each function does what the one of the same name in ``sim.pool`` does.
"""

from __future__ import annotations

from sim.fast import queue
from sim.fast.compiled import lean
from sim.fast.state import (
    AFTER,
    BEFORE,
    BOOTING,
    BOOTS,
    BOUND,
    BUSY,
    CHAIN,
    EDGE,
    EXPIRY,
    FREE,
    GONE,
    IDLE,
    IDLE_EXPIRES,
    IDLES,
    LACKS_LAUNCHES,
    LACKS_SESSIONS,
    LEAVING,
    NOTICED,
    NOW,
    PER_REQUEST,
    RESTS,
    SCRUBS,
    SERVES,
    SESSION_ENDS,
    SESSION_RETURNS,
    SESSIONS,
    SINCE,
    SLOTS,
    SPOT_NOTICE,
    STATE,
    STATUS,
    STOPPED,
    WAITED,
    WAITS_SINCE,
    WAS_READY,
    WORKER_FAILS,
    WORKERS,
    Bytes,
    Small,
)
from sim.model import (
    NEVER_US,
    RANK_FAILURE,
    RANK_RETURN,
    RANK_SERVICE,
    SERVED,
    Flags,
    Ints,
)

put = queue.put


@lean
def mark(now: Ints, meter: Ints, until_us: int) -> None:
    """Add up the counts, which are about to change."""
    since_us = now[SINCE]
    if until_us <= since_us:
        return
    edge = now[EDGE]
    busy = now[BUSY] + now[LEAVING]
    while edge < len(meter) and meter[edge, 0] <= until_us:
        if edge > 0:
            _add(now, meter, edge - 1, busy, meter[edge, 0] - since_us)
        since_us = meter[edge, 0]
        meter[edge, 1] = now[IDLE]
        meter[edge, 2] = now[BOOTING]
        meter[edge, 3] = busy
        meter[edge, 4] = now[STOPPED]
        edge += 1
    now[EDGE] = edge
    if 0 < edge < len(meter):
        _add(now, meter, edge - 1, busy, until_us - since_us)
    now[SINCE] = until_us


@lean
def _add(now: Ints, meter: Ints, row: int, busy: int, passed_us: int) -> None:
    meter[row, 5] += now[IDLE] * passed_us
    meter[row, 6] += now[BOOTING] * passed_us
    meter[row, 7] += busy * passed_us
    meter[row, 8] += now[STOPPED] * passed_us


@lean
def open_up(now: Ints, limits: Ints, workers: Small, lists: Small, worker: int) -> None:
    """It has room: it becomes the last of those with as many sessions."""
    count = workers[worker, SESSIONS]
    tail = lists[1, count]
    workers[worker, BEFORE] = tail
    workers[worker, AFTER] = -1
    if tail >= 0:
        workers[tail, AFTER] = worker
    else:
        lists[0, count] = worker
    lists[1, count] = worker
    now[FREE] += limits[SLOTS] - count


@lean
def close(now: Ints, limits: Ints, workers: Small, lists: Small, worker: int) -> None:
    """It takes no session, if it did."""
    count = workers[worker, SESSIONS]
    state = workers[worker, STATE]
    if count >= limits[SLOTS] or (state != IDLES and state != SERVES):
        return
    left = workers[worker, BEFORE]
    right = workers[worker, AFTER]
    if left >= 0:
        workers[left, AFTER] = right
    else:
        lists[0, count] = right
    if right >= 0:
        workers[right, BEFORE] = left
    else:
        lists[1, count] = left
    now[FREE] -= limits[SLOTS] - count


@lean
def fullest(limits: Ints, workers: Small, lists: Small) -> int:
    """Of the workers with room the fullest, and of those the one that got there last."""
    count = limits[SLOTS] - 1
    while lists[1, count] < 0:
        count -= 1
    chosen = lists[1, count]
    if limits[PER_REQUEST] != 0:
        other = workers[chosen, BEFORE]
        while other >= 0:
            chosen = max(chosen, other)
            other = workers[other, BEFORE]
    return int(chosen)


@lean
def occupy(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    by_slot: Small,
    lists: Small,
    sessions: Ints,
    outcome: Bytes,
    hold_us: Ints,
    meter: Ints,
    worker: int,
    session: int,
) -> None:
    """The session takes a slot of this worker."""
    now_us = now[NOW]
    mark(now, meter, now_us)
    close(now, limits, workers, lists, worker)
    count = workers[worker, SESSIONS]
    if count == 0:
        now[IDLE] -= 1
        now[BUSY] += 1
    by_slot[worker * limits[SLOTS] + count] = session
    workers[worker, SESSIONS] = count + 1
    workers[worker, STATE] = SERVES
    if count + 1 < limits[SLOTS]:
        open_up(now, limits, workers, lists, worker)
    sessions[session, WAITED] += now_us - sessions[session, WAITS_SINCE]
    outcome[session] = SERVED
    at_us = now_us + hold_us[session]
    put(now, heap, far, heads, at_us, RANK_SERVICE, SESSION_ENDS, session, worker)


@lean
def release(limits: Ints, workers: Small, by_slot: Small, worker: int, session: int) -> bool:
    """The session leaves its slot; False: it was not there any more."""
    first = worker * limits[SLOTS]
    count = workers[worker, SESSIONS]
    slot = 0
    while slot < count and by_slot[first + slot] != session:
        slot += 1
    if slot == count:
        return False
    while slot < count - 1:
        by_slot[first + slot] = by_slot[first + slot + 1]
        slot += 1
    return True


@lean
def rest(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    idle_since: Ints,
    lists: Small,
    worker: int,
) -> None:
    """It is idle from now on."""
    workers[worker, STATE] = IDLES
    now[IDLE] += 1
    open_up(now, limits, workers, lists, worker)
    if limits[EXPIRY] < NEVER_US:
        idle_since[worker] = now[NOW]
        at_us = now[NOW] + limits[EXPIRY]
        put(now, heap, far, heads, at_us, RANK_FAILURE, IDLE_EXPIRES, 0, worker)


@lean
def ready(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    idle_since: Ints,
    lists: Small,
    meter: Ints,
    life_us: Ints,
    spot_us: Ints,
    worker: int,
) -> None:
    """It has booted; when it is ready for the first time, its end is known."""
    mark(now, meter, now[NOW])
    now[BOOTING] -= 1
    rest(now, limits, heap, far, heads, workers, idle_since, lists, worker)
    if workers[worker, WAS_READY] != 0:
        return
    workers[worker, WAS_READY] = 1
    if len(life_us) > 0:
        if worker >= len(life_us):
            now[STATUS] = LACKS_LAUNCHES
            return
        at_us = now[NOW] + life_us[worker]
        put(now, heap, far, heads, at_us, RANK_FAILURE, WORKER_FAILS, 0, worker)
    if len(spot_us) > 0:
        if worker >= len(spot_us):
            now[STATUS] = LACKS_LAUNCHES
            return
        at_us = now[NOW] + spot_us[worker]
        put(now, heap, far, heads, at_us, RANK_FAILURE, SPOT_NOTICE, 0, worker)


@lean
def new_worker(now: Ints, workers: Small, state: int) -> int:
    worker = now[WORKERS]
    now[WORKERS] = worker + 1
    workers[worker, STATE] = state
    workers[worker, SESSIONS] = 0
    workers[worker, WAS_READY] = 0
    workers[worker, BOUND] = -1
    return int(worker)


@lean
def drop(
    now: Ints,
    limits: Ints,
    workers: Small,
    lists: Small,
    meter: Ints,
    worker: int,
    into: int,
) -> None:
    """It leaves the counts of its state."""
    mark(now, meter, now[NOW])
    close(now, limits, workers, lists, worker)
    was = workers[worker, STATE]
    if was == RESTS:
        now[STOPPED] -= 1
    elif was in (BOOTS, SCRUBS):
        now[BOOTING] -= 1
    elif was == NOTICED:
        now[LEAVING] -= 1
    elif was == SERVES:
        now[BUSY] -= 1
    else:
        now[IDLE] -= 1
    workers[worker, STATE] = into


@lean
def lose(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    by_slot: Small,
    lists: Small,
    interrupted: Flags,
    meter: Ints,
    worker: int,
) -> None:
    """It is gone, and its sessions with it."""
    drop(now, limits, workers, lists, meter, worker, GONE)
    for slot in range(workers[worker, SESSIONS]):
        session = by_slot[worker * limits[SLOTS] + slot]
        interrupted[session] = True
        follow(now, limits, heap, far, heads, len(interrupted), session)
    workers[worker, SESSIONS] = 0


@lean
def follow(
    now: Ints, limits: Ints, heap: Ints, far: Ints, heads: Ints, count: int, session: int
) -> None:
    """In a closed load the next session of the same viewer begins."""
    if limits[CHAIN] > 0:
        following = session + limits[CHAIN]
        if following >= count:
            now[STATUS] = LACKS_SESSIONS
            return
        put(now, heap, far, heads, now[NOW], RANK_RETURN, SESSION_RETURNS, following, 0)
