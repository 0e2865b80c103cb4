"""Where the fast engine keeps what the reference model keeps in objects.

``now`` holds counters, ``limits`` the numbers of the pool; the arrays
``workers``, ``lists``, ``sessions`` and ``queued`` have the columns below.
``meter`` has a row per edge: its time, four counts there, and four areas from
there to the next. All are 64-bit but where size matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fast import queue
from sim.model import ABSENT, Day, Flags, Ints, PoolModel

Small = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.int8]

# Counters; the first are the queue's.
_FROM = queue.COUNTERS
NOW = _FROM
IDLE = _FROM + 1
BUSY = _FROM + 2
BOOTING = _FROM + 3
LEAVING = _FROM + 4
STOPPED = _FROM + 5
WAITING_NOW = _FROM + 6
FREE = _FROM + 7
ASKED = _FROM + 8
WORKERS = _FROM + 9
LAUNCHES = _FROM + 10
STARTS = _FROM + 11
QUEUE_HEAD = _FROM + 12
QUEUE_TAIL = _FROM + 13
TOKENS = _FROM + 14
TOKENS_AT = _FROM + 15
REFILL_AWAITED = _FROM + 16
DECISIONS = _FROM + 17
STACK = _FROM + 18
EDGE = _FROM + 19
SINCE = _FROM + 20
STATUS = _FROM + 21
COUNTERS = _FROM + 22

# What a run may lack.
ENOUGH = 0
LACKS_LAUNCHES = 1
LACKS_STARTS = 2
LACKS_SESSIONS = 3
LACKS = {LACKS_LAUNCHES: "launches", LACKS_STARTS: "starts", LACKS_SESSIONS: "sessions"}

# Columns of a worker.
STATE = 0
SESSIONS = 1
BEFORE = 2
AFTER = 3
WAS_READY = 4
BOUND = 5
WORKER_COLUMNS = 6

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

# Columns of a session.
ARRIVED_AT = 0
WAITS_SINCE = 1
WAITED = 2

# Columns of a session that has waited.
LEFT = 0
"""Times."""
QUEUED_BEFORE = 1
QUEUED_AFTER = 2

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

# Kinds of moments.
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


def limits(pool: PoolModel, day: Day) -> Ints:
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


@dataclass(frozen=True)
class Fleet:
    """Workers: columns; idle since; stack of stopped ones; sessions by slot; first and last
    worker of the lists by number of sessions."""

    workers: Small
    idle_since: Ints
    stack: Small
    by_slot: Small
    lists: Small

    @classmethod
    def of(cls, count: int, slots: int, stops: int, expires: bool) -> Fleet:
        """Room for ``count`` workers; what is not used costs no memory."""
        return cls(
            np.empty((count, WORKER_COLUMNS), dtype=np.int32),
            np.empty(count if expires else 0, dtype=np.int64),
            np.empty(stops, dtype=np.int32),
            np.empty(count * slots, dtype=np.int32),
            np.full((2, slots), -1, dtype=np.int32),
        )


@dataclass(frozen=True)
class Crowd:
    """Sessions: their columns, those of the queue, and how they ended."""

    sessions: Ints
    queued: Small
    outcome: Bytes
    interrupted: Flags

    @classmethod
    def of(cls, count: int) -> Crowd:
        """So many sessions, of whom nobody has arrived."""
        sessions = np.zeros((count, 3), dtype=np.int64)
        sessions[:, ARRIVED_AT] = -1
        return cls(
            sessions,
            np.zeros((count, 3), dtype=np.int32),
            np.full(count, ABSENT, dtype=np.int8),
            np.zeros(count, dtype=np.bool_),
        )


def counters(pool: PoolModel, day: Day) -> Ints:
    """The counters at the beginning."""
    now: npt.NDArray[Any] = np.zeros(COUNTERS, dtype=np.int64)
    now[QUEUE_HEAD] = now[QUEUE_TAIL] = -1
    now[TOKENS] = pool.burst * pool.refill_us
    now[TOKENS_AT] = now[SINCE] = now[NOW] = day.begin_us
    return now
