"""Where the fast engine keeps what the reference model keeps in objects."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from sim.model import ABSENT, Day, PoolModel

Arrays: TypeAlias = Any
"""A tuple of arrays."""

# Counters of a run.
NOW = 0
IDLE = 1
BUSY = 2
BOOTING = 3
LEAVING = 4
STOPPED = 5
WAITING_NOW = 6
FREE = 7
ASKED = 8
WORKERS = 9
LAUNCHES = 10
STARTS = 11
QUEUE_HEAD = 12
QUEUE_TAIL = 13
TOKENS = 14
TOKENS_AT = 15
REFILL_AWAITED = 16
DECISIONS = 17
STACK = 18
EDGE = 19
SINCE = 20
STATUS = 21
COUNTERS = 22

# What a run may lack.
ENOUGH = 0
LACKS_LAUNCHES = 1
LACKS_STARTS = 2
LACKS_SESSIONS = 3
LACKS = {LACKS_LAUNCHES: "launches", LACKS_STARTS: "starts", LACKS_SESSIONS: "sessions"}

# States of a worker.
GONE = 0
BOOTS = 1
"""Booting or starting."""
IDLES = 2
SERVES = 3
SCRUBS = 4
RESTS = 5
"""Stopped."""
NOTICED = 6
"""Serves its last sessions under a spot notice."""

# Limits of a pool.
SLOTS = 0
REUSE = 1
MAX_WORKERS = 2
BURST = 3
REFILL = 4
NOTICE = 5
PER_REQUEST = 6
EXPIRY = 7
INTERVAL = 8
INITIAL = 9
INITIALLY_STOPPED = 10
CHAIN = 11
END = 12
BEGIN = 13

# Kinds of moments; the rest of a moment's content is the index of a session or worker.
INDEX_BITS = 40
SESSION_ENDS = 0
BOOT_ENDS = 1
BOOT_FAILS = 2
SCRUB_ENDS = 3
WORKER_FAILS = 4
SPOT_NOTICE = 5
IDLE_EXPIRES = 6
SESSION_LEAVES = 7
CAPACITY_RETURNS = 8
TOKEN_RETURNS = 9
SESSION_RETURNS = 10


def limits(pool: PoolModel, day: Day) -> Arrays:
    """Numbers of a pool and a day, by the constants above."""
    return np.array(
        [
            pool.slots,
            pool.reuse,
            pool.max_workers,
            pool.burst,
            pool.refill_us,
            pool.notice_us,
            pool.per_request,
            pool.expiry_us,
            pool.policy.interval_us,
            pool.initial,
            pool.stopped,
            day.chain,
            day.end_us,
            day.begin_us,
        ],
        dtype=np.int64,
    )


def workers(count: int, slots: int, stops: int) -> Arrays:
    """(state, sessions, previous, next of the list it is in, was ready, bound, idle since,
    stack of stopped ones, sessions by slot, first and last of the lists by sessions)."""
    return (
        np.empty(count, dtype=np.int8),
        np.empty(count, dtype=np.int32),
        np.empty(count, dtype=np.int32),
        np.empty(count, dtype=np.int32),
        np.empty(count, dtype=np.bool_),
        np.empty(count, dtype=np.int32),
        np.empty(count, dtype=np.int64),
        np.empty(stops, dtype=np.int32),
        np.empty(count * slots, dtype=np.int32),
        np.full(slots, -1, dtype=np.int32),
        np.full(slots, -1, dtype=np.int32),
    )


def sessions(count: int) -> Arrays:
    """(worker, first arrival, since when it waits, wait, outcome, interrupted, times it left,
    previous and next in the queue)."""
    return (
        np.full(count, -1, dtype=np.int32),
        np.full(count, -1, dtype=np.int64),
        np.empty(count, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
        np.full(count, ABSENT, dtype=np.int8),
        np.zeros(count, dtype=np.bool_),
        np.zeros(count, dtype=np.int8),
        np.empty(count, dtype=np.int32),
        np.empty(count, dtype=np.int32),
    )
