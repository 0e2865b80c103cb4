"""What bad, slow, foreign or unknown peers can do to a signaling node: nothing to anybody else."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import msgspec
import pytest
from signaling_harness import OFFER, Peer, Stage, candidate, stage

from system.protocol.errors import CloseCode
from system.protocol.limits import MAX_MESSAGE_BYTES
from system.protocol.tokens import Audience, Keys, sign, verify
from system.signaling.config import Bounds
from system.store.memory import MemoryStore

KEYS = Keys.from_secret("s" * 32)


@pytest.fixture
async def one() -> AsyncIterator[Stage]:
    async with stage(MemoryStore()) as made:
        yield await made.start()


@pytest.fixture
async def guarded() -> AsyncIterator[Stage]:
    async with stage(MemoryStore()) as made:
        yield await made.start(keys=KEYS)


def token(audience: Audience, subject: str, *, keys: Keys = KEYS, **more: object) -> str:
    options = {"now_s": time.time(), "ttl_s": 60.0} | more
    return sign(keys, audience, subject, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("{", "bad_message"),
        ("[" * 6000, "bad_message"),
        ("[]", "bad_message"),
        ('{"type": 5}', "bad_message"),
        ('{"type": "offer"}', "bad_message"),
        ('{"type": "offer", "sdp": {"type": "answer", "sdp": ""}}', "bad_description"),
        ('{"type": "register", "workerId": "w", "generation": 1}', "unknown_type"),
        ('{"type": "shutdown"}', "unknown_type"),
    ],
)
async def test_a_malformed_message_gets_one_typed_error_and_the_connection_stays(
    one: Stage, raw: str, code: str
) -> None:
    worker = await one.worker()
    other, _ = await one.active(worker, user="other")
    client = await one.client()
    await client.expect("session-created")
    await client.ws.send_str(raw)
    assert (await client.expect("error"))["code"] == code
    await client.send(type="ping", time=1)
    await client.expect("pong")
    assert len(client.of("error")) == 1
    await other.send(type="ping", time=2)
    await other.expect("pong")
    assert not other.of("error")


async def test_text_that_is_not_utf8_closes_only_that_socket(one: Stage) -> None:
    client, other = await one.client("u1"), await one.client("u2")
    await client.ws.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
    await client.expect_close()
    await other.send(type="ping")
    await other.expect("pong")


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 3 * MAX_MESSAGE_BYTES])
async def test_an_oversize_message_closes_with_1009(one: Stage, size: int) -> None:
    client = await one.client()
    await client.ws.send_str("x" * size)
    assert await client.expect_close() == 1009


async def test_an_oversize_message_is_explained_first(one: Stage) -> None:
    client = await one.client()
    await client.ws.send_str("x" * (MAX_MESSAGE_BYTES + 1))
    assert (await client.expect("error"))["code"] == "too_large"


async def test_rubbish_is_answered_twenty_times_then_closed_with_1008(one: Stage) -> None:
    client = await one.client()
    for _ in range(25):
        await client.ws.send_str("rubbish")
    assert await client.expect_close() == CloseCode.POLICY
    assert len(client.of("error")) == 20


async def test_a_flood_of_messages_is_closed(one: Stage) -> None:
    client = await one.client()
    for n in range(400):
        await client.send(type="ping", time=n)
        if client.closed.is_set():
            break
    assert await client.expect_close() == CloseCode.POLICY
    assert client.messages[-1]["code"] == "too_many"


async def test_too_many_candidates_are_refused_and_earlier_ones_kept(one: Stage) -> None:
    worker = await one.worker()
    client = await one.client()
    for n in range(65):
        await client.send(type="ice-candidate", candidate=candidate(n))
    assert (await client.expect("error"))["code"] == "too_many"
    await client.send(type="offer", sdp=OFFER)
    await client.expect("answer")
    async with asyncio.timeout(2):
        while len(worker.of("ice-candidate")) < 64:
            await worker.expect("ice-candidate")


async def test_a_description_with_too_many_media_sections_never_reaches_the_worker(
    one: Stage,
) -> None:
    worker = await one.worker()
    client = await one.client()
    await client.expect("session-created")
    await client.send(type="offer", sdp={"type": "offer", "sdp": "v=0\n" + "m=video\n" * 9})
    assert (await client.expect("error"))["code"] == "bad_description"
    assert not worker.of("offer")


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(client_queue_bytes=256 * 1024), id="by the full queue"),
        pytest.param(Bounds(client_queue_bytes=2**30, queue_messages=10**6), id="by the deadline"),
    ],
)
async def test_a_reader_that_stops_is_ejected_and_others_go_on(bounds: Bounds) -> None:
    async with stage(MemoryStore()) as made:
        await made.start(bounds=replace(bounds, client_rate=1e6, client_burst=1e6))
        worker = await made.worker()
        other, _ = await made.active(worker, user="other")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = made.urls["a"].removeprefix("http://").partition(":")
        sock.connect((host, int(port)))
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(
            sock,
            b"GET /?userId=slow&projectId=p HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
        )
        await made.eventually(lambda: _clients(made), 2)
        known = {m["sessionId"] for m in other.of("session-created")}
        session_id = next(s for s in made.nodes["a"].attached.clients if s not in known)
        big = {"type": "answer", "sdp": "x" * 30_000}
        stuck_at = time.monotonic()
        sent = 0
        while len(made.nodes["a"].attached.clients) == 2 and time.monotonic() - stuck_at < 5:
            if sent < 300:
                await worker.send(type="answer", sessionId=session_id, sdp=big)
                sent += 1
            else:
                await asyncio.sleep(0.01)
            asked_at = time.monotonic()
            await other.send(type="ping", time=sent)
            await other.expect("pong", within_s=1)
            assert time.monotonic() - asked_at < 0.5
        assert time.monotonic() - stuck_at < 2.5
        assert len(made.nodes["a"].attached.clients) == 1
        closed = made.nodes["a"].metrics.closed.labels("client", "slow_reader")
        await made.eventually(lambda: _value(closed), 1.0)
        sock.close()


async def _clients(made: Stage) -> int:
    return len(made.nodes["a"].attached.clients)


async def _value(metric: object) -> float:
    return metric._value.get()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    "brought",
    [
        {},
        {"headers": {"Authorization": "Bearer nonsense"}},
        {"headers": {"Authorization": f"Bearer {token(Audience.WORKER, 'u1')}"}},
        {"headers": {"Authorization": f"Bearer {token(Audience.CLIENT, 'u2')}"}},
        {"headers": {"Authorization": f"Bearer {token(Audience.CLIENT, 'u1', ttl_s=-60.0)}"}},
        {"protocols": ["remote-render.v1", f"token.{token(Audience.CLIENT, 'u2')}"]},
        {
            "headers": {
                "Authorization": f"Bearer {token(Audience.CLIENT, 'u1', project_id='another')}"
            }
        },
    ],
)
async def test_a_client_without_its_own_token_is_refused(
    guarded: Stage, brought: dict[str, object]
) -> None:
    client = await guarded.client("u1", "p1", **brought)
    assert (await client.expect("error"))["code"] == "unauthorized"
    assert await client.expect_close() == CloseCode.UNAUTHORIZED
    assert not guarded.orchestrator.requests


async def test_a_token_in_a_header_or_in_a_subprotocol_lets_a_client_in(guarded: Stage) -> None:
    good = token(Audience.CLIENT, "u1", project_id="p1")
    for brought in (
        {"headers": {"Authorization": f"Bearer {good}"}},
        {"protocols": ["remote-render.v1", f"token.{good}"]},
    ):
        client = await guarded.client("u1", "p1", **brought)
        await client.expect("queued")
        assert good not in str(client.ws.protocol)


async def test_a_session_is_resumed_after_its_join_token_has_expired(guarded: Stage) -> None:
    worker_headers = {"Authorization": f"Bearer {token(Audience.WORKER, 'w1')}"}
    worker = await guarded.worker(headers=worker_headers)
    good = {"Authorization": f"Bearer {token(Audience.CLIENT, 'u1', project_id='p1')}"}
    expired = {"Authorization": f"Bearer {token(Audience.CLIENT, 'u1', ttl_s=-60.0)}"}
    client, created = await guarded.active(worker, headers=good)
    client.abort()
    await worker.expect("client-disconnected")
    stranger = await guarded.client("u1", "p1", extra="&resume=1")
    await stranger.send(type="resume", resumeToken="guessed")
    assert (await stranger.expect("error"))["code"] == "resume_refused"
    assert (await stranger.expect("error"))["code"] == "unauthorized"
    assert await stranger.expect_close() == CloseCode.UNAUTHORIZED
    owner = await guarded.client("u1", "p1", extra="&resume=1", headers=expired)
    await owner.send(type="resume", resumeToken=created["resumeToken"])
    resumed = await owner.expect("session-resumed")
    assert resumed["sessionId"] == created["sessionId"]
    assert len(guarded.orchestrator.requests) == 1


async def test_a_worker_needs_a_workers_token_for_its_own_id(guarded: Stage) -> None:
    for wrong in ("", token(Audience.CLIENT, "w1"), token(Audience.WORKER, "w2")):
        headers = {"Authorization": f"Bearer {wrong}"} if wrong else {}
        worker = await guarded.worker(registered=False, headers=headers)
        assert (await worker.expect("error"))["code"] == "unauthorized"
        assert await worker.expect_close() == CloseCode.UNAUTHORIZED
    right = token(Audience.WORKER, "w1")
    worker = await guarded.worker(headers={"Authorization": f"Bearer {right}"})
    renewed = (await worker.expect("token-renewed"))["token"]
    assert verify(KEYS, Audience.WORKER, renewed, now_s=time.time() + 86_000).subject == "w1"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:5173", 101),
        ("http://127.0.0.1", 101),
        ("http://[::1]:3000", 101),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("null", 403),
    ],
)
async def test_pages_of_other_sites_may_not_open_a_socket(
    one: Stage, origin: str, status: int
) -> None:
    headers = {"Origin": origin}
    if status == 101:
        await one.client(headers=headers)
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await one.client(headers=headers)
        assert refused.value.status == status


async def test_one_address_cannot_open_sockets_without_end() -> None:
    async with stage(MemoryStore()) as made:
        await made.start(bounds=Bounds(address_rate=0.001, address_burst=2))
        await made.client("u1")
        await made.client("u2")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await made.client("u3")
        assert refused.value.status == 429


async def test_a_worker_must_register_first(one: Stage) -> None:
    ws = await one.http.ws_connect(f"{one.urls['a']}/ws?type=worker")
    peer = Peer(ws)
    one.peers.append(peer)
    await peer.send(type="heartbeat")
    assert (await peer.expect("error"))["code"] == "bad_message"
    assert await peer.expect_close() == CloseCode.POLICY


async def test_a_worker_cannot_touch_the_session_of_another_worker(one: Stage) -> None:
    honest = await one.worker("w1", slots=1)
    client, created = await one.active(honest)
    thief = await one.worker("w2", slots=1)
    session_id, fence = created["sessionId"], honest.sessions[created["sessionId"]]
    thief.sessions[session_id] = fence
    await thief.send(type="answer", sessionId=session_id, sdp={"type": "answer", "sdp": "evil"})
    await thief.about(session_id, "session-ended", reason="stolen")
    await thief.about(session_id, "edit", edit={"editId": "e", "type": "device:drag", "data": {}})
    assert (await thief.expect("edit-acknowledged"))["code"] == "stale_fence"
    assert await one.state(session_id) == "active"
    assert len(client.of("answer")) == 1


async def test_mutated_messages_leave_no_traceback(
    one: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """300 seeded mutations over live sockets; another session never notices."""
    caplog.set_level(logging.DEBUG)
    rng = random.Random(20261)
    worker = await one.worker()
    other, _ = await one.active(worker, user="other")
    samples = [
        msgspec.json.encode(message)
        for message in (
            {"type": "offer", "sdp": OFFER, "negotiation": 2, "sessionId": None},
            {"type": "answer", "sdp": {"type": "answer", "sdp": "v=0"}},
            {"type": "ice-candidate", "candidate": candidate(1)},
            {"type": "ice-candidate", "candidate": None},
            {"type": "ping", "time": 1e308},
            {"type": "resume", "resumeToken": "abc"},
        )
    ]
    client = await one.client()
    for n in range(300):
        data = bytearray(rng.choice(samples))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 8)]
                case _:
                    data[at:at] = rng.choice((b"{", b"[", b'"', b"\\u0000", b"9" * 400, b"null"))
            data = data or bytearray(b"x")
        if client.closed.is_set():
            client = await one.client(f"fuzz{n}")
        try:
            await client.ws.send_bytes(bytes(data))
        except ConnectionError:
            client = await one.client(f"fuzz{n}")
        if n % 10 == 0:
            await asyncio.sleep(0)
    await other.send(type="ping", time=1)
    await other.expect("pong")
    assert not other.of("error")
    assert [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR] == []
