"""The store on a Redis or Valkey server, over TCP or a unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar, cast

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from system.store import redis_scripts
from system.store.base import (
    DEADLINE_S,
    SUBSCRIBER_BUFFER,
    Change,
    LogEntries,
    Record,
    Store,
    StoreUnavailable,
    Subscription,
    collection_of,
)

T = TypeVar("T")

PREFIX: Final = "rr:"
CONNECTIONS: Final = 16
_COUNTER: Final = PREFIX + "version"
_POLL_S: Final = 1.0
_encoder = msgspec.json.Encoder()
_listed = msgspec.msgpack.Decoder(list[str])


class RedisStore(Store):
    """See Store; keys and channels carry the prefix ``rr:``.

    A command is sent once: after a lost connection nobody knows whether it was
    carried out, and the ledger, which reads before it writes, is the one to
    try again.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix:///path``.
        deadline_s: every operation ends within it.
    """

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=deadline_s,
            socket_connect_timeout=deadline_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
        self._redis = Redis.from_pool(pool)
        self._compare_and_set = self._redis.register_script(redis_scripts.COMPARE_AND_SET)
        self._list = self._redis.register_script(redis_scripts.LIST)
        self._append = self._redis.register_script(redis_scripts.APPEND)

    async def get(self, key: str) -> Record | None:
        raw = await self._call(self._redis.get(PREFIX + key))
        return None if raw is None else _record(key, raw)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Record]:
        wanted = list(keys)
        if not wanted:
            return {}
        raws = await self._call(self._redis.mget([PREFIX + key for key in wanted]))
        return {k: _record(k, raw) for k, raw in zip(wanted, raws, strict=True) if raw is not None}

    async def list(self, collection: str) -> list[Record]:
        packed = await self._call(self._list(keys=[_index(collection)]))
        found = _listed.decode(packed)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [_record(key.removeprefix(PREFIX), raw) for key, raw in pairs]

    async def compare_and_set(self, *changes: Change, publish: str | None = None) -> bool:
        keys = [_COUNTER]
        args: list[bytes | str | int] = ["" if publish is None else PREFIX + publish]
        for change in changes:
            keys += [PREFIX + change.key, _index(collection_of(change.key))]
            args += [
                change.expected,
                b"" if change.value is None else _encoder.encode(change.value),
                "" if change.ttl_ms is None else change.ttl_ms,
            ]
        return bool(await self._call(self._compare_and_set(keys=keys, args=args)))

    async def put(self, key: str, value: dict[str, Any], ttl_ms: int) -> None:
        await self.compare_and_set(Change(key, -1, value, ttl_ms))

    async def append(
        self, log: str, entry: dict[str, Any], *, unique: str, limit: int | None = None
    ) -> tuple[int, bool]:
        index, fresh = await self._call(
            self._append(
                keys=[f"{PREFIX}log:{log}", f"{PREFIX}unique:{log}"],
                args=[unique, _encoder.encode(entry), "" if limit is None else limit],
            )
        )
        return int(index), bool(fresh)

    async def read_log(self, log: str, after: int = 0, limit: int = 1000) -> LogEntries:
        raws = await self._call(
            cast(
                Awaitable["LogRaws"],
                self._redis.lrange(f"{PREFIX}log:{log}", after, after + limit - 1),
            )
        )
        return [(after + i, msgspec.json.decode(raw)) for i, raw in enumerate(raws, start=1)]

    async def publish(self, channel: str, message: str) -> None:
        await self._call(self._redis.publish(PREFIX + channel, message))

    def subscribe(self, *channels: str) -> Subscription:
        return self._subscribed(channels)

    @asynccontextmanager
    async def _subscribed(
        self, channels: tuple[str, ...]
    ) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        pubsub = self._redis.pubsub()
        messages: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue(SUBSCRIBER_BUFFER)
        reader: asyncio.Task[None] | None = None
        try:
            await self._call(pubsub.subscribe(*(PREFIX + channel for channel in channels)))
            for _ in channels:
                await self._call(pubsub.get_message(timeout=self._deadline_s))
            reader = asyncio.create_task(_read(pubsub, messages), name="store-subscription")
            yield _drain(messages, reader)
        finally:
            if reader is not None:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
            await _close(pubsub)

    async def now_ms(self) -> int:
        seconds, micros = await self._call(self._redis.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _call(self, command: Awaitable[T]) -> T:
        with _cancellable():
            try:
                async with asyncio.timeout(self._deadline_s):
                    return await command
            except TimeoutError:
                raise StoreUnavailable("the store did not answer in time") from None
            except (RedisError, OSError) as error:
                raise StoreUnavailable(f"the store failed: {type(error).__name__}") from None


LogRaws = list[bytes]


@contextmanager
def _cancellable() -> Iterator[None]:
    """A cancellation that arrives inside is raised at the end, if the client lost it.

    redis-py may complete a command, or turn a cancellation into an error of its
    own, while the task is being cancelled; a loop around it would never end.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def _read(pubsub: PubSub, messages: asyncio.Queue[tuple[str, str] | None]) -> None:
    """Move messages into the buffer; ends with the connection, or with a full buffer."""
    while True:
        with _cancellable():
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_POLL_S)
            if message is None:
                await pubsub.ping()
                continue
        if message["type"] != "message":
            continue
        channel = message["channel"].decode().removeprefix(PREFIX)
        messages.put_nowait((channel, message["data"].decode()))


async def _drain(
    messages: asyncio.Queue[tuple[str, str] | None], reader: asyncio.Task[None]
) -> AsyncIterator[tuple[str, str]]:
    def wake(task: asyncio.Task[None]) -> None:
        if messages.full():
            messages.get_nowait()
        messages.put_nowait(None)

    reader.add_done_callback(wake)
    while True:
        message = await messages.get()
        if message is None:
            raise StoreUnavailable("the subscription was cut: messages may be lost")
        yield message


async def _close(pubsub: PubSub) -> None:
    try:
        async with asyncio.timeout(1.0):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
    except (RedisError, OSError, TimeoutError):
        return


def _index(collection: str) -> str:
    return f"{PREFIX}index:{collection}"


def _record(key: str, raw: bytes | str) -> Record:
    version, _, value = raw.partition(b" ") if isinstance(raw, bytes) else raw.partition(" ")
    return Record(key, int(version), msgspec.json.decode(value))
