"""The fast engine: what ``sim.pool`` and ``sim.reference`` do, in numbers that numba compiles.

Every function is the one of the same name there; moments are put in the same
order, because that decides between those of equal time and rank.
"""

from __future__ import annotations

from sim.fast import queue as moments
from sim.fast.compiled import compiled
from sim.fast.policies import decide
from sim.fast.state import (
    ASKED,
    BEGIN,
    BOOT_ENDS,
    BOOT_FAILS,
    BOOTING,
    BOOTS,
    BURST,
    BUSY,
    CAPACITY_RETURNS,
    CHAIN,
    DECISIONS,
    EDGE,
    END,
    ENOUGH,
    EXPIRY,
    FREE,
    GONE,
    IDLE,
    IDLE_EXPIRES,
    IDLES,
    INDEX_BITS,
    INITIAL,
    INITIALLY_STOPPED,
    INTERVAL,
    LACKS_LAUNCHES,
    LACKS_SESSIONS,
    LACKS_STARTS,
    LAUNCHES,
    LEAVING,
    MAX_WORKERS,
    NOTICE,
    NOTICED,
    NOW,
    PER_REQUEST,
    QUEUE_HEAD,
    QUEUE_TAIL,
    REFILL,
    REFILL_AWAITED,
    RESTS,
    REUSE,
    SCRUB_ENDS,
    SCRUBS,
    SERVES,
    SESSION_ENDS,
    SESSION_LEAVES,
    SESSION_RETURNS,
    SINCE,
    SLOTS,
    SPOT_NOTICE,
    STACK,
    STARTS,
    STATUS,
    STOPPED,
    TOKEN_RETURNS,
    TOKENS,
    TOKENS_AT,
    WAITING_NOW,
    WORKER_FAILS,
    WORKERS,
    Arrays,
)
from sim.model import (
    ABANDONED,
    BLOCKED,
    NEVER_US,
    RANK_ARRIVAL,
    RANK_FAILURE,
    RANK_REFILL,
    RANK_RENEGE,
    RANK_RETURN,
    RANK_SERVICE,
    RANK_TICK,
    SECOND_US,
    SERVED,
    WAITING,
    Floats,
    Ints,
)

_put = moments.put
_first = moments.first
_take = moments.take
_RANKS = moments.RANKS
_INDEX_MASK = (1 << INDEX_BITS) - 1


@compiled
def mark(now: Ints, meter: Arrays, until_us: int) -> None:
    """Add up the counts, which are about to change."""
    since_us = now[SINCE]
    if until_us <= since_us:
        return
    edges, areas, states = meter
    edge = now[EDGE]
    busy = now[BUSY] + now[LEAVING]
    while edge < len(edges) and edges[edge] <= until_us:
        if edge > 0:
            passed_us = edges[edge] - since_us
            areas[edge - 1, 0] += now[IDLE] * passed_us
            areas[edge - 1, 1] += now[BOOTING] * passed_us
            areas[edge - 1, 2] += busy * passed_us
            areas[edge - 1, 3] += now[STOPPED] * passed_us
        since_us = edges[edge]
        states[edge, 0] = now[IDLE]
        states[edge, 1] = now[BOOTING]
        states[edge, 2] = busy
        states[edge, 3] = now[STOPPED]
        edge += 1
    now[EDGE] = edge
    if 0 < edge < len(edges):
        passed_us = until_us - since_us
        areas[edge - 1, 0] += now[IDLE] * passed_us
        areas[edge - 1, 1] += now[BOOTING] * passed_us
        areas[edge - 1, 2] += busy * passed_us
        areas[edge - 1, 3] += now[STOPPED] * passed_us
    now[SINCE] = until_us


@compiled
def open_up(now: Ints, limits: Ints, workers: Arrays, worker: int) -> None:
    """It has room: it becomes the last of those with as many sessions."""
    _, used, before, after, _, _, _, _, _, heads, tails = workers
    count = used[worker]
    tail = tails[count]
    before[worker] = tail
    after[worker] = -1
    if tail >= 0:
        after[tail] = worker
    else:
        heads[count] = worker
    tails[count] = worker
    now[FREE] += limits[SLOTS] - count


@compiled
def close(now: Ints, limits: Ints, workers: Arrays, worker: int) -> None:
    """It takes no session, if it did."""
    state, used, before, after, _, _, _, _, _, heads, tails = workers
    count = used[worker]
    if count >= limits[SLOTS] or (state[worker] != IDLES and state[worker] != SERVES):
        return
    left = before[worker]
    right = after[worker]
    if left >= 0:
        after[left] = right
    else:
        heads[count] = right
    if right >= 0:
        before[right] = left
    else:
        tails[count] = left
    now[FREE] -= limits[SLOTS] - count


@compiled
def occupy(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    sessions: Arrays,
    hold_us: Ints,
    meter: Arrays,
    worker: int,
    session: int,
) -> None:
    state, used, _, _, _, _, _, _, by_slot, _, _ = workers
    place, _, since, wait, outcome, _, _, _, _ = sessions
    now_us = now[NOW]
    mark(now, meter, now_us)
    close(now, limits, workers, worker)
    count = used[worker]
    if count == 0:
        now[IDLE] -= 1
        now[BUSY] += 1
    by_slot[worker * limits[SLOTS] + count] = session
    used[worker] = count + 1
    state[worker] = SERVES
    if count + 1 < limits[SLOTS]:
        open_up(now, limits, workers, worker)
    place[session] = worker
    wait[session] += now_us - since[session]
    outcome[session] = SERVED
    if hold_us[session] < NEVER_US:
        _put(
            queue,
            now_us + hold_us[session],
            RANK_SERVICE,
            (SESSION_ENDS << INDEX_BITS) | session,
        )


@compiled
def serve(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    sessions: Arrays,
    hold_us: Ints,
    meter: Arrays,
    session: int,
) -> None:
    tails = workers[10]
    fullest = limits[SLOTS] - 1
    while tails[fullest] < 0:
        fullest -= 1
    occupy(now, limits, queue, workers, sessions, hold_us, meter, tails[fullest], session)


@compiled
def serve_queue(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    sessions: Arrays,
    hold_us: Ints,
    meter: Arrays,
) -> None:
    while now[WAITING_NOW] > 0 and now[FREE] > 0:
        session = now[QUEUE_HEAD]
        unqueue(now, sessions, session)
        serve(now, limits, queue, workers, sessions, hold_us, meter, session)


@compiled
def unqueue(now: Ints, sessions: Arrays, session: int) -> None:
    before = sessions[7]
    after = sessions[8]
    left = before[session]
    right = after[session]
    if left >= 0:
        after[left] = right
    else:
        now[QUEUE_HEAD] = right
    if right >= 0:
        before[right] = left
    else:
        now[QUEUE_TAIL] = left
    now[WAITING_NOW] -= 1


@compiled
def rest(now: Ints, limits: Ints, queue: Arrays, workers: Arrays, worker: int) -> None:
    workers[0][worker] = IDLES
    workers[6][worker] = now[NOW]
    now[IDLE] += 1
    open_up(now, limits, workers, worker)
    if limits[EXPIRY] < NEVER_US:
        _put(
            queue,
            now[NOW] + limits[EXPIRY],
            RANK_FAILURE,
            (IDLE_EXPIRES << INDEX_BITS) | worker,
        )


@compiled
def ready(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    meter: Arrays,
    life_us: Ints,
    spot_us: Ints,
    worker: int,
) -> None:
    was_ready = workers[4]
    mark(now, meter, now[NOW])
    now[BOOTING] -= 1
    rest(now, limits, queue, workers, worker)
    if was_ready[worker]:
        return
    was_ready[worker] = True
    if len(life_us) > 0:
        if worker >= len(life_us):
            now[STATUS] = LACKS_LAUNCHES
            return
        _put(
            queue,
            now[NOW] + life_us[worker],
            RANK_FAILURE,
            (WORKER_FAILS << INDEX_BITS) | worker,
        )
    if len(spot_us) > 0:
        if worker >= len(spot_us):
            now[STATUS] = LACKS_LAUNCHES
            return
        _put(queue, now[NOW] + spot_us[worker], RANK_FAILURE, (SPOT_NOTICE << INDEX_BITS) | worker)


@compiled
def new_worker(now: Ints, workers: Arrays, state_of_it: int) -> int:
    state, used, _, _, was_ready, bound, _, _, _, _, _ = workers
    worker = now[WORKERS]
    now[WORKERS] = worker + 1
    state[worker] = state_of_it
    used[worker] = 0
    was_ready[worker] = False
    bound[worker] = -1
    return int(worker)


@compiled
def running(now: Ints) -> int:
    return int(now[IDLE] + now[BUSY] + now[BOOTING] + now[LEAVING])


@compiled
def is_out(now: Ints, outages: Ints) -> bool:
    for index in range(outages.shape[0]):
        if outages[index, 0] <= now[NOW] < outages[index, 1]:
            return True
    return False


@compiled
def token(now: Ints, limits: Ints, queue: Arrays) -> bool:
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
        _put(queue, now[NOW] + each_us - level, RANK_REFILL, TOKEN_RETURNS << INDEX_BITS)
    return False


@compiled
def launch_one(
    now: Ints,
    queue: Arrays,
    workers: Arrays,
    meter: Arrays,
    boot_us: Ints,
    boot_fails: Arrays,
    session: int,
) -> None:
    index = now[LAUNCHES]
    if index >= len(boot_us):
        now[STATUS] = LACKS_LAUNCHES
        return
    now[LAUNCHES] = index + 1
    mark(now, meter, now[NOW])
    now[BOOTING] += 1
    worker = new_worker(now, workers, BOOTS)
    workers[5][worker] = session
    at_us = now[NOW] + boot_us[index]
    if boot_fails[index]:
        _put(queue, at_us, RANK_FAILURE, (BOOT_FAILS << INDEX_BITS) | worker)
    else:
        _put(queue, at_us, RANK_SERVICE, (BOOT_ENDS << INDEX_BITS) | worker)


@compiled
def drop(now: Ints, limits: Ints, workers: Arrays, meter: Arrays, worker: int, into: int) -> None:
    """It leaves the counts of its state."""
    state = workers[0]
    mark(now, meter, now[NOW])
    close(now, limits, workers, worker)
    was = state[worker]
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
    state[worker] = into


@compiled
def follow(now: Ints, limits: Ints, queue: Arrays, sessions: Arrays, session: int) -> None:
    if limits[CHAIN] > 0:
        following = session + limits[CHAIN]
        if following >= len(sessions[0]):
            now[STATUS] = LACKS_SESSIONS
            return
        _put(queue, now[NOW], RANK_RETURN, (SESSION_RETURNS << INDEX_BITS) | following)


@compiled
def lose(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    sessions: Arrays,
    meter: Arrays,
    worker: int,
) -> None:
    """It is gone, and its sessions with it."""
    used = workers[1]
    by_slot = workers[8]
    drop(now, limits, workers, meter, worker, GONE)
    for slot in range(used[worker]):
        session = by_slot[worker * limits[SLOTS] + slot]
        sessions[0][session] = -1
        sessions[5][session] = True
        follow(now, limits, queue, sessions, session)
    used[worker] = 0


@compiled
def act(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    meter: Arrays,
    boot_us: Ints,
    boot_fails: Arrays,
    start_us: Ints,
    outages: Ints,
    actions: Floats,
) -> None:
    """Carry out what the policy wants, as far as the provider lets it."""
    state = workers[0]
    stack = workers[7]
    heads = workers[9]
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
        while worker < 0 or state[worker] != RESTS:
            now[STACK] -= 1
            worker = stack[now[STACK]]
        state[worker] = BOOTS
        now[STOPPED] -= 1
        now[BOOTING] += 1
        _put(queue, at_us, RANK_SERVICE, (BOOT_ENDS << INDEX_BITS) | worker)
    for _ in range(int(actions[0])):
        if running(now) >= limits[MAX_WORKERS] or out or not token(now, limits, queue):
            break
        launch_one(now, queue, workers, meter, boot_us, boot_fails, -1)
        if now[STATUS] != ENOUGH:
            return
    for _ in range(int(actions[3])):
        if heads[0] < 0:
            break
        worker = heads[0]
        drop(now, limits, workers, meter, worker, RESTS)
        now[STOPPED] += 1
        stack[now[STACK]] = worker
        now[STACK] += 1
    for _ in range(int(actions[1])):
        if heads[0] < 0:
            break
        drop(now, limits, workers, meter, heads[0], GONE)


@compiled
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
    if len(kinds) == 1:
        decide(kinds[0], observation, parameters[0], memories[0], best)
        if best[0] + best[2] > 0.0:
            best[1] = 0.0
            best[3] = 0.0
        return
    launch = 0.0
    start = 0.0
    stop = 0.0
    leaving = 1.0e18
    for part in range(len(kinds)):
        decide(kinds[part], observation, parameters[part], memories[part], actions)
        launch = max(launch, actions[0])
        start = max(start, actions[2])
        leaving = min(leaving, actions[1] + actions[3])
        stop = max(stop, actions[3])
    if launch + start > 0.0:
        leaving = 0.0
    stop = min(stop, leaving)
    best[0] = launch
    best[1] = leaving - stop
    best[2] = start
    best[3] = stop


@compiled
def simulate(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    workers: Arrays,
    sessions: Arrays,
    meter: Arrays,
    by_session: Arrays,
    by_launch: Arrays,
    outages: Ints,
    kinds: Ints,
    parameters: Floats,
    memories: Floats,
) -> None:
    """Run the day; STATUS says what it lacked."""
    arrival_us, hold_us, patience_us, scrub_us, retry_us = by_session
    boot_us, boot_fails, life_us, spot_us, start_us = by_launch
    state, used, _, _, _, bound, idle_since, stack, by_slot, _, _ = workers
    place, first_us, since, wait, outcome, _, _, q_before, q_after = sessions
    observation = parameters[0, :10].copy()
    actions = observation[:4].copy()
    best = observation[:4].copy()
    on_every = limits[INTERVAL] == 0
    never = NEVER_US * _RANKS // 8
    begin_us = limits[BEGIN]
    end_us = limits[END]

    now[NOW] = begin_us
    edges, _, states = meter
    while now[EDGE] < len(edges) and edges[now[EDGE]] <= begin_us:
        states[now[EDGE], 0] = limits[INITIAL]
        states[now[EDGE], 3] = limits[INITIALLY_STOPPED]
        now[EDGE] += 1
    for _ in range(limits[INITIAL]):
        now[BOOTING] += 1
        worker = new_worker(now, workers, BOOTS)
        ready(now, limits, queue, workers, meter, life_us, spot_us, worker)
    for _ in range(limits[INITIALLY_STOPPED]):
        worker = new_worker(now, workers, RESTS)
        stack[now[STACK]] = worker
        now[STACK] += 1
        now[STOPPED] += 1
    for index in range(outages.shape[0]):
        _put(queue, outages[index, 1], RANK_REFILL, CAPACITY_RETURNS << INDEX_BITS)

    expected = len(arrival_us) if limits[CHAIN] == 0 else limits[CHAIN]
    coming = 0
    tick_us = begin_us
    while now[STATUS] == ENOUGH:
        arrival_key = never
        if coming < expected:
            arrival_key = (arrival_us[coming] - begin_us) * _RANKS + RANK_ARRIVAL
        tick_key = (tick_us - begin_us) * _RANKS + RANK_TICK if tick_us < never else never
        limit = min(arrival_key, tick_key, (end_us - begin_us) * _RANKS)
        key = _first(queue, limit)
        now_us = begin_us + key // _RANKS
        if now_us >= end_us:
            break
        now[NOW] = now_us
        session = -1
        if key < limit:
            content = _take(queue)
            what = content >> INDEX_BITS
            index = content & _INDEX_MASK
            if what == SESSION_ENDS:
                worker = place[index]
                if worker < 0:
                    continue
                mark(now, meter, now_us)
                close(now, limits, workers, worker)
                place[index] = -1
                count = used[worker] - 1
                first_slot = worker * limits[SLOTS]
                slot = 0
                while by_slot[first_slot + slot] != index:
                    slot += 1
                while slot < count:
                    by_slot[first_slot + slot] = by_slot[first_slot + slot + 1]
                    slot += 1
                used[worker] = count
                follow(now, limits, queue, sessions, index)
                if count > 0:
                    if state[worker] == SERVES:
                        open_up(now, limits, workers, worker)
                elif state[worker] == NOTICED:
                    now[LEAVING] -= 1
                    state[worker] = GONE
                else:
                    now[BUSY] -= 1
                    if limits[REUSE] == 0:
                        state[worker] = GONE
                    elif scrub_us[index] > 0:
                        state[worker] = SCRUBS
                        now[BOOTING] += 1
                        _put(
                            queue,
                            now_us + scrub_us[index],
                            RANK_SERVICE,
                            (SCRUB_ENDS << INDEX_BITS) | worker,
                        )
                    else:
                        rest(now, limits, queue, workers, worker)
                serve_queue(now, limits, queue, workers, sessions, hold_us, meter)
            elif what == BOOT_ENDS:
                if state[index] != BOOTS:
                    continue
                ready(now, limits, queue, workers, meter, life_us, spot_us, index)
                if bound[index] >= 0:
                    mine = bound[index]
                    occupy(now, limits, queue, workers, sessions, hold_us, meter, index, mine)
                serve_queue(now, limits, queue, workers, sessions, hold_us, meter)
            elif what == SCRUB_ENDS:
                if state[index] != SCRUBS:
                    continue
                mark(now, meter, now_us)
                now[BOOTING] -= 1
                rest(now, limits, queue, workers, index)
                serve_queue(now, limits, queue, workers, sessions, hold_us, meter)
            elif what == BOOT_FAILS:
                if state[index] != BOOTS:
                    continue
                lose(now, limits, queue, workers, sessions, meter, index)
            elif what == WORKER_FAILS:
                if state[index] == GONE:
                    continue
                lose(now, limits, queue, workers, sessions, meter, index)
            elif what == SPOT_NOTICE:
                if state[index] == GONE or state[index] == NOTICED:
                    continue
                if state[index] == SERVES:
                    mark(now, meter, now_us)
                    close(now, limits, workers, index)
                    state[index] = NOTICED
                    now[BUSY] -= 1
                    now[LEAVING] += 1
                    _put(
                        queue,
                        now_us + limits[NOTICE],
                        RANK_FAILURE,
                        (WORKER_FAILS << INDEX_BITS) | index,
                    )
                else:
                    lose(now, limits, queue, workers, sessions, meter, index)
            elif what == IDLE_EXPIRES:
                if state[index] != IDLES or idle_since[index] + limits[EXPIRY] != now_us:
                    continue
                lose(now, limits, queue, workers, sessions, meter, index)
            elif what == SESSION_LEAVES:
                if outcome[index] != WAITING:
                    continue
                unqueue(now, sessions, index)
                wait[index] += now_us - since[index]
                leave(now, limits, queue, sessions, retry_us, index, ABANDONED)
            elif what == TOKEN_RETURNS:
                now[REFILL_AWAITED] = 0
            elif what == SESSION_RETURNS:
                session = index
        elif key == arrival_key:
            session = coming
            coming += 1
        else:
            tick_us = never if on_every else tick_us + limits[INTERVAL]
        if session >= 0:
            if first_us[session] < 0:
                first_us[session] = now_us
            since[session] = now_us
            outcome[session] = WAITING
            now[ASKED] += 1
            if now[FREE] > 0:
                serve(now, limits, queue, workers, sessions, hold_us, meter, session)
            elif limits[PER_REQUEST] != 0 and running(now) < limits[MAX_WORKERS]:
                launch_one(now, queue, workers, meter, boot_us, boot_fails, session)
            elif patience_us[session] == 0:
                leave(now, limits, queue, sessions, retry_us, session, BLOCKED)
            else:
                tail = now[QUEUE_TAIL]
                q_before[session] = tail
                q_after[session] = -1
                if tail >= 0:
                    q_after[tail] = session
                else:
                    now[QUEUE_HEAD] = session
                now[QUEUE_TAIL] = session
                now[WAITING_NOW] += 1
                if patience_us[session] < NEVER_US:
                    _put(
                        queue,
                        now_us + patience_us[session],
                        RANK_RENEGE,
                        (SESSION_LEAVES << INDEX_BITS) | session,
                    )
        if on_every or key == tick_key:
            ask_policy(now, limits, kinds, parameters, memories, observation, actions, best)
            if best[0] + best[1] + best[2] + best[3] > 0.0:
                act(
                    now,
                    limits,
                    queue,
                    workers,
                    meter,
                    boot_us,
                    boot_fails,
                    start_us,
                    outages,
                    best,
                )
    mark(now, meter, end_us)


@compiled
def leave(
    now: Ints,
    limits: Ints,
    queue: Arrays,
    sessions: Arrays,
    retry_us: Ints,
    session: int,
    how: int,
) -> None:
    """It goes; it may come again."""
    outcome = sessions[4]
    left = sessions[6]
    outcome[session] = how
    times = left[session]
    left[session] = times + 1
    if times < retry_us.shape[1] and retry_us[session, times] >= 0:
        _put(
            queue,
            now[NOW] + retry_us[session, times],
            RANK_RETURN,
            (SESSION_RETURNS << INDEX_BITS) | session,
        )
    else:
        follow(now, limits, queue, sessions, session)
