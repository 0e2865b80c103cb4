"""The fast engine's day: what ``sim.pool`` and ``sim.reference`` do, moment by moment.

Moments are put in the same order as there, because that decides between those
of equal time and rank.
"""

from __future__ import annotations

from sim.fast import control, crowd, fleet, queue
from sim.fast.compiled import lean
from sim.fast.state import (
    ARRIVED_AT,
    ASKED,
    BEGIN,
    BOOT_ENDS,
    BOOT_FAILS,
    BOOTING,
    BOOTS,
    BOUND,
    BUSY,
    CAPACITY_RETURNS,
    CHAIN,
    EDGE,
    END,
    ENOUGH,
    EXPIRY,
    FREE,
    GONE,
    IDLE_EXPIRES,
    IDLES,
    INITIAL,
    INITIALLY_STOPPED,
    INTERVAL,
    LEAVING,
    MAX_WORKERS,
    NOTICE,
    NOTICED,
    NOW,
    PER_REQUEST,
    QUEUE_HEAD,
    REFILL_AWAITED,
    RESTS,
    REUSE,
    SCRUB_ENDS,
    SCRUBS,
    SERVES,
    SESSION_ENDS,
    SESSION_LEAVES,
    SESSION_RETURNS,
    SESSIONS,
    SPOT_NOTICE,
    STACK,
    STATE,
    STATUS,
    STOPPED,
    TOKEN_RETURNS,
    WAITED,
    WAITING_NOW,
    WAITS_SINCE,
    WORKER_FAILS,
    Bytes,
    Small,
)
from sim.model import (
    ABANDONED,
    BLOCKED,
    RANK_ARRIVAL,
    RANK_FAILURE,
    RANK_REFILL,
    RANK_RENEGE,
    RANK_SERVICE,
    RANK_TICK,
    WAITING,
    Flags,
    Floats,
    Ints,
)

put, first, take = queue.put, queue.first, queue.take
mark, close, open_up = fleet.mark, fleet.close, fleet.open_up
occupy, release, rest, ready = fleet.occupy, fleet.release, fleet.rest, fleet.ready
new_worker, lose, follow = fleet.new_worker, fleet.lose, fleet.follow
running, launch_one, is_out = control.running, control.launch_one, control.is_out
act, ask_policy = control.act, control.ask_policy
fullest = fleet.fullest
enqueue, unqueue, leave = crowd.enqueue, crowd.unqueue, crowd.leave
_RANKS = queue.RANKS
_INDEX_BITS, _INDEX_MASK = queue.INDEX_BITS, queue.INDEX_MASK
_WORKER_BITS, _WORKER_MASK = queue.WORKER_BITS, queue.WORKER_MASK


@lean
def simulate(
    now: Ints,
    limits: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    workers: Small,
    idle_since: Ints,
    stack: Small,
    by_slot: Small,
    lists: Small,
    sessions: Ints,
    queued: Small,
    outcome: Bytes,
    interrupted: Flags,
    meter: Ints,
    arrival_us: Ints,
    hold_us: Ints,
    patience_us: Ints,
    scrub_us: Ints,
    retry_us: Ints,
    boot_us: Ints,
    boot_fails: Flags,
    life_us: Ints,
    spot_us: Ints,
    start_us: Ints,
    outages: Ints,
    kinds: Ints,
    parameters: Floats,
    memories: Floats,
    observation: Floats,
    actions: Floats,
    best: Floats,
) -> None:
    """Run the day; STATUS says what it lacked."""
    on_every = limits[INTERVAL] == 0
    begin_us = limits[BEGIN]
    end_us = limits[END]
    while now[EDGE] < len(meter) and meter[now[EDGE], 0] <= begin_us:
        meter[now[EDGE], 1] = limits[INITIAL]
        meter[now[EDGE], 4] = limits[INITIALLY_STOPPED]
        now[EDGE] += 1
    for _ in range(limits[INITIAL]):
        now[BOOTING] += 1
        worker = new_worker(now, workers, BOOTS)
        ready(
            now,
            limits,
            heap,
            far,
            heads,
            workers,
            idle_since,
            lists,
            meter,
            life_us,
            spot_us,
            worker,
        )
    for _ in range(limits[INITIALLY_STOPPED]):
        stack[now[STACK]] = new_worker(now, workers, RESTS)
        now[STACK] += 1
        now[STOPPED] += 1
    for index in range(outages.shape[0]):
        put(now, heap, far, heads, outages[index, 1], RANK_REFILL, CAPACITY_RETURNS, 0, 0)

    expected = len(arrival_us) if limits[CHAIN] == 0 else limits[CHAIN]
    coming = 0
    end_key = (end_us - begin_us) * _RANKS
    arrival_key = end_key
    if expected > 0:
        arrival_key = (arrival_us[0] - begin_us) * _RANKS + RANK_ARRIVAL
    tick_key = RANK_TICK
    while now[STATUS] == ENOUGH:
        limit = min(arrival_key, tick_key, end_key)
        key = first(now, heap, far, heads, limit)
        if key >= end_key:
            break
        now_us = begin_us + key // _RANKS
        now[NOW] = now_us
        session = -1
        decides = on_every
        serves_queue = False
        lost = -1
        if key < limit:
            content = take(now, heap)
            index = content & _INDEX_MASK
            worker = (content >> _INDEX_BITS) & _WORKER_MASK
            what = content >> (_INDEX_BITS + _WORKER_BITS)
            state = workers[worker, STATE]
            if what == SESSION_ENDS:
                if not release(limits, workers, by_slot, worker, index):
                    continue
                mark(now, meter, now_us)
                close(now, limits, workers, lists, worker)
                count = workers[worker, SESSIONS] - 1
                workers[worker, SESSIONS] = count
                follow(now, limits, heap, far, heads, len(outcome), index)
                if count > 0:
                    if state == SERVES:
                        open_up(now, limits, workers, lists, worker)
                elif state == NOTICED:
                    now[LEAVING] -= 1
                    workers[worker, STATE] = GONE
                else:
                    now[BUSY] -= 1
                    if limits[REUSE] == 0:
                        workers[worker, STATE] = GONE
                    elif len(scrub_us) > 0 and scrub_us[index] > 0:
                        workers[worker, STATE] = SCRUBS
                        now[BOOTING] += 1
                        at_us = now_us + scrub_us[index]
                        put(now, heap, far, heads, at_us, RANK_SERVICE, SCRUB_ENDS, 0, worker)
                    else:
                        rest(now, limits, heap, far, heads, workers, idle_since, lists, worker)
                serves_queue = True
            elif what == BOOT_ENDS:
                if state != BOOTS:
                    continue
                ready(
                    now,
                    limits,
                    heap,
                    far,
                    heads,
                    workers,
                    idle_since,
                    lists,
                    meter,
                    life_us,
                    spot_us,
                    worker,
                )
                if workers[worker, BOUND] >= 0:
                    occupy(
                        now,
                        limits,
                        heap,
                        far,
                        heads,
                        workers,
                        by_slot,
                        lists,
                        sessions,
                        outcome,
                        hold_us,
                        meter,
                        worker,
                        workers[worker, BOUND],
                    )
                serves_queue = True
            elif what == SCRUB_ENDS:
                if state != SCRUBS:
                    continue
                mark(now, meter, now_us)
                now[BOOTING] -= 1
                rest(now, limits, heap, far, heads, workers, idle_since, lists, worker)
                serves_queue = True
            elif what == BOOT_FAILS:
                if state != BOOTS:
                    continue
                lost = worker
            elif what == WORKER_FAILS:
                if state == GONE:
                    continue
                lost = worker
            elif what == SPOT_NOTICE:
                if state in (GONE, NOTICED):
                    continue
                if state == SERVES:
                    mark(now, meter, now_us)
                    close(now, limits, workers, lists, worker)
                    workers[worker, STATE] = NOTICED
                    now[BUSY] -= 1
                    now[LEAVING] += 1
                    at_us = now_us + limits[NOTICE]
                    put(now, heap, far, heads, at_us, RANK_FAILURE, WORKER_FAILS, 0, worker)
                else:
                    lost = worker
            elif what == IDLE_EXPIRES:
                if state != IDLES or idle_since[worker] + limits[EXPIRY] != now_us:
                    continue
                lost = worker
            elif what == SESSION_LEAVES:
                if outcome[index] != WAITING:
                    continue
                unqueue(now, queued, index)
                sessions[index, WAITED] += now_us - sessions[index, WAITS_SINCE]
                leave(now, limits, heap, far, heads, queued, outcome, retry_us, index, ABANDONED)
            elif what == TOKEN_RETURNS:
                now[REFILL_AWAITED] = 0
            elif what == SESSION_RETURNS:
                session = index
            if lost >= 0:
                lose(
                    now,
                    limits,
                    heap,
                    far,
                    heads,
                    workers,
                    by_slot,
                    lists,
                    interrupted,
                    meter,
                    lost,
                )
        elif key == arrival_key:
            session = coming
            coming += 1
            arrival_key = end_key
            if coming < expected:
                arrival_key = (arrival_us[coming] - begin_us) * _RANKS + RANK_ARRIVAL
        else:
            decides = True
            tick_key = end_key if on_every else tick_key + limits[INTERVAL] * _RANKS
        if session >= 0:
            now[ASKED] += 1
            if sessions[session, ARRIVED_AT] < 0:
                sessions[session, ARRIVED_AT] = now_us
            sessions[session, WAITS_SINCE] = now_us
            if now[FREE] > 0:
                pass
            elif (
                limits[PER_REQUEST] != 0
                and running(now) < limits[MAX_WORKERS]
                and not is_out(now, outages)
            ):
                outcome[session] = WAITING
                launch_one(now, heap, far, heads, workers, meter, boot_us, boot_fails, session)
                session = -1
            elif patience_us[session] == 0:
                leave(now, limits, heap, far, heads, queued, outcome, retry_us, session, BLOCKED)
                session = -1
            else:
                outcome[session] = WAITING
                enqueue(now, queued, session)
                at_us = now_us + patience_us[session]
                put(now, heap, far, heads, at_us, RANK_RENEGE, SESSION_LEAVES, session, 0)
                session = -1
        while now[FREE] > 0 and (session >= 0 or (serves_queue and now[WAITING_NOW] > 0)):
            served = session
            session = -1
            if served < 0:
                served = now[QUEUE_HEAD]
                unqueue(now, queued, served)
            occupy(
                now,
                limits,
                heap,
                far,
                heads,
                workers,
                by_slot,
                lists,
                sessions,
                outcome,
                hold_us,
                meter,
                fullest(limits, workers, lists),
                served,
            )
        if decides:
            ask_policy(now, limits, kinds, parameters, memories, observation, actions, best)
            if best[0] + best[1] + best[2] + best[3] > 0.0:
                act(
                    now,
                    limits,
                    heap,
                    far,
                    heads,
                    workers,
                    stack,
                    lists,
                    meter,
                    boot_us,
                    boot_fails,
                    start_us,
                    outages,
                    best,
                )
    mark(now, meter, end_us)
