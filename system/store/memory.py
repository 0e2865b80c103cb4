"""A store in this process's memory, for tests and for a single process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from system.store.base import (
    ANY,
    SUBSCRIBER_BUFFER,
    Change,
    LogEntries,
    Record,
    Store,
    StoreUnavailable,
    Subscription,
    collection_of,
)

_encoder = msgspec.json.Encoder()


class _Subscriber:
    """One subscription's bounded buffer."""

    def __init__(self, channels: frozenset[str], size: int) -> None:
        self.channels = channels
        self._messages: asyncio.Queue[tuple[str, str]] = asyncio.Queue(size)
        self._overrun = False

    def offer(self, channel: str, message: str) -> None:
        try:
            self._messages.put_nowait((channel, message))
        except asyncio.QueueFull:
            self._overrun = True

    async def messages(self) -> AsyncIterator[tuple[str, str]]:
        while True:
            if self._overrun:
                raise StoreUnavailable("the subscriber is too slow")
            yield await self._messages.get()


class MemoryStore(Store):
    """Values are kept as JSON, so that nobody shares an object with the store.

    Args:
        clock: Unix time in seconds.
        buffer: messages held for each subscriber.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, *, buffer: int = SUBSCRIBER_BUFFER
    ) -> None:
        self._clock = clock
        self._buffer = buffer
        self._records: dict[str, tuple[int, bytes, int | None]] = {}
        self._collections: dict[str, set[str]] = {}
        self._logs: dict[str, list[bytes]] = {}
        self._uniques: dict[str, dict[str, int]] = {}
        self._subscribers: set[_Subscriber] = set()
        self._last_version = 0

    async def get(self, key: str) -> Record | None:
        return self._read(key)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Record]:
        return {key: record for key in keys if (record := self._read(key)) is not None}

    async def list(self, collection: str) -> list[Record]:
        keys = tuple(self._collections.get(collection, ()))
        return [record for key in keys if (record := self._read(key)) is not None]

    async def compare_and_set(self, *changes: Change, publish: str | None = None) -> bool:
        for change in changes:
            record = self._read(change.key)
            if change.expected not in (ANY, 0 if record is None else record.version):
                return False
        for change in changes:
            if change.value is None:
                self._drop(change.key)
            else:
                self._write(change.key, change.value, change.ttl_ms)
        if publish is not None:
            await self.publish(publish, "{}")
        return True

    async def put(self, key: str, value: dict[str, Any], ttl_ms: int) -> None:
        self._write(key, value, ttl_ms)

    async def append(
        self, log: str, entry: dict[str, Any], *, unique: str, limit: int | None = None
    ) -> tuple[int, bool]:
        entries = self._logs.setdefault(log, [])
        uniques = self._uniques.setdefault(log, {})
        if unique in uniques:
            return uniques[unique], False
        if limit is not None and len(entries) >= limit:
            return 0, False
        entries.append(_encoder.encode(entry))
        uniques[unique] = len(entries)
        return len(entries), True

    async def read_log(self, log: str, after: int = 0, limit: int = 1000) -> LogEntries:
        entries = self._logs.get(log, [])[after : after + limit]
        return [(after + i, msgspec.json.decode(raw)) for i, raw in enumerate(entries, start=1)]

    async def publish(self, channel: str, message: str) -> None:
        for subscriber in self._subscribers:
            if channel in subscriber.channels:
                subscriber.offer(channel, message)

    def subscribe(self, *channels: str) -> Subscription:
        return self._subscribed(frozenset(channels))

    @asynccontextmanager
    async def _subscribed(
        self, channels: frozenset[str]
    ) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        subscriber = _Subscriber(channels, self._buffer)
        self._subscribers.add(subscriber)
        try:
            yield subscriber.messages()
        finally:
            self._subscribers.discard(subscriber)

    async def now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def close(self) -> None:
        self._subscribers.clear()

    def _read(self, key: str) -> Record | None:
        found = self._records.get(key)
        if found is None:
            return None
        version, raw, expires_ms = found
        if expires_ms is not None and expires_ms <= self._clock() * 1000:
            self._drop(key)
            return None
        return Record(key, version, msgspec.json.decode(raw))

    def _write(self, key: str, value: dict[str, Any], ttl_ms: int | None) -> None:
        now_s = self._clock()
        self._last_version = max(self._last_version + 1, int(now_s * 1_000_000))
        expires_ms = None if ttl_ms is None else int(now_s * 1000) + ttl_ms
        self._records[key] = (self._last_version, _encoder.encode(value), expires_ms)
        self._collections.setdefault(collection_of(key), set()).add(key)

    def _drop(self, key: str) -> None:
        self._records.pop(key, None)
        self._collections.get(collection_of(key), set()).discard(key)
