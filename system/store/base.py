"""The store: versioned records, append-only logs, channels and one clock for every process.

It decides nothing; what may be written is the ledger's business. Every
operation ends within the store's deadline: it returns, or raises
StoreUnavailable and nothing else.

Keys are ``collection:id``; the collection is what stands before the first colon.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

ANY: Final = -1
"""``Change.expected``: whatever is there, or nothing."""

ABSENT: Final = 0
"""``Change.expected``: the key must not exist."""

DEADLINE_S: Final = 2.0
SUBSCRIBER_BUFFER: Final = 4096
"""Messages held for a slow subscriber; with one more its subscription ends."""


class StoreUnavailable(Exception):
    """The store could not be reached, did not answer in time, or is too contended."""


@dataclass(frozen=True, slots=True)
class Record:
    """A value and its version; versions of one key only grow, even over a deletion."""

    key: str
    version: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One write of a compare-and-set: ``value`` None deletes; ``ttl_ms`` None keeps for ever."""

    key: str
    expected: int
    value: dict[str, Any] | None
    ttl_ms: int | None = None


LogEntries = list[tuple[int, dict[str, Any]]]
"""Entries of a log with their indices."""

Subscription = AbstractAsyncContextManager[AsyncIterator[tuple[str, str]]]


class Store(ABC):
    """What all processes share."""

    @abstractmethod
    async def get(self, key: str) -> Record | None: ...

    @abstractmethod
    async def get_many(self, keys: Iterable[str]) -> dict[str, Record]:
        """The records that exist, by key."""

    @abstractmethod
    async def list(self, collection: str) -> list[Record]:
        """All records of a collection, in no particular order."""

    @abstractmethod
    async def compare_and_set(self, *changes: Change, publish: str | None = None) -> bool:
        """Make all changes, or none if any key is not at its expected version.

        ``publish`` names a channel that gets ``{}`` in the same step.
        """

    @abstractmethod
    async def put(self, key: str, value: dict[str, Any], ttl_ms: int) -> None:
        """Write unconditionally; for heartbeats."""

    @abstractmethod
    async def append(
        self, log: str, entry: dict[str, Any], *, unique: str, limit: int | None = None
    ) -> tuple[int, bool]:
        """Add an entry; its index (from 1) and whether it is new.

        A repeated ``unique`` returns the first index and False. A log that
        has ``limit`` entries takes no more and returns (0, False).
        """

    @abstractmethod
    async def read_log(self, log: str, after: int = 0, limit: int = 1000) -> LogEntries:
        """Entries with an index above ``after``, in order."""

    @abstractmethod
    async def publish(self, channel: str, message: str) -> None:
        """Send to whoever is subscribed now; there is no delivery later."""

    @abstractmethod
    def subscribe(self, *channels: str) -> Subscription:
        """Messages as (channel, message), of everything published once entered.

        The iteration raises StoreUnavailable when messages may have been lost
        (connection lost, buffer full): subscribe again and look at the records.
        """

    @abstractmethod
    async def now_ms(self) -> int:
        """The store's Unix time: the one clock that leases are judged by."""

    @abstractmethod
    async def close(self) -> None: ...


def collection_of(key: str) -> str:
    """What stands before the first colon of a key."""
    return key.partition(":")[0]


def open_store(url: str, *, deadline_s: float = DEADLINE_S) -> Store:
    """The store at ``url``: ``redis://``, ``rediss://``, ``unix:///path`` or ``memory://``.

    Raises:
        ValueError: the URL names no known kind of store.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        from system.store.memory import MemoryStore

        return MemoryStore()
    if scheme in ("redis", "rediss", "unix"):
        from system.store.redis import RedisStore

        return RedisStore(url, deadline_s=deadline_s)
    raise ValueError("a store URL starts with redis://, rediss://, unix:// or memory://")
