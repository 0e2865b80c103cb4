"""The fast engine's queue of moments: a small heap in front of unsorted buckets of time.

Exact: moments come out by time, rank and the order in which they were put in.
A moment that is far away goes to the bucket of its time, unsorted; when the
clock comes to a bucket, its moments move to the heap, which therefore stays so
small that it fits the processor's first cache.

``now`` holds counters, at the places below. A row of ``heap`` is (time and
rank, number, content), one of ``far`` the same and the next of its bucket;
``heads`` are the first of each bucket. Content is what, whose and where:
a kind of moment, an index and a worker.
"""

from __future__ import annotations

import numpy as np

from sim.fast.compiled import lean
from sim.model import Ints

LENGTH = 0
USED = 1
UNUSED = 2
LOADED = 3
NUMBER = 4
BEGIN = 5
SHIFT = 6
BUCKETS = 7
END = 8
COUNTERS = 9

INDEX_BITS = 32
WORKER_BITS = 24
INDEX_MASK = (1 << INDEX_BITS) - 1
WORKER_MASK = (1 << WORKER_BITS) - 1

RANKS = 8
_MOMENTS_PER_BUCKET = 4
_BUCKETS_MAX = 1 << 19


def new(
    now: Ints, begin_us: int, end_us: int, moments: int, capacity: int
) -> tuple[Ints, Ints, Ints]:
    """(heap, far, heads) for about so many ``moments`` in all, ``capacity`` at one time."""
    buckets = min(max(moments // _MOMENTS_PER_BUCKET, 16), _BUCKETS_MAX)
    shift = max(0, int((end_us - begin_us) // buckets).bit_length())
    count = ((end_us - begin_us) >> shift) + 1
    now[:COUNTERS] = (0, 0, -1, 0, 0, begin_us, shift, count, end_us)
    heap = np.empty((capacity, 3), dtype=np.int64)
    far = np.empty((capacity, 4), dtype=np.int64)
    return heap, far, np.full(count, -1, dtype=np.int64)


@lean
def put(
    now: Ints,
    heap: Ints,
    far: Ints,
    heads: Ints,
    at_us: int,
    rank: int,
    what: int,
    index: int,
    worker: int,
) -> None:
    """Put a moment that is not in the past; one at the end or later is forgotten."""
    if at_us >= now[END]:
        return
    since_us = at_us - now[BEGIN]
    bucket = since_us >> now[SHIFT]
    key = since_us * RANKS + rank
    content = (((what << WORKER_BITS) | worker) << INDEX_BITS) | index
    number = now[NUMBER]
    now[NUMBER] = number + 1
    if bucket < now[LOADED]:
        _sift_in(now, heap, key, number, content)
        return
    place = now[UNUSED]
    if place >= 0:
        now[UNUSED] = far[place, 3]
    else:
        place = now[USED]
        now[USED] = place + 1
    far[place, 0] = key
    far[place, 1] = number
    far[place, 2] = content
    far[place, 3] = heads[bucket]
    heads[bucket] = place


@lean
def first(now: Ints, heap: Ints, far: Ints, heads: Ints, limit: int) -> int:
    """The key of the first moment that comes before the key ``limit``, or ``limit``."""
    while now[LENGTH] == 0:
        loaded = now[LOADED]
        if loaded >= now[BUCKETS] or (loaded << now[SHIFT]) * RANKS > limit:
            return limit
        now[LOADED] = loaded + 1
        place = heads[loaded]
        while place >= 0:
            _sift_in(now, heap, far[place, 0], far[place, 1], far[place, 2])
            following = far[place, 3]
            far[place, 3] = now[UNUSED]
            now[UNUSED] = place
            place = following
    return int(min(heap[0, 0], limit))


@lean
def take(now: Ints, heap: Ints) -> int:
    """Remove the first moment of the heap; its content."""
    content = heap[0, 2]
    length = now[LENGTH] - 1
    now[LENGTH] = length
    key = heap[length, 0]
    number = heap[length, 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= length:
            break
        right = child + 1
        if right < length and (
            heap[right, 0] < heap[child, 0]
            or (heap[right, 0] == heap[child, 0] and heap[right, 1] < heap[child, 1])
        ):
            child = right
        if key < heap[child, 0] or (key == heap[child, 0] and number < heap[child, 1]):
            break
        heap[place, 0] = heap[child, 0]
        heap[place, 1] = heap[child, 1]
        heap[place, 2] = heap[child, 2]
        place = child
    heap[place, 0] = key
    heap[place, 1] = number
    heap[place, 2] = heap[length, 2]
    return int(content)


@lean
def _sift_in(now: Ints, heap: Ints, key: int, number: int, content: int) -> None:
    place = now[LENGTH]
    now[LENGTH] = place + 1
    while place > 0:
        parent = (place - 1) >> 1
        if heap[parent, 0] < key or (heap[parent, 0] == key and heap[parent, 1] < number):
            break
        heap[place, 0] = heap[parent, 0]
        heap[place, 1] = heap[parent, 1]
        heap[place, 2] = heap[parent, 2]
        place = parent
    heap[place, 0] = key
    heap[place, 1] = number
    heap[place, 2] = content
