"""The fast engine's policy: what it sees, what it wants, and how far a provider lets it."""

from __future__ import annotations

from sim.fast import fleet, queue
from sim.fast.compiled import lean
from sim.fast.policies import decide
from sim.fast.state import (
    ASKED,
    BOOT_ENDS,
    BOOT_FAILS,
    BOOTING,
    BOOTS,
    BOUND,
    BURST,
    BUSY,
    DECISIONS,
    ENOUGH,
    FREE,
    GONE,
    IDLE,
    INTERVAL,
    LACKS_LAUNCHES,
    LACKS_STARTS,
    LAUNCHES,
    LEAVING,
    MAX_WORKERS,
    NOW,
    REFILL,
    REFILL_AWAITED,
    RESTS,
    SLOTS,
    STACK,
    STARTS,
    STATE,
    STATUS,
    STOPPED,
    TOKEN_RETURNS,
    TOKENS,
    TOKENS_AT,
    WAITING_NOW,
    Small,
)
from sim.model import (
    RANK_FAILURE,
    RANK_REFILL,
    RANK_SERVICE,
    SECOND_US,
    Flags,
    Floats,
    Ints,
)

put = queue.put
drop = fleet.drop
mark = fleet.mark
new_worker = fleet.new_worker


@lean
def running(now: Ints) -> int:
    """Workers that count against the quota."""
    return int(now[IDLE] + now[BUSY] + now[BOOTING] + now[LEAVING])


@lean
def is_out(now: Ints, outages: Ints) -> bool:
    """Whether the provider has no capacity."""
    out = False
    for index in range(outages.shape[0]):
        if outages[index, 0] <= now[NOW] < outages[index, 1]:
            out = True
    return out


@lean
def token(now: Ints, limits: Ints, heap: Ints, far: Ints, heads: Ints) -> bool:
    """Take a launch token, or ask to hear of the next."""
    if limits[BURST] == 0:
        return True
    each_us = limits[REFILL]
    level = min(limits[BURST] * each_us, now[TOKENS] + now[NOW] - now[TOKENS_AT])
    now[TOKENS_AT] = now[NOW]
    if level >= each_us:
        now[TOKENS] = level - each_us
        return True
    now[TOKENS] = level
    if limits[INTERVAL] == 0 and now[REFILL_AWAITED] == 0:
        now[REFILL_AWAITED] = 1
        at_us = now[NOW] + each_us - level
        put(now, heap, far, heads, at_us, RANK_REFILL, TOKEN_RETURNS, 0, 0)
    return False


@lean
def launch_one(
    now: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    meter: Ints,
    boot_us: Ints,
    boot_fails: Flags,
    session: int,
) -> None:
    """Launch a worker; ``session`` is the one that it is for, or -1."""
    index = now[LAUNCHES]
    if index >= len(boot_us):
        now[STATUS] = LACKS_LAUNCHES
        return
    now[LAUNCHES] = index + 1
    mark(now, meter, now[NOW])
    now[BOOTING] += 1
    worker = new_worker(now, workers, BOOTS)
    workers[worker, BOUND] = session
    at_us = now[NOW] + boot_us[index]
    if boot_fails[index]:
        put(now, heap, far, heads, at_us, RANK_FAILURE, BOOT_FAILS, 0, worker)
    else:
        put(now, heap, far, heads, at_us, RANK_SERVICE, BOOT_ENDS, 0, worker)


@lean
def act(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    stack: Small,
    lists: Small,
    meter: Ints,
    boot_us: Ints,
    boot_fails: Flags,
    start_us: Ints,
    outages: Ints,
    actions: Floats,
) -> None:
    """Carry out what the policy wants, as far as the provider lets it."""
    out = is_out(now, outages)
    for _ in range(int(actions[2])):
        if now[STOPPED] == 0 or running(now) >= limits[MAX_WORKERS] or out:
            break
        if now[STARTS] >= len(start_us):
            now[STATUS] = LACKS_STARTS
            return
        at_us = now[NOW] + start_us[now[STARTS]]
        now[STARTS] += 1
        mark(now, meter, now[NOW])
        worker = -1
        while worker < 0 or workers[worker, STATE] != RESTS:
            now[STACK] -= 1
            worker = stack[now[STACK]]
        workers[worker, STATE] = BOOTS
        now[STOPPED] -= 1
        now[BOOTING] += 1
        put(now, heap, far, heads, at_us, RANK_SERVICE, BOOT_ENDS, 0, worker)
    for _ in range(int(actions[0])):
        if running(now) >= limits[MAX_WORKERS] or out:
            break
        if not token(now, limits, heap, far, heads):
            break
        launch_one(now, heap, far, heads, workers, meter, boot_us, boot_fails, -1)
        if now[STATUS] != ENOUGH:
            return
    for _ in range(int(actions[3])):
        worker = lists[0, 0]
        if worker < 0:
            break
        drop(now, limits, workers, lists, meter, worker, RESTS)
        now[STOPPED] += 1
        stack[now[STACK]] = worker
        now[STACK] += 1
    for _ in range(int(actions[1])):
        if lists[0, 0] < 0:
            break
        drop(now, limits, workers, lists, meter, lists[0, 0], GONE)


@lean
def ask_policy(
    now: Ints,
    limits: Ints,
    kinds: Ints,
    parameters: Floats,
    memories: Floats,
    observation: Floats,
    actions: Floats,
    best: Floats,
) -> None:
    """Leave in ``best`` what the policy, or the highest of several, wants."""
    observation[0] = now[NOW] / SECOND_US
    observation[1] = now[IDLE]
    observation[2] = now[BUSY]
    observation[3] = now[BOOTING]
    observation[4] = now[STOPPED]
    observation[5] = now[WAITING_NOW]
    observation[6] = running(now)
    observation[7] = now[ASKED]
    observation[8] = now[FREE]
    observation[9] = limits[SLOTS]
    now[ASKED] = 0
    now[DECISIONS] += 1
    coming = 0.0
    start = 0.0
    stop = 0.0
    leaving = 1.0e18
    for part in range(len(kinds)):
        decide(kinds[part], observation, parameters[part], memories[part], actions)
        coming = max(coming, actions[0] + actions[2])
        start = max(start, actions[2])
        leaving = min(leaving, actions[1] + actions[3])
        stop = max(stop, actions[3])
    if coming > 0.0 and len(kinds) > 1:
        leaving = 0.0
    stop = min(stop, leaving)
    best[0] = coming - start
    best[1] = leaving - stop
    best[2] = start
    best[3] = stop
