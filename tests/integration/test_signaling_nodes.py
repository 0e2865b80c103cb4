"""Several signaling nodes, workers that come back, edits, and the store going away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from signaling_harness import ANSWER, OFFER, Stage, candidate, stage

from system.protocol.errors import CloseCode
from system.protocol.fields import Edit
from system.store.base import Store, StoreUnavailable, open_store
from system.store.memory import MemoryStore
from system.store.valkey import EmbeddedValkey


@pytest.fixture(scope="module")
def valkey() -> object:
    server = EmbeddedValkey()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "valkey"])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Nodes a and b over one store, each store in its turn."""
    store: Store = MemoryStore()
    if request.param == "valkey":
        server = request.getfixturevalue("valkey")
        store = open_store(server.url)
    async with stage(store) as made:
        await made.start("a")
        yield await made.start("b")


async def test_client_and_worker_meet_across_two_nodes(two: Stage) -> None:
    worker = await two.worker(_fresh(two, "w"), node="b")
    client = await two.client(node="a")
    await client.send(type="ice-candidate", candidate=candidate(1))
    await client.send(type="offer", sdp=OFFER)
    created = await client.expect("session-created")
    assert (await client.expect("answer"))["sdp"] == ANSWER
    await worker.expect("offer")
    await worker.expect("ice-candidate")
    await worker.about(created["sessionId"], "session-active")
    await two.eventually(lambda: two.state(created["sessionId"]), "active")
    client.abort()
    await worker.expect("client-disconnected")
    again = await two.client(node="b", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    await again.expect("session-resumed")
    await again.send(type="bye")
    await worker.expect("session-ended")
    await two.eventually(lambda: two.slots_used(worker.worker_id), 0)


async def test_a_worker_lost_on_one_node_is_told_to_clients_of_another(two: Stage) -> None:
    worker = await two.worker(_fresh(two, "w"), node="b")
    client, _ = await two.active(worker, node="a")
    lost_at = time.monotonic()
    worker.abort()
    assert (await client.expect("error"))["code"] == "worker_lost"
    await client.expect("session-ended")
    assert time.monotonic() - lost_at < 1.0


async def test_the_newest_process_of_a_worker_wins_across_nodes(two: Stage) -> None:
    name = _fresh(two, "w")
    old = await two.worker(name, node="a", generation=1)
    new = await two.worker(name, node="b", generation=2)
    assert await old.expect_close() == CloseCode.REPLACED
    stale = await two.worker(name, node="a", generation=1, registered=False)
    assert (await stale.expect("error"))["code"] == "conflict"
    assert await stale.expect_close() == CloseCode.REPLACED
    await two.active(new, node="a")


async def test_what_is_published_to_a_workers_node_reaches_the_worker(two: Stage) -> None:
    worker = await two.worker(_fresh(two, "w"), node="a")
    drain = {"type": "drain", "deadlineMs": 500}
    for message in ("rubbish", _envelope("nobody", drain), _envelope(worker.worker_id, drain)):
        await two.store.publish("node:a", message)
    assert (await worker.expect("drain"))["deadlineMs"] == 500


def _envelope(worker_id: str, message: dict[str, object]) -> str:
    return json.dumps({"to": "worker", "id": worker_id, "message": message})


async def test_an_edit_is_logged_before_it_is_acknowledged_and_reaches_every_viewer(
    two: Stage,
) -> None:
    project = _fresh(two, "p")
    one, other = await two.worker(_fresh(two, "w"), node="a", slots=1), None
    _, first = await two.active(one, user="u1", project=project, node="a")
    other = await two.worker(_fresh(two, "w"), node="b", slots=1)
    await two.active(other, user="u2", project=project, node="b")
    edit = {"editId": "e1", "type": "device:drag", "data": {"deviceId": "d"}, "userId": "forged"}
    await one.about(first["sessionId"], "edit", edit=edit)
    acknowledged = await one.expect("edit-acknowledged")
    assert (acknowledged["editId"], acknowledged["index"]) == ("e1", 1)
    state = await two.ledger.project(project)
    assert [(e.index, e.edit.edit_id, e.edit.user_id) for e in state.log] == [(1, "e1", "u1")]
    for worker in (one, other):
        applied = await worker.expect("edit-applied")
        assert (applied["projectId"], applied["edit"]["index"]) == (project, 1)
    await one.about(first["sessionId"], "edit", edit=edit)
    again = await one.expect("edit-acknowledged")
    assert again["index"] == 1
    assert len((await two.ledger.project(project)).log) == 1


async def test_a_gap_in_the_project_channel_is_filled_from_the_log(two: Stage) -> None:
    project = _fresh(two, "p")
    worker = await two.worker(_fresh(two, "w"), node="a")
    await two.active(worker, project=project)
    entry = {"editId": "silent", "type": "device:drag", "data": {}}
    await two.store.append(f"edits:{project}", entry, unique="silent")
    await two.ledger.append_edit(project, Edit(edit_id="loud", type="device:drag", data={}))
    seen = [(await worker.expect("edit-applied"))["edit"] for _ in range(2)]
    assert [(e["index"], e["edit"]["editId"]) for e in seen] == [(1, "silent"), (2, "loud")]


async def test_a_restarted_node_gets_its_workers_and_sessions_back(two: Stage) -> None:
    worker = await two.worker(_fresh(two, "w"), node="b")
    client, created = await two.active(worker, node="b")
    await two.stop("b")
    assert await worker.expect_close() == CloseCode.GOING_AWAY
    assert await client.expect_close() == CloseCode.GOING_AWAY
    await two.start("c")
    held = [{"sessionId": s, "fence": f} for s, f in worker.sessions.items()]
    back = await two.worker(worker.worker_id, node="c", sessions=held)
    back.sessions = worker.sessions
    again = await two.client(node="c", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    assert (await again.expect("session-resumed"))["sessionId"] == created["sessionId"]
    await again.send(type="offer", sdp=OFFER, negotiation=2)
    await again.expect("answer")
    assert not back.of("session-ended")


async def test_sessions_that_are_no_longer_the_workers_are_void_when_it_returns(
    two: Stage,
) -> None:
    name = _fresh(two, "w")
    held = [{"sessionId": "gone-" + name, "fence": {"epoch": 1, "n": 1}}]
    await two.ledger.reserve("gone-" + name, "u", "p", "nowhere")
    worker = await two.worker(name, slots=1)
    client, created = await two.active(worker)
    await client.send(type="bye")
    await worker.expect("session-ended")
    await two.eventually(lambda: two.state(created["sessionId"]), "ended")
    again = await two.worker(
        name,
        slots=1,
        generation=1,
        sessions=[{"sessionId": created["sessionId"], "fence": {"epoch": 1, "n": 1}}],
    )
    assert (await again.expect("session-ended"))["sessionId"] == created["sessionId"]
    assert held


class Switch(MemoryStore):
    """A store that can be taken away."""

    down = False

    async def get(self, key: str):  # type: ignore[no-untyped-def]
        self._check()
        return await super().get(key)

    async def get_many(self, keys):  # type: ignore[no-untyped-def]
        self._check()
        return await super().get_many(keys)

    async def compare_and_set(self, *changes, publish=None):  # type: ignore[no-untyped-def]
        self._check()
        return await super().compare_and_set(*changes, publish=publish)

    async def put(self, key, value, ttl_ms):  # type: ignore[no-untyped-def]
        self._check()
        await super().put(key, value, ttl_ms)

    async def append(self, log, entry, *, unique, limit=None):  # type: ignore[no-untyped-def]
        self._check()
        return await super().append(log, entry, unique=unique, limit=limit)

    async def now_ms(self) -> int:
        self._check()
        return await super().now_ms()

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("taken away")


async def test_without_the_store_old_sessions_stay_and_new_ones_hear_unavailable() -> None:
    store = Switch()
    async with stage(store) as made:
        await made.start()
        worker = await made.worker()
        client, created = await made.active(worker)
        leaver, left = await made.active(worker, user="leaver")
        store.down = True
        await leaver.send(type="bye")
        await leaver.expect_close()
        fresh = await made.client("fresh")
        asked_at = time.monotonic()
        assert (await fresh.expect("error"))["code"] == "unavailable"
        assert time.monotonic() - asked_at < 2
        await worker.beat()
        edit = {"editId": "e", "type": "device:drag", "data": {}}
        await worker.about(created["sessionId"], "edit", edit=edit)
        assert (await worker.expect("edit-acknowledged"))["code"] == "unavailable"
        await client.send(type="offer", sdp=OFFER, negotiation=2)
        assert (await client.expect("answer"))["negotiation"] == 2
        ready = await made.http.get(made.urls["a"] + "/readyz")
        assert ready.status == 503
        store.down = False
        await made.eventually(lambda: made.state(left["sessionId"]), "ended")
        assert await made.state(created["sessionId"]) == "active"


async def test_health_metrics_and_page_are_served(two: Stage) -> None:
    async def get(path: str) -> tuple[aiohttp.ClientResponse, str]:
        async with two.http.get(two.urls["a"] + path) as response:
            return response, await response.text()

    worker = await two.worker(_fresh(two, "w"))
    await two.active(worker)
    response, _ = await get("/health")
    health = await response.json()
    assert health["status"] == "healthy"
    assert health["activeSessions"] == 1
    assert health["uptime"] > 0
    assert (await get("/livez"))[0].status == 200
    assert (await get("/readyz"))[0].status == 200
    _, text = await get("/metrics")
    assert "# TYPE signaling_active_sessions gauge\nsignaling_active_sessions 1.0" in text
    assert "# TYPE signaling_uptime_seconds gauge" in text
    response, page = await get("/")
    assert response.status == 200
    assert "Remote Render" in page


async def test_a_session_ended_elsewhere_is_told_at_the_next_review() -> None:
    async with stage(MemoryStore()) as made:
        await made.start(heartbeat_s=0.2)
        worker = await made.worker()
        client, created = await made.active(worker)
        await made.ledger.release(created["sessionId"], fence=None, reason="operator")
        assert (await client.expect("session-ended", within_s=1))["reason"] == "operator"
        assert await client.expect_close() == CloseCode.SESSION_ENDED


def _fresh(made: Stage, prefix: str) -> str:
    """An id that no earlier test of this store has used."""
    return f"{prefix}{len(made.peers)}-{time.monotonic_ns()}"


async def test_nothing_is_left_running_when_a_node_has_stopped() -> None:
    before = asyncio.all_tasks()
    async with stage(MemoryStore()) as made:
        await made.start()
        worker = await made.worker()
        await made.active(worker)
        await made.client("waiting")
    left = [t for t in asyncio.all_tasks() - before if not t.done()]
    assert left == []
