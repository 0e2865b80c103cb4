"""The headless client against a scripted server: real WebSocket, real WebRTC, loopback only."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest
from fake_streamer import Script, Streamer, streaming

from system.client.client import RemoteRenderClient
from system.client.config import Callbacks, ClientConfig, ClientState, Stats
from system.client.errors import JoinAbandoned, JoinFailed
from system.client.latency import InputSample
from system.client.meter import Second
from system.media.rtc.ice import LOOPBACK
from system.protocol import messages
from system.protocol.errors import ErrorCode


async def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)


def client_of(streamer: Streamer, callbacks: Callbacks | None = None, **options: object):  # type: ignore[no-untyped-def]
    settings: dict[str, object] = {"ice": LOOPBACK, "join_timeout_s": 8.0} | options
    config = ClientConfig(url=streamer.url, **settings)  # type: ignore[arg-type]
    return RemoteRenderClient(config, callbacks)


@pytest.mark.parametrize("tier", ["frames", "decode"])
async def test_a_session_is_joined_streamed_acted_on_and_left(tier: str) -> None:
    before = asyncio.all_tasks()
    stats: list[Stats] = []
    seconds: list[Second] = []
    samples: list[InputSample] = []
    ends: list[str] = []

    def on_second(second: Second, decided: list[InputSample]) -> None:
        seconds.append(second)
        samples.extend(decided)

    callbacks = Callbacks(on_stats=stats.append, on_second=on_second, on_disconnected=ends.append)
    async with streaming() as streamer:
        client = client_of(streamer, callbacks, tier=tier)
        await client.connect("alice", "p", "a-token")
        assert client.state is ClientState.ACTIVE
        assert client.session_id == "s"
        assert streamer.tokens == ["Bearer a-token"]
        assert streamer.offers[0].session_id is None
        phases = client.timeline.phases_s()
        assert sum(phases.values()) == pytest.approx(client.timeline.join_time_s)
        assert min(phases["sdp"], phases["dtls"], phases["first_frame"]) > 0
        for i in range(20):
            assert client.send_camera_orbit(1.0, float(i))
            await asyncio.sleep(0.03)
        assert client.send_device_click("", 10, 20)
        client.send_device_drag("robot-1", (0.0, 1.0, 0.0), end=True)
        client.send_connection_create("robot-1", "tank-2", "pipe")
        await until(lambda: len(stats) >= 1 and len(streamer.edits) == 2)
        await until(lambda: not client._unacked_edits)
        await client.disconnect()
        await client.disconnect()
        assert ends == [""]
        assert client.state is ClientState.ENDED
        await until(lambda: streamer.byes == 1)
    assert len(samples) == 21
    latencies = [s.value_s for s in samples if s.value_s is not None]
    assert len(latencies) >= 20
    assert all(0 < latency < 1 for latency in latencies)
    assert not any(s.lost for s in samples)
    assert sum(s.frames_received for s in seconds) > 20
    assert seconds[0].frame_delivery == 1.0
    decoded = sum(s.frames_decoded for s in seconds)
    assert decoded > 20 if tier == "decode" else decoded == 0
    assert stats[0].bitrate > 0.1
    assert not math.isnan(stats[0].rtt)
    assert client.meter.totals.histograms["input.to_frame"].n == len(latencies)
    await until(lambda: not (asyncio.all_tasks() - before))


async def test_time_in_the_queue_is_a_phase_of_its_own_and_outside_the_timeout() -> None:
    async with streaming(Script(queue_s=0.5)) as streamer:
        client = client_of(streamer, join_timeout_s=5.0)
        await client.connect("alice", "p")
        phases = client.timeline.phases_s()
        assert 0.4 < phases["queue"] < 2
        assert phases["allocate"] < 0.4
        await client.disconnect()


@pytest.mark.parametrize("patience_s", [0.0, 0.2])
async def test_a_viewer_without_patience_leaves_the_queue(patience_s: float) -> None:
    async with streaming(Script(never_serve=True)) as streamer:
        client = client_of(streamer, patience_s=patience_s)
        with pytest.raises(JoinAbandoned) as left:
            await client.connect("alice", "p")
        assert patience_s <= left.value.waited_s < patience_s + 1
        await until(lambda: streamer.byes == 1)


@pytest.mark.parametrize(
    ("script", "code", "phase"),
    [
        (Script(error=ErrorCode.NO_CAPACITY), "no_capacity", "allocate"),
        (Script(refuse=401), "unreachable", "ws"),
        (Script(stream=False), "timeout", "first_packet"),
    ],
)
async def test_a_join_that_fails_raises_one_typed_error_and_leaves_nothing(
    script: Script, code: str, phase: str
) -> None:
    before = asyncio.all_tasks()
    async with streaming(script) as streamer:
        client = client_of(streamer, join_timeout_s=1.0)
        with pytest.raises(JoinFailed) as failed:
            await client.connect("alice", "p")
        assert (failed.value.code, failed.value.phase) == (code, phase)
        assert client.state is ClientState.ENDED
    await until(lambda: not (asyncio.all_tasks() - before))


async def test_nobody_listening_is_unreachable() -> None:
    config = ClientConfig(url="ws://127.0.0.1:9/ws", ice=LOOPBACK)
    with pytest.raises(JoinFailed, match="unreachable"):
        await RemoteRenderClient(config).connect("alice", "p")


async def test_a_lost_signaling_socket_is_resumed_while_media_goes_on() -> None:
    async with streaming() as streamer:
        ends: list[str] = []
        client = client_of(streamer, Callbacks(on_disconnected=ends.append))
        await client.connect("alice", "p")
        await streamer.sockets[0].close(code=1012)
        await until(lambda: streamer.resumes == ["first"])
        frames = client.meter.totals.frames_received
        await until(lambda: client._resume_token == "second")
        await until(lambda: client.stats and client.meter.totals.frames_received > frames)
        assert ends == []
        await client.disconnect()


async def test_a_replaced_worker_is_offered_to_anew_and_the_stream_goes_on() -> None:
    async with streaming() as streamer:
        client = client_of(streamer)
        await client.connect("alice", "p")
        await streamer.peers[0].close()
        replaced = messages.WorkerReplaced(session_id="s", worker_id="w2", negotiation=2)
        await streamer.send(streamer.sockets[0], replaced)
        await until(lambda: len(streamer.offers) == 2)
        assert streamer.offers[1].negotiation == 2
        await until(lambda: len(streamer.senders) == 2 and streamer.senders[1].frames_sent > 30)
        seen = client._media.receiver.counters.frames_received
        await until(lambda: client._media.receiver.counters.frames_received > seen)
        assert client.worker_id == "w2"
        assert client.state is ClientState.ACTIVE
        await client.disconnect()


async def test_a_session_that_waits_for_another_worker_goes_on_as_one() -> None:
    queued: list[None] = []
    async with streaming() as streamer:
        callbacks = Callbacks(on_queued=lambda: queued.append(None))
        client = client_of(streamer, callbacks, media_timeout_s=1.0)
        await client.connect("alice", "p")
        streamer.script.stream = False
        await streamer.send(streamer.sockets[0], messages.Queued(position=1))
        await asyncio.sleep(2.3)
        assert client.state is ClientState.ACTIVE
        assert queued == []
        replaced = messages.WorkerReplaced(session_id="s", worker_id="w2", negotiation=5)
        streamer.script.stream = True
        await streamer.send(streamer.sockets[0], replaced)
        await until(lambda: client._negotiation == 5 and len(streamer.senders) == 2)
        await until(lambda: client._media.receiver.counters.frames_received > 5)
        assert client.meter.interruptions == 1
        assert client.meter.freezes.frozen_s > 2.0
        await client.disconnect()
        assert client.state is ClientState.ENDED


async def test_a_viewer_without_patience_does_not_wait_for_another_worker() -> None:
    async with streaming() as streamer:
        client = client_of(streamer, patience_s=0.2)
        await client.connect("alice", "p")
        streamer.script.stream = False
        await streamer.send(streamer.sockets[0], messages.Queued(position=1))
        assert await asyncio.wait_for(client.wait_ended(), 5) == "worker_lost"
        await client.disconnect()


async def test_a_stream_that_falls_silent_ends_the_session_once() -> None:
    async with streaming() as streamer:
        ends: list[str] = []
        client = client_of(streamer, Callbacks(on_disconnected=ends.append), media_timeout_s=0.5)
        await client.connect("alice", "p")
        streamer.script.stream = False
        assert await asyncio.wait_for(client.wait_ended(), 10) == "media_lost"
        await client.disconnect()
        assert ends == ["media_lost"]


async def test_a_session_that_the_server_ends_says_why() -> None:
    async with streaming() as streamer:
        client = client_of(streamer)
        await client.connect("alice", "p")
        await streamer.send(streamer.sockets[0], messages.SessionEnded(reason="afk"))
        assert await asyncio.wait_for(client.wait_ended(), 5) == "afk"
        await client.disconnect()
