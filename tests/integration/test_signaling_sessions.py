"""Sessions through a signaling node: from the seed's message order to every way they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from signaling_harness import ANSWER, OFFER, Stage, candidate, stage

from system.protocol.errors import CloseCode, ErrorCode
from system.store.memory import MemoryStore


@pytest.fixture
async def one() -> AsyncIterator[Stage]:
    async with stage(MemoryStore()) as made:
        yield await made.start()


async def test_the_seeds_client_gets_a_session_and_an_answer(one: Stage) -> None:
    worker = await one.worker()
    client = await one.client("alice", "factory")
    await client.send(type="offer", sdp=OFFER, sessionId=None)
    await client.send(type="ice-candidate", candidate=candidate(1), sessionId=None)
    created = await client.expect("session-created")
    assert created["workerId"] == "w1"
    assert created["resumeToken"]
    assert created["protocolVersion"] == 1
    assigned = await worker.expect("session-assigned")
    assert assigned["project"]["projectId"] == "factory"
    assert assigned["userId"] == "alice"
    offer = await worker.expect("offer")
    assert offer["sessionId"] == created["sessionId"]
    assert offer["sdp"] == OFFER
    trickled = await worker.expect("ice-candidate")
    assert trickled["candidate"]["candidate"] == candidate(1)["candidate"]
    answer = await client.expect("answer")
    assert answer["sdp"] == ANSWER
    await worker.send(type="ice-candidate", sessionId=created["sessionId"], candidate=candidate(2))
    assert (await client.expect("ice-candidate"))["candidate"]["sdpMid"] == "0"


async def test_candidates_before_the_offer_are_forwarded_after_it(one: Stage) -> None:
    worker = await one.worker()
    client = await one.client()
    for n in range(3):
        await client.send(type="ice-candidate", candidate=candidate(n))
    await client.expect("session-created")
    await client.send(type="offer", sdp=OFFER)
    await client.expect("answer")
    await one.eventually(lambda: _count(worker, "ice-candidate"), 3)
    order = [m["type"] for m in worker.messages if m["type"] in ("offer", "ice-candidate")]
    assert order == ["offer", *["ice-candidate"] * 3]


async def _count(peer: object, kind: str) -> int:
    return len(peer.of(kind))  # type: ignore[attr-defined]


async def test_an_offer_that_comes_before_any_worker_waits_for_it(one: Stage) -> None:
    client = await one.client()
    await client.send(type="offer", sdp=OFFER)
    await client.send(type="ice-candidate", candidate=candidate(1))
    assert (await client.expect("queued"))["position"] == 1
    worker = await one.worker()
    await client.expect("session-created")
    await client.expect("answer")
    await worker.expect("offer")
    await worker.expect("ice-candidate")


async def test_waiting_clients_hear_their_place_whenever_it_changes(one: Stage) -> None:
    first, second = await one.client("u1"), None
    await first.expect("queued")
    second = await one.client("u2")
    assert (await second.expect("queued"))["position"] == 2
    await first.leave()
    assert (await second.expect("queued"))["position"] == 1
    await one.worker(slots=1)
    await second.expect("session-created")


async def test_a_waiting_client_that_leaves_gives_its_ticket_back(one: Stage) -> None:
    client = await one.client()
    await client.expect("queued")
    client.abort()
    session_id = one.orchestrator.requests[0].session_id
    await one.eventually(lambda: one.state(session_id), "ended")
    assert one.orchestrator.abandoned == [session_id]


async def test_a_client_that_leaves_while_its_worker_is_asked_for_holds_none(one: Stage) -> None:
    await one.worker()
    one.orchestrator.answers.clear()
    client = await one.client()

    async def asked() -> int:
        return len(one.orchestrator.requests)

    await one.eventually(asked, 1)
    await client.send(type="bye")
    await client.expect_close()

    async def connected() -> float | None:
        labels = {"role": "client"}
        return one.nodes["a"].metrics.registry.get_sample_value("signaling_connections", labels)

    await one.eventually(connected, 0.0)
    session_id = one.orchestrator.requests[0].session_id
    for _ in range(5):  # longer than it takes to free what is not reserved yet
        assert await one.state(session_id) == "none"
    one.orchestrator.answers.set()
    await one.eventually(lambda: one.state(session_id), "ended")
    session = await one.ledger.get_session(session_id)
    assert session is not None
    assert session.reason == "bye"  # and no lease had to expire
    assert await one.slots_used("w1") == 0


async def test_without_user_or_project_the_socket_closes_with_1008(one: Stage) -> None:
    for query in ("?userId=u", "?projectId=p", ""):
        async with one.http.ws_connect(f"{one.urls['a']}/{query}") as ws:
            frame = await ws.receive(timeout=2)
            assert frame.type is aiohttp.WSMsgType.CLOSE
            assert frame.data == 1008
            assert frame.extra == "Missing userId or projectId"


async def test_bye_releases_at_once_and_tells_the_worker(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    await client.send(type="bye")
    assert await client.expect_close() == 1000
    await one.eventually(lambda: one.state(created["sessionId"]), "ended")
    assert await one.slots_used("w1") == 0
    ended = await worker.expect("session-ended")
    assert ended["sessionId"] == created["sessionId"]
    assert ended["fence"] is not None


async def test_a_client_that_drops_before_media_flows_is_released(one: Stage) -> None:
    worker = await one.worker()
    client = await one.client()
    await client.send(type="offer", sdp=OFFER)
    created = await client.expect("session-created")
    await client.expect("answer")
    client.abort()
    await worker.expect("session-ended", within_s=1)
    await one.eventually(lambda: one.slots_used("w1"), 0)
    assert await one.state(created["sessionId"]) == "ended"


async def test_a_client_that_drops_while_active_is_suspended_and_may_resume(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    client.abort()
    await worker.expect("client-disconnected")
    await one.eventually(lambda: one.state(created["sessionId"]), "suspended")
    again = await one.client(extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    resumed = await again.expect("session-resumed")
    assert resumed["sessionId"] == created["sessionId"]
    assert resumed["resumeToken"] != created["resumeToken"]
    await worker.expect("client-connected")
    assert await one.state(created["sessionId"]) == "active"
    assert len(one.orchestrator.requests) == 1, "resuming asks for no worker"
    await again.send(type="offer", sdp=OFFER, negotiation=2)
    assert (await again.expect("answer"))["negotiation"] == 2


async def test_a_resume_token_works_once_and_for_its_user_only(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    client.abort()
    await worker.expect("client-disconnected")
    thief = await one.client("mallory", extra="&resume=1")
    await thief.send(type="resume", resumeToken=created["resumeToken"])
    assert (await thief.expect("error"))["code"] == "resume_refused"
    await thief.expect("session-created")
    protocols = ["remote-render.v1", f"resume.{created['resumeToken']}"]
    owner = await one.client(protocols=protocols)
    assert owner.ws.protocol == "remote-render.v1"
    await owner.expect("session-resumed")
    late = await one.client(extra="&resume=1")
    await late.send(type="resume", resumeToken=created["resumeToken"])
    assert (await late.expect("error"))["code"] == "resume_refused"


async def test_resuming_replaces_a_socket_that_is_still_open(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    again = await one.client(extra="&resume=1")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    await again.expect("session-resumed")
    assert await client.expect_close() == CloseCode.REPLACED
    await again.send(type="ping", time=1.5)
    await again.expect("pong")
    assert await one.state(created["sessionId"]) == "active"
    assert not worker.of("client-disconnected")


async def test_a_late_resume_gives_the_fresh_session_back(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    client.abort()
    await worker.expect("client-disconnected")
    again = await one.client()
    fresh = await again.expect("session-created")
    await again.send(type="resume", resumeToken=created["resumeToken"])
    assert (await again.expect("session-resumed"))["sessionId"] == created["sessionId"]
    await one.eventually(lambda: one.state(fresh["sessionId"]), "ended")
    assert await one.slots_used("w1") == 1


async def test_a_lost_worker_is_told_to_its_clients_within_half_a_second(one: Stage) -> None:
    worker = await one.worker()
    clients = [await one.active(worker, user=f"u{n}") for n in range(3)]
    lost_at = time.monotonic()
    worker.abort()
    for client, created in clients:
        error = await client.expect("error")
        assert error["code"] == "worker_lost"
        assert error["retryable"] is True
        assert (await client.expect("session-ended"))["sessionId"] == created["sessionId"]
        assert await client.expect_close() == CloseCode.SESSION_ENDED
    assert time.monotonic() - lost_at < 0.5
    assert await one.slots_used("w1") == 0


async def test_a_worker_that_hangs_is_lost_after_its_heartbeats_stop() -> None:
    async with stage(MemoryStore()) as made:
        await made.start(heartbeat_s=0.2)
        worker = await made.worker()
        client, _ = await made.active(worker)
        quiet_since = time.monotonic()
        assert (await client.expect("error", within_s=3))["code"] == "worker_lost"
        silence_s = time.monotonic() - quiet_since
        assert 0.5 < silence_s < 0.2 * 1.5 + 0.5 + 0.6


async def test_heartbeats_keep_a_worker(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    for _ in range(4):
        await worker.beat()
    await client.send(type="ping", time=7.0)
    assert (await client.expect("pong"))["time"] == 7.0
    assert await one.state(created["sessionId"]) == "active"


async def test_a_session_that_the_worker_silently_dropped_is_freed(one: Stage) -> None:
    worker = await one.worker()
    _, created = await one.active(worker)
    worker.sessions.clear()
    await worker.beat()
    await worker.beat()
    await one.eventually(lambda: one.state(created["sessionId"]), "ended")
    assert await one.slots_used("w1") == 0


async def test_a_session_that_the_worker_ends_is_ended_for_the_client(one: Stage) -> None:
    worker = await one.worker()
    client, created = await one.active(worker)
    await worker.about(created["sessionId"], "session-ended", reason="media_lost")
    assert (await client.expect("session-ended"))["reason"] == "media_lost"
    assert await client.expect_close() == CloseCode.SESSION_ENDED
    await one.eventually(lambda: one.slots_used("w1"), 0)


async def test_a_refused_session_is_placed_once_more_without_the_client(one: Stage) -> None:
    worker = await one.worker()
    worker.refusals = 1
    client = await one.client()
    await client.send(type="offer", sdp=OFFER)
    first = await client.expect("session-created")
    second = await client.expect("session-created")
    assert second["sessionId"] != first["sessionId"]
    assert (await worker.expect("offer"))["sessionId"] == second["sessionId"]
    await client.expect("answer")
    await one.eventually(lambda: one.slots_used("w1"), 1)


async def test_a_session_refused_twice_is_no_capacity(one: Stage) -> None:
    worker = await one.worker()
    worker.refusals = 2
    client = await one.client()
    error = await client.expect("error")
    assert (error["code"], error["retryable"]) == ("no_capacity", True)
    assert await client.expect_close() == CloseCode.NO_CAPACITY
    await one.eventually(lambda: one.slots_used("w1"), 0)


async def test_a_worker_that_never_confirms_loses_the_lease(one: Stage) -> None:
    one.orchestrator.ledger.lease_ms = 200
    worker = await one.worker()
    worker.confirms = False
    client = await one.client()
    assert (await client.expect("error", within_s=4))["code"] == "no_capacity"
    await one.eventually(lambda: one.slots_used("w1"), 0)
    fences = [m["fence"] for m in worker.of("session-assigned")]
    assert fences[0] != fences[1]


async def test_media_that_never_flows_ends_the_session() -> None:
    async with stage(MemoryStore()) as made:
        await made.start(connect_deadline_s=0.2)
        worker = await made.worker()
        client = await made.client()
        created = await client.expect("session-created")
        assert (await client.expect("error"))["code"] == "connect_timeout"
        assert (await worker.expect("session-ended"))["sessionId"] == created["sessionId"]
        await made.eventually(lambda: made.slots_used("w1"), 0)


@pytest.mark.parametrize(
    ("code", "close"),
    [
        (ErrorCode.NO_CAPACITY, CloseCode.NO_CAPACITY),
        (ErrorCode.QUEUE_FULL, CloseCode.NO_CAPACITY),
        (ErrorCode.UNAVAILABLE, CloseCode.UNAVAILABLE),
    ],
)
async def test_a_refused_allocation_is_told_in_our_own_words(
    one: Stage, code: ErrorCode, close: CloseCode
) -> None:
    one.orchestrator.refuse = code
    client = await one.client()
    error = await client.expect("error")
    assert (error["code"], error["retryable"]) == (code.value, True)
    assert "secret" not in error["error"]
    assert await client.expect_close() == close


async def test_an_orchestrator_that_is_away_is_unavailable_within_two_seconds(one: Stage) -> None:
    await one.start("b")
    one.nodes["b"].orchestrator._base = one.nodes["b"].orchestrator._base.with_port(9)
    asked_at = time.monotonic()
    client = await one.client(node="b")
    assert (await client.expect("error"))["code"] == "unavailable"
    assert time.monotonic() - asked_at < 2
    assert await client.expect_close() == CloseCode.UNAVAILABLE


async def test_a_client_that_is_gone_without_a_word_is_noticed_within_two_heartbeats() -> None:
    async with stage(MemoryStore()) as made:
        await made.start(heartbeat_s=0.3)
        worker = await made.worker()
        beats = asyncio.create_task(_beating(worker))
        client, _ = await made.active(worker, autoping=False)
        gone_at = time.monotonic()
        client.reader.cancel()
        await worker.expect("client-disconnected", within_s=2)
        assert time.monotonic() - gone_at < 0.3 * 2 + 0.3
        beats.cancel()


async def _beating(worker: object) -> None:
    while True:
        await worker.beat()  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
