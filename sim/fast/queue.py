"""The fast engine's queue of moments: a small heap in front of unsorted buckets of time.

Exact: moments come out by time, rank and the order in which they were put in.
A moment that is far away goes to the bucket of its time, unsorted; when the
clock comes to a bucket, its moments move to the heap, which therefore stays so
small that it fits the processor's first cache. All arrays belong to one tuple:
``(counters, heap times and ranks, numbers, contents; the same and links of the
buckets; heads of the buckets)``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from sim.fast.compiled import compiled
from sim.model import Ints

Queue: TypeAlias = Any
"""Tuple of arrays as described above."""

_LENGTH = 0
_USED = 1
_FREE = 2
_LOADED = 3
_NUMBER = 4
_BEGIN = 5
_SHIFT = 6
_BUCKETS = 7
_END = 8

RANKS = 8
_MOMENTS_PER_BUCKET = 8
_BUCKETS_MAX = 1 << 18


def new(begin_us: int, end_us: int, moments: int, capacity: int) -> Queue:
    """A queue for about so many ``moments`` in all, and at most ``capacity`` at once."""
    buckets = min(max(moments // _MOMENTS_PER_BUCKET, 16), _BUCKETS_MAX)
    shift = max(0, int((end_us - begin_us) // buckets).bit_length())
    count = ((end_us - begin_us) >> shift) + 1
    counters = np.array([0, 0, -1, 0, 0, begin_us, shift, count, end_us], dtype=np.int64)
    heap = [np.empty(capacity, dtype=np.int64) for _ in range(3)]
    far = [np.empty(capacity, dtype=np.int64) for _ in range(3)]
    links = np.empty(capacity, dtype=np.int32)
    heads = np.full(count, -1, dtype=np.int32)
    return (counters, *heap, *far, links, heads)


@compiled
def put(queue: Queue, at_us: int, rank: int, content: int) -> None:
    """Put a moment that is not in the past; one at the end or later is forgotten."""
    counters, keys, numbers, contents, far_keys, far_numbers, far_contents, links, heads = queue
    if at_us >= counters[_END]:
        return
    since_us = at_us - counters[_BEGIN]
    bucket = since_us >> counters[_SHIFT]
    key = since_us * RANKS + rank
    number = counters[_NUMBER]
    counters[_NUMBER] = number + 1
    if bucket < counters[_LOADED]:
        _sift_in(counters, keys, numbers, contents, key, number, content)
        return
    place = counters[_FREE]
    if place >= 0:
        counters[_FREE] = links[place]
    else:
        place = counters[_USED]
        counters[_USED] = place + 1
    far_keys[place] = key
    far_numbers[place] = number
    far_contents[place] = content
    links[place] = heads[bucket]
    heads[bucket] = place


@compiled
def first(queue: Queue, limit: int) -> int:
    """The key of the first moment that comes before the key ``limit``, or ``limit``."""
    counters, keys, numbers, contents, far_keys, far_numbers, far_contents, links, heads = queue
    while True:
        if counters[_LENGTH] > 0:
            return min(keys[0], limit)
        loaded = counters[_LOADED]
        if loaded >= counters[_BUCKETS] or (loaded << counters[_SHIFT]) * RANKS > limit:
            return limit
        counters[_LOADED] = loaded + 1
        place = heads[loaded]
        while place >= 0:
            _sift_in(
                counters,
                keys,
                numbers,
                contents,
                far_keys[place],
                far_numbers[place],
                far_contents[place],
            )
            following = links[place]
            links[place] = counters[_FREE]
            counters[_FREE] = place
            place = following


@compiled
def take(queue: Queue) -> int:
    """Remove the first moment of the heap; its content."""
    counters, keys, numbers, contents, _, _, _, _, _ = queue
    content = contents[0]
    length = counters[_LENGTH] - 1
    counters[_LENGTH] = length
    key = keys[length]
    number = numbers[length]
    moved = contents[length]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= length:
            break
        right = child + 1
        if right < length and (
            keys[right] < keys[child]
            or (keys[right] == keys[child] and numbers[right] < numbers[child])
        ):
            child = right
        if key < keys[child] or (key == keys[child] and number < numbers[child]):
            break
        keys[place] = keys[child]
        numbers[place] = numbers[child]
        contents[place] = contents[child]
        place = child
    keys[place] = key
    numbers[place] = number
    contents[place] = moved
    return content


@compiled
def _sift_in(
    counters: Ints, keys: Ints, numbers: Ints, contents: Ints, key: int, number: int, content: int
) -> None:
    place = counters[_LENGTH]
    counters[_LENGTH] = place + 1
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] < key or (keys[parent] == key and numbers[parent] < number):
            break
        keys[place] = keys[parent]
        numbers[place] = numbers[parent]
        contents[place] = contents[parent]
        place = parent
    keys[place] = key
    numbers[place] = number
    contents[place] = content
