"""One suite for every store: the memory store and a real Valkey behave alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from system.protocol.messages import Register
from system.store.base import ANY, Change, Store, StoreUnavailable, open_store
from system.store.ledger import Ledger
from system.store.valkey import EmbeddedValkey


@pytest.fixture(scope="module")
def valkey_url() -> Iterator[str]:
    with EmbeddedValkey() as server:
        yield server.url


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else request.getfixturevalue("valkey_url")
    opened = open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
def name() -> str:
    """A fresh name, so that tests on one server do not meet."""
    return uuid.uuid4().hex[:12]


async def eventually(condition, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the store expires it, nobody tells
            await asyncio.sleep(0.01)


async def test_a_missing_key_reads_as_none(store: Store, name: str) -> None:
    assert await store.get(f"{name}:1") is None
    assert await store.get_many([f"{name}:1"]) == {}
    assert await store.get_many([]) == {}
    assert await store.list(name) == []


async def test_a_record_comes_back_as_it_was_written(store: Store, name: str) -> None:
    value = {"text": "grüße \u0000 'quoted'", "n": 1.5, "list": [1, None, {"deep": True}]}
    assert await store.compare_and_set(Change(f"{name}:1", 0, value))
    record = await store.get(f"{name}:1")
    assert record is not None
    assert record.value == value
    assert record.key == f"{name}:1"
    assert record.version > 0
    assert await store.list(name) == [record]
    assert await store.get_many([f"{name}:1", f"{name}:2"]) == {f"{name}:1": record}


async def test_create_update_and_delete_need_the_right_version(store: Store, name: str) -> None:
    key = f"{name}:1"
    assert not await store.compare_and_set(Change(key, 7, {"a": 1}))
    assert await store.compare_and_set(Change(key, 0, {"a": 1}))
    assert not await store.compare_and_set(Change(key, 0, {"a": 2}))
    first = await store.get(key)
    assert first is not None
    assert await store.compare_and_set(Change(key, first.version, {"a": 2}))
    assert not await store.compare_and_set(Change(key, first.version, None))
    second = await store.get(key)
    assert second is not None
    assert second.version > first.version
    assert await store.compare_and_set(Change(key, second.version, None))
    assert await store.get(key) is None
    assert await store.list(name) == []


async def test_versions_grow_over_a_deletion(store: Store, name: str) -> None:
    key = f"{name}:1"
    await store.compare_and_set(Change(key, 0, {}))
    before = await store.get(key)
    await store.compare_and_set(Change(key, ANY, None))
    await store.compare_and_set(Change(key, 0, {}))
    after = await store.get(key)
    assert before is not None
    assert after is not None
    assert after.version > before.version


async def test_changes_are_all_made_or_none(store: Store, name: str) -> None:
    await store.compare_and_set(Change(f"{name}:1", 0, {"a": 1}))
    made = await store.compare_and_set(
        Change(f"{name}:2", 0, {"b": 1}), Change(f"{name}:1", 0, {"a": 2})
    )
    assert not made
    assert await store.get(f"{name}:2") is None
    assert await store.compare_and_set(
        Change(f"{name}:2", 0, {"b": 1}), Change(f"{name}:1", ANY, {"a": 2})
    )
    assert {r.key for r in await store.list(name)} == {f"{name}:1", f"{name}:2"}


async def test_one_of_many_concurrent_writers_of_a_version_wins(store: Store, name: str) -> None:
    made = await asyncio.gather(
        *(store.compare_and_set(Change(f"{name}:1", 0, {"by": i})) for i in range(50))
    )
    assert sum(made) == 1


async def test_a_record_with_a_ttl_goes_by_itself(store: Store, name: str) -> None:
    await store.put(f"{name}:1", {"a": 1}, ttl_ms=40)
    await store.put(f"{name}:2", {"a": 2}, ttl_ms=60_000)
    assert len(await store.list(name)) == 2

    async def gone() -> bool:
        return await store.get(f"{name}:1") is None

    await eventually(gone)
    assert [r.key for r in await store.list(name)] == [f"{name}:2"]


async def test_a_write_without_ttl_keeps_a_record_that_had_one(store: Store, name: str) -> None:
    await store.put(f"{name}:1", {"a": 1}, ttl_ms=30)
    assert await store.compare_and_set(Change(f"{name}:1", ANY, {"a": 2}))
    await asyncio.sleep(0.06)
    assert await store.get(f"{name}:1") is not None


async def test_a_long_list_is_complete(store: Store, name: str) -> None:
    await store.compare_and_set(*(Change(f"{name}:{i}", 0, {"i": i}) for i in range(2500)))
    assert {r.value["i"] for r in await store.list(name)} == set(range(2500))


async def test_a_repeated_append_returns_the_first_index(store: Store, name: str) -> None:
    assert await store.append(name, {"e": 1}, unique="a") == (1, True)
    assert await store.append(name, {"e": 2}, unique="b") == (2, True)
    assert await store.append(name, {"e": 3}, unique="a") == (1, False)
    assert await store.read_log(name) == [(1, {"e": 1}), (2, {"e": 2})]
    assert await store.read_log(name, after=1) == [(2, {"e": 2})]
    assert await store.read_log(name, after=2) == []
    assert await store.read_log(name, limit=1) == [(1, {"e": 1})]


async def test_a_full_log_takes_no_more_but_repeats_what_it_has(store: Store, name: str) -> None:
    assert await store.append(name, {}, unique="a", limit=1) == (1, True)
    assert await store.append(name, {}, unique="b", limit=1) == (0, False)
    assert await store.append(name, {}, unique="a", limit=1) == (1, False)


async def test_a_subscriber_gets_its_channels_in_order(store: Store, name: str) -> None:
    async with store.subscribe(f"{name}:1", f"{name}:2") as messages:
        await store.publish(f"{name}:1", "one")
        await store.publish(f"{name}:3", "elsewhere")
        await store.publish(f"{name}:2", "two")
        await store.compare_and_set(Change(f"{name}:x", 0, {}), publish=f"{name}:1")
        async with asyncio.timeout(5):
            got = [await anext(messages) for _ in range(3)]
    assert got == [(f"{name}:1", "one"), (f"{name}:2", "two"), (f"{name}:1", "{}")]


async def test_a_refused_change_publishes_nothing(store: Store, name: str) -> None:
    async with store.subscribe(name) as messages:
        await store.compare_and_set(Change(f"{name}:x", 5, {}), publish=name)
        await store.publish(name, "last")
        async with asyncio.timeout(5):
            assert await anext(messages) == (name, "last")


async def test_the_clock_is_unix_time_and_goes_on(store: Store) -> None:
    first = await store.now_ms()
    await asyncio.sleep(0.01)
    assert first < await store.now_ms() < first + 60_000
    assert first > 1_600_000_000_000


async def test_concurrent_reservations_never_share_a_slot(store: Store, name: str) -> None:
    """500 claims by 3 processes' worth of ledgers on 40 slots: 40 served, none twice."""
    ledgers = [Ledger(store) for _ in range(3)]
    for i in range(20):
        register = Register(worker_id=f"{name}-w{i}", generation=1, pool=name, slots=2)
        await ledgers[0].register(register, "node")

    async def claim(i: int):
        ledger = ledgers[i % len(ledgers)]
        while True:
            try:
                return await ledger.reserve(f"{name}-s{i}", "client", "project", name)
            except StoreUnavailable:  # 3 ledgers on one pool of connections wait their turn
                await asyncio.sleep(0.01)

    claims = await asyncio.gather(*(claim(i) for i in range(500)))
    served = [claim for claim in claims if claim is not None]
    assert len(served) == 40
    assert len({(r.worker_id, r.fence) for r in served}) == 40
    snapshot = await ledgers[0].pool_view(name)
    assert all(len(worker.sessions) == 2 for worker in snapshot.workers)
    held = {session for worker in snapshot.workers for session in worker.sessions}
    assert held == {r.session_id for r in served}


async def test_a_store_that_is_gone_is_unavailable_within_the_deadline(tmp_path) -> None:
    store = open_store(f"unix://{tmp_path}/nobody.sock", deadline_s=0.5)
    async with asyncio.timeout(2):
        for operation in (
            store.get("a:1"),
            store.list("a"),
            store.compare_and_set(Change("a:1", 0, {})),
            store.append("a", {}, unique="u"),
            store.publish("a", ""),
            store.now_ms(),
        ):
            with pytest.raises(StoreUnavailable):
                await operation
        with pytest.raises(StoreUnavailable):
            async with store.subscribe("a"):
                pass
    await store.close()


async def test_a_hung_server_is_unavailable_within_the_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = open_store(f"redis://127.0.0.1:{port}", deadline_s=0.2)
    async with asyncio.timeout(2):
        with pytest.raises(StoreUnavailable):
            await store.get("a:1")
    await store.close()
    server.close()


async def test_a_cut_subscription_says_so_and_the_store_works_on_after_a_restart() -> None:
    with EmbeddedValkey() as server:
        store = open_store(server.url)
        async with store.subscribe("a") as messages:
            await store.publish("a", "1")
            async with asyncio.timeout(5):
                assert await anext(messages) == ("a", "1")
                server.stop()
                with pytest.raises(StoreUnavailable):
                    await anext(messages)
        with pytest.raises(StoreUnavailable):
            await store.get("a:1")
        await store.close()


async def test_a_subscriber_that_does_not_read_is_cut(store: Store, name: str) -> None:
    async with store.subscribe(name) as messages:
        for _ in range(5000):
            await store.publish(name, "x")
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable):
                async for _ in messages:
                    pass


def test_an_unknown_store_url_is_refused() -> None:
    with pytest.raises(ValueError, match="redis://"):
        open_store("mysql://x")


async def test_a_cancelled_loop_over_the_store_ends(valkey_url: str, name: str) -> None:
    """redis-py may complete a command of a cancelled task as if nothing had happened."""
    store = open_store(valkey_url)

    async def look() -> None:
        while True:
            await store.get(f"{name}:1")
            await store.list(name)

    async def listen() -> None:
        async with store.subscribe(name) as messages:
            async for _ in messages:
                pass

    for turns in range(30):
        tasks = [asyncio.create_task(look()), asyncio.create_task(listen())]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=5)
        assert not pending
    await store.close()
