"""Sessions that lose their worker and live on with another: every order of who is lost when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from signaling_harness import OFFER, Peer, Stage, Worker, candidate, stage

from system.protocol.errors import CloseCode
from system.protocol.fields import Edit
from system.store.base import Store, open_store
from system.store.memory import MemoryStore
from system.store.valkey import EmbeddedValkey

TOLD_S = 0.5


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
        for worker in await made.ledger.workers():
            await made.ledger.fail(worker.worker_id, "the test is over")


@pytest.fixture
async def one() -> AsyncIterator[Stage]:
    async with stage(MemoryStore()) as made:
        yield await made.start(heartbeat_s=0.4)


def fresh(prefix: str) -> str:
    """An id that no earlier test of this store has used."""
    return f"{prefix}-{time.monotonic_ns()}"


async def viewing(made: Stage, worker: Worker, **more: Any) -> tuple[Peer, dict[str, Any]]:
    """A client that can be moved, with a session that is active on the worker."""
    client = await made.client(**more)
    await client.send(type="offer", sdp=OFFER, negotiation=1)
    created = await client.expect("session-created")
    await client.expect("answer")
    await worker.about(created["sessionId"], "session-active")
    await made.eventually(lambda: made.state(created["sessionId"]), "active")
    return client, created


async def settled(made: Stage, client: Peer, spare: Worker, session_id: str) -> dict[str, Any]:
    """The client is told of the spare, offers to it, and sees it active."""
    replaced = await client.expect("worker-replaced")
    assert (replaced["sessionId"], replaced["workerId"]) == (session_id, spare.worker_id)
    turn = replaced["negotiation"]
    await client.send(type="offer", sdp=OFFER, negotiation=turn)
    assert (await client.expect("answer"))["negotiation"] == turn
    await spare.about(session_id, "session-active")
    await made.eventually(lambda: made.state(session_id), "active")
    assert await made.slots_used(spare.worker_id) == 1
    return replaced


@pytest.mark.parametrize(("of_client", "of_worker"), [("a", "a"), ("a", "b")])
async def test_a_lost_workers_session_goes_on_with_a_spare_one(
    two: Stage, of_client: str, of_worker: str
) -> None:
    project = fresh("p")
    worker = await two.worker(fresh("w"), node=of_worker)
    client, created = await viewing(two, worker, node=of_client, project=project)
    session_id = created["sessionId"]
    edit = {"editId": "e1", "type": "device:drag", "data": {"deviceId": "d"}}
    await worker.about(session_id, "edit", edit=edit)
    await worker.expect("edit-acknowledged")
    spare = await two.worker(fresh("w"), node="b")
    lost_at = time.monotonic()
    worker.abort()
    replaced = await client.expect("worker-replaced", TOLD_S)
    assert time.monotonic() - lost_at < TOLD_S
    assert replaced["sessionId"] == session_id
    assert (replaced["workerId"], replaced["negotiation"]) == (spare.worker_id, 2)
    assigned = await spare.expect("session-assigned")
    assert (assigned["sessionId"], assigned["negotiation"]) == (session_id, 2)
    assert [e["edit"]["editId"] for e in assigned["project"]["log"]] == ["e1"]
    await client.send(type="offer", sdp=OFFER, negotiation=1)
    await client.send(type="ice-candidate", candidate=candidate(1), negotiation=1)
    await client.send(type="ice-candidate", candidate=candidate(2), negotiation=2)
    await client.send(type="offer", sdp=OFFER, negotiation=2)
    assert (await client.expect("answer"))["negotiation"] == 2
    await spare.expect("ice-candidate")
    assert [m["negotiation"] for m in spare.of("offer")] == [2]
    assert [m["negotiation"] for m in spare.of("ice-candidate")] == [2]
    await spare.about(session_id, "session-active")
    await two.eventually(lambda: two.state(session_id), "active")
    assert await two.slots_used(worker.worker_id) == 0
    assert await two.slots_used(spare.worker_id) == 1
    assert not client.of("error")
    assert not client.of("queued")
    again = await two.client(node="b", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    assert (await again.expect("session-resumed"))["workerId"] == spare.worker_id


async def test_without_a_spare_the_client_waits_first_of_all(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    newcomer = await two.client("late", node="b")
    assert (await newcomer.expect("queued"))["position"] == 1
    worker.abort()
    assert (await client.expect("queued", TOLD_S))["position"] == 1
    assert (await newcomer.expect("queued"))["position"] == 2
    spare = await two.worker(fresh("w"), node="a", slots=1)
    await settled(two, client, spare, created["sessionId"])
    assert not newcomer.of("session-created")
    await client.send(type="bye")
    await newcomer.expect("session-created")


async def test_a_client_that_leaves_while_it_waits_leaves_nothing(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    worker.abort()
    await client.expect("queued")
    await client.send(type="bye")
    assert await client.expect_close() == CloseCode.NORMAL
    await two.eventually(lambda: two.state(created["sessionId"]), "ended")
    spare = await two.worker(fresh("w"), slots=1)
    await asyncio.sleep(0.1)
    assert await two.slots_used(spare.worker_id) == 0
    assert not spare.of("session-assigned")


async def test_a_client_that_drops_while_it_waits_may_come_back_to_its_session(
    two: Stage,
) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    worker.abort()
    await client.expect("queued")
    client.abort()
    session_id = created["sessionId"]
    await two.eventually(lambda: two.state(session_id), "suspended")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    await asyncio.sleep(0.1)
    assert await two.slots_used(spare.worker_id) == 0, "a slot for nobody"
    again = await two.client(node="b", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    resumed = await again.expect("session-resumed")
    assert (resumed["sessionId"], resumed["workerId"]) == (session_id, "")
    await settled(two, again, spare, session_id)


async def test_a_client_that_drops_when_the_spare_is_found_gives_it_back(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    worker.abort()
    await client.expect("worker-replaced")
    await spare.expect("session-assigned")
    client.abort()
    ended = await spare.expect("session-ended")
    assert ended["sessionId"] == created["sessionId"]
    await two.eventually(lambda: two.state(created["sessionId"]), "suspended")
    await two.eventually(lambda: two.slots_used(spare.worker_id), 0)
    again = await two.client(node="a", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    await again.expect("session-resumed")
    replaced = await settled(two, again, spare, created["sessionId"])
    assert replaced["negotiation"] > 2


async def test_a_suspended_session_that_loses_its_worker_goes_on_when_its_client_is_back(
    two: Stage,
) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    client.abort()
    await worker.expect("client-disconnected")
    worker.abort()
    await two.eventually(lambda: two.slots_used(worker.worker_id), 0)
    assert await two.state(created["sessionId"]) == "suspended"
    spare = await two.worker(fresh("w"), node="b", slots=1)
    again = await two.client(node="b", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    await again.expect("session-resumed")
    await settled(two, again, spare, created["sessionId"])


@pytest.mark.parametrize("when", ["assigned", "confirmed", "active"])
async def test_the_second_worker_may_be_lost_as_well(two: Stage, when: str) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    session_id = created["sessionId"]
    spare = await two.worker(fresh("w"), node="b", slots=1)
    spare.confirms = when != "assigned"
    worker.abort()
    replaced = await client.expect("worker-replaced")
    await spare.expect("session-assigned")
    if when == "confirmed":
        await two.eventually(lambda: two.state(session_id), "connecting")
    if when == "active":
        await client.send(type="offer", sdp=OFFER, negotiation=replaced["negotiation"])
        await client.expect("answer")
        await spare.about(session_id, "session-active")
        await two.eventually(lambda: two.state(session_id), "active")
    third = await two.worker(fresh("w"), node="a", slots=1)
    spare.abort()
    again = await settled(two, client, third, session_id)
    assert again["negotiation"] > replaced["negotiation"]
    assert await two.slots_used(spare.worker_id) == 0


async def test_a_spare_that_refuses_is_asked_again_with_the_next_negotiation(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    spare.refusals = 1
    worker.abort()
    first = await client.expect("worker-replaced")
    replaced = await settled(two, client, spare, created["sessionId"])
    assert replaced["negotiation"] > first["negotiation"]
    assert await two.slots_used(spare.worker_id) == 1


async def test_a_spare_that_never_confirms_loses_the_session_to_another(two: Stage) -> None:
    two.nodes["a"].ledger.lease_ms = 200
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    deaf = await two.worker(fresh("w"), node="b", slots=1)
    deaf.confirms = False
    worker.abort()
    await client.expect("worker-replaced")
    assigned = await deaf.expect("session-assigned")
    good = await two.worker(fresh("w"), node="b", slots=1)
    await two.ledger.drain(deaf.worker_id)
    await settled(two, client, good, created["sessionId"])
    assert (await deaf.expect("session-ended"))["fence"] == assigned["fence"]
    assert await two.slots_used(deaf.worker_id) == 0


async def test_a_client_whose_node_dies_while_it_is_moved_comes_back_elsewhere(
    two: Stage,
) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    spare.confirms = False
    worker.abort()
    await client.expect("worker-replaced")
    stale = await spare.expect("session-assigned")
    spare.confirms = True
    again = await two.client(node="b", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    assert (await again.expect("session-resumed"))["workerId"] == ""
    assert (await spare.expect("session-ended"))["fence"] == stale["fence"]
    await settled(two, again, spare, created["sessionId"])
    assert await client.expect_close() == CloseCode.REPLACED


async def test_a_node_that_restarts_while_a_session_is_moved_loses_nothing(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    worker.abort()
    await client.expect("queued")
    await two.stop("a")
    assert await client.expect_close() == CloseCode.GOING_AWAY
    await two.eventually(lambda: two.state(created["sessionId"]), "suspended")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    again = await two.client(node="b", extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    await settled(two, again, spare, created["sessionId"])


async def test_a_worker_that_is_told_to_go_hands_its_sessions_on(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client, created = await viewing(two, worker, node="a")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    await worker.about(created["sessionId"], "session-ended", reason="worker_stopped")
    await settled(two, client, spare, created["sessionId"])
    assert await two.slots_used(worker.worker_id) == 0


async def test_what_a_restarted_worker_had_is_moved_at_once(two: Stage) -> None:
    name = fresh("w")
    worker = await two.worker(name, node="b", slots=1, generation=1)
    client, created = await viewing(two, worker, node="a")
    again = await two.worker(name, node="a", slots=1, generation=2)
    await settled(two, client, again, created["sessionId"])
    assert await worker.expect_close() == CloseCode.REPLACED


async def test_a_worker_that_is_lost_before_media_flows_is_replaced_too(two: Stage) -> None:
    worker = await two.worker(fresh("w"), node="b", slots=1)
    client = await two.client(node="a")
    await client.send(type="offer", sdp=OFFER, negotiation=1)
    created = await client.expect("session-created")
    await client.expect("answer")
    spare = await two.worker(fresh("w"), node="b", slots=1)
    worker.abort()
    await settled(two, client, spare, created["sessionId"])


async def test_a_session_moved_by_somebody_else_is_found_at_the_next_review(one: Stage) -> None:
    worker = await one.worker("w1", slots=1)
    client, created = await viewing(one, worker)
    spare = await one.worker("w2", slots=1)
    await one.ledger.fail("w1", "killed")
    await settled(one, client, spare, created["sessionId"])


async def test_a_session_that_waited_too_long_for_a_spare_is_over() -> None:
    async with stage(MemoryStore()) as made:
        await made.start(move_patience_s=0.3)
        worker = await made.worker()
        client, created = await viewing(made, worker)
        worker.abort()
        await client.expect("queued")
        assert (await client.expect("error"))["code"] == "worker_lost"
        assert (await client.expect("session-ended"))["reason"] == "worker_lost"
        assert await client.expect_close() == CloseCode.SESSION_ENDED
        await made.eventually(lambda: made.state(created["sessionId"]), "ended")
        assert await made.ledger.queue_position(created["sessionId"], "default") is None


async def test_a_move_to_a_spare_needs_no_orchestrator(one: Stage) -> None:
    worker = await one.worker("w1", slots=1)
    client, created = await viewing(one, worker)
    spare = await one.worker("w2", slots=1)
    one.orchestrator.down = True
    worker.abort()
    await settled(one, client, spare, created["sessionId"])


async def test_an_orchestrator_that_is_away_delays_a_move_and_no_more(one: Stage) -> None:
    worker = await one.worker("w1", slots=1)
    client, created = await viewing(one, worker)
    one.orchestrator.down = True
    worker.abort()
    await one.eventually(lambda: one.slots_used("w1"), 0)
    await asyncio.sleep(0.2)
    assert not client.of("queued")
    one.orchestrator.down = False
    await client.expect("queued")
    spare = await one.worker("w2", slots=1)
    await settled(one, client, spare, created["sessionId"])


async def test_a_client_may_say_later_that_it_can_be_moved(one: Stage) -> None:
    worker = await one.worker("w1", slots=1)
    client = await one.client()
    created = await client.expect("session-created")
    await client.send(type="offer", sdp=OFFER, stream={})
    await client.expect("answer")
    spare = await one.worker("w2", slots=1)
    worker.abort()
    await settled(one, client, spare, created["sessionId"])


async def test_a_worker_that_is_back_is_told_the_edits_it_lacks(one: Stage) -> None:
    worker = await one.worker("w1")
    _, created = await viewing(one, worker, project="p9")
    for n in range(3):
        edit = Edit(edit_id=f"e{n}", type="device:drag", data={})
        await one.ledger.append_edit("p9", edit)
    await one.eventually(lambda: _count(worker, "edit-applied"), 3)
    await one.stop("a")
    await one.ledger.append_edit("p9", Edit(edit_id="e3", type="device:drag", data={}))
    await one.start("b")
    held = [{"sessionId": s, "fence": f} for s, f in worker.sessions.items()]
    back = await one.worker("w1", node="b", sessions=held, projects={"p9": 2})
    caught_up = (await back.expect("project-caught-up"))["project"]
    assert [e["index"] for e in caught_up["log"]] == [3, 4]
    assert created["sessionId"] in worker.sessions


async def _count(peer: Peer, kind: str) -> int:
    return len(peer.of(kind))
