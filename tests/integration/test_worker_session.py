"""The worker with a scripted signaling server and real peer connections on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from aiortc import RTCSessionDescription
from worker_harness import SIZE, Bench, Viewer, until, worker

from system.media.marker import read_block_code
from system.media.picking import pick
from system.media.project import Project
from system.media.rtc.ice import LOOPBACK
from system.media.rtc.peer import close_peer, new_peer_connection
from system.media.scene import Scene
from system.protocol import messages
from system.protocol.errors import ErrorCode
from system.protocol.fields import Candidate, Description, StreamOptions


async def test_an_assigned_session_confirms_answers_streams_and_says_it_is_active() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        await until(lambda: len(viewer.frames) >= 10)
        ids = viewer.frame_ids()
        assert viewer.frames[0].keyframe
        assert ids[0] == 1
        assert all(b == a + 1 for a, b in pairwise(ids))
        active = await bench.signaling.wait(messages.SessionActive, session_id="s1")
        assert active.fence == bench.fence("s1")


async def test_a_click_selects_what_is_drawn_there_whatever_the_size_of_the_view() -> None:
    x, y, device_id = visible_device()
    async with worker() as bench:
        viewer = await bench.viewer()
        seq = viewer.send(
            "device:click",
            {"deviceId": "", "screenX": x / 2, "screenY": y / 2, "width": 320, "height": 180},
        )
        assert (await viewer.heard("device:selected", seq=seq))["deviceId"] == device_id
        seq = viewer.send("device:click", {"deviceId": "", "screenX": 1, "screenY": 1})
        assert (await viewer.heard("device:selected", seq=seq))["deviceId"] is None
        seq = viewer.send("device:click", {"deviceId": device_id, "screenX": 0, "screenY": 0})
        assert (await viewer.heard("device:selected", seq=seq))["deviceId"] == device_id
        assert (await viewer.heard("state"))["state"]["selection"] == device_id


def visible_device() -> tuple[float, float, str]:
    scene = Scene(Project.default("floor"))
    for y in range(40, SIZE[1], 8):
        for x in range(40, SIZE[0], 8):
            found = pick(scene.project, scene.camera, x, y, *SIZE)
            if found is not None:
                return x, y, found
    raise AssertionError("no device is drawn anywhere")


async def test_a_plain_aiortc_client_decodes_the_stream_and_reads_the_block_code() -> None:
    async with worker() as bench, plain_client(bench, StreamOptions(block_code=True)) as track:
        seen: list[int] = []
        async with asyncio.timeout(10):
            while len(seen) < 8:
                picture = (await track.recv()).to_ndarray(format="yuv420p")
                assert picture.shape == (SIZE[1] * 3 // 2, SIZE[0])
                code = read_block_code(picture[: SIZE[1]])
                seen += [] if code is None else [code]
        assert seen == sorted(set(seen))


@asynccontextmanager
async def plain_client(bench: Bench, stream: StreamOptions) -> AsyncIterator[Any]:
    """aiortc as it comes; its track, once connected."""
    fence = await bench.signaling.assign("plain", 1)
    await bench.signaling.wait(messages.SessionConfirmed, fence=fence)
    pc = new_peer_connection(LOOPBACK)
    pc.addTransceiver("video", direction="recvonly")
    pc.createDataChannel("input", ordered=False, maxRetransmits=0)
    await pc.setLocalDescription(await pc.createOffer())
    offer = Description(type="offer", sdp=pc.localDescription.sdp)
    await bench.signaling.send(messages.Offer(sdp=offer, session_id="plain", stream=stream))
    answer = await bench.signaling.wait(messages.Answer)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer.sdp.sdp, type="answer"))
    try:
        yield pc.getReceivers()[0].track
    finally:
        await close_peer(pc)


async def test_a_viewer_that_knows_only_vp8_gets_vp8() -> None:
    async with worker() as bench:
        viewer = await bench.viewer(codecs=("vp8",))
        await until(lambda: len(viewer.frames) >= 5)
        assert {frame.codec for frame in viewer.frames} == {"vp8"}


async def test_constant_pacing_may_be_asked_for() -> None:
    async with worker() as bench:
        viewer = await bench.viewer(stream=StreamOptions(pacing="constant"))
        await until(lambda: len(viewer.frames) >= 30)
        arrivals = [frame.arrival_s for frame in viewer.frames[-10:]]
        assert 0.2 < arrivals[-1] - arrivals[0] < 0.6


async def test_a_picture_loss_is_answered_by_a_key_frame_and_many_by_few() -> None:
    async with worker() as bench:
        viewer = await bench.viewer()
        await until(lambda: len(viewer.frames) > 18)
        before = len(viewer.frames)
        for _ in range(5):
            viewer.receiver.request_keyframe()
            await asyncio.sleep(0.01)
        await until(lambda: len(viewer.frames) > before + 16)
        keyframes = [frame for frame in viewer.frames[before:] if frame.keyframe]
        assert 1 <= len(keyframes) <= 2


async def test_a_bad_offer_is_reported_and_a_good_one_after_it_is_answered() -> None:
    async with worker() as bench:
        other = await bench.viewer("other")
        fence = await bench.signaling.assign("s9", 9)
        await bench.signaling.wait(messages.SessionConfirmed, session_id="s9", fence=fence)
        for sdp in ("", "v=0\r\n", "nonsense", audio_only(other)):
            bench.signaling.received.clear()
            bad = messages.Offer(sdp=Description(type="offer", sdp=sdp), session_id="s9")
            await bench.signaling.send(bad)
            error = await bench.signaling.wait(messages.Error, session_id="s9")
            assert error.code is ErrorCode.BAD_DESCRIPTION
        candidate = Candidate(candidate="candidate:x", sdpMid="0")
        await bench.signaling.send(messages.IceCandidate(candidate=candidate, session_id="s9"))
        viewer = Viewer(bench.signaling, "s9")
        bench.viewers.append(viewer)
        await viewer.join()
        error = await bench.signaling.wait(
            messages.Error, session_id="s9", code=ErrorCode.BAD_CANDIDATE
        )
        assert "candidate" in error.error
        frames = len(other.frames)
        await until(lambda: len(other.frames) > frames)
        assert other.frame_ids() == list(range(1, len(other.frames) + 1))


def audio_only(viewer: Viewer) -> str:
    return viewer.pc.localDescription.sdp.replace("m=video", "m=audio")


async def test_malformed_inputs_are_counted_and_the_session_goes_on() -> None:
    async with worker() as bench:
        viewer = await bench.viewer()
        for raw in ("", "{", "[]", '{"type":"no:such"}', '{"type":"camera:orbit"}', "\x00" * 50):
            viewer.input.send(raw)
            viewer.edit.send(raw.encode())
        viewer.input.send("[" * 60_000)
        await viewer.acked(viewer.send("camera:orbit", {"deltaX": 1, "deltaY": 0}))
        assert bench.agent.tally.malformed >= 12


async def test_a_later_negotiation_replaces_the_connection_on_the_same_scene() -> None:
    async with worker() as bench:
        first = await bench.viewer("s1")
        await first.acked(first.send("device:click", {"deviceId": a_device()}))
        last_id = first.frame_ids()[-1]
        second = Viewer(bench.signaling, "s1")
        bench.viewers.append(second)
        await second.join(negotiation=2)
        second.edit.send('{"type":"state:get"}')
        assert (await second.heard("state"))["state"]["selection"] == a_device()
        assert second.frames[0].keyframe
        assert second.frame_ids()[0] > last_id
        await until(lambda: first.pc.connectionState == "closed")
        assert bench.signaling.of(messages.SessionEnded) == []


async def test_an_offer_of_an_old_negotiation_is_dropped() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        offer = Description(type="offer", sdp=viewer.pc.localDescription.sdp)
        await bench.signaling.send(messages.Offer(sdp=offer, session_id="s1", negotiation=1))
        await viewer.acked(viewer.send("camera:zoom", {"delta": 1}))
        assert len(bench.signaling.of(messages.Answer)) == 1
        assert bench.signaling.of(messages.Error) == []


def a_device() -> str:
    return min(Project.default("floor").devices)
