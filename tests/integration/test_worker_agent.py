"""The agent: fences, slots, edits, silence, reconnecting, draining; signaling is scripted."""

from __future__ import annotations

import asyncio
import random
import time

import aiohttp
import pytest
from worker_harness import FakeSignaling, Viewer, until, worker

from system.media.project import Project
from system.media.renderers.base import RendererUnavailable
from system.media.rtc.impair import Impairment, Path
from system.protocol import messages
from system.protocol.errors import CloseCode, ErrorCode
from system.protocol.fields import Fence
from system.worker import control, render_pool
from system.worker.config import WorkerConfig
from system.worker.exits import CONTROL_LOST, PROBE_FAILED
from system.worker.metrics import serving
from system.worker.service import serve
from system.worker.silence import CLOSED_S


async def test_registering_says_what_was_probed_and_heartbeats_follow() -> None:
    async with worker(slots=3, token="a.b.c") as bench:
        register = bench.signaling.of(messages.Register)[0]
        assert (register.worker_id, register.slots, register.encoder) == ("w1", 3, "libx264")
        assert register.renderer
        assert bench.signaling.headers[0]["Authorization"] == "Bearer a.b.c"
        assert bench.signaling.queries[0]["type"] == "worker"
        viewer = await bench.viewer("s1")
        await until(lambda: len(viewer.frames) > 5)
        await until(
            lambda: any(
                beat.frames > 0 and [held.session_id for held in beat.sessions] == ["s1"]
                for beat in bench.signaling.of(messages.Heartbeat)
            )
        )
        beat = bench.signaling.of(messages.Heartbeat)[-1]
        assert beat.rss_bytes > 10_000_000
        assert beat.sessions[0].media_age_ms is not None


async def test_a_renewed_token_is_shown_when_the_worker_comes_back() -> None:
    async with worker(token="first") as bench:
        await bench.signaling.send(messages.TokenRenewed(token="second"))
        assert bench.signaling.socket is not None
        await bench.signaling.socket.close()
        await until(lambda: len(bench.signaling.headers) > 1)
        shown = [headers["Authorization"] for headers in bench.signaling.headers]
        assert shown == ["Bearer first", "Bearer second"]


async def test_the_first_heartbeat_comes_within_one_interval_of_registering() -> None:
    async with worker(heartbeat_s=0.3) as bench:
        registered_s = time.monotonic()
        await bench.signaling.wait(messages.Heartbeat)
        assert time.monotonic() - registered_s < 0.3 + 0.3


async def test_assignments_with_old_fences_are_refused_and_stale_commands_ignored() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        bench.fences = 9
        await bench.viewer("s2")
        stale = await bench.signaling.assign("s3", 9)
        refused = await bench.signaling.wait(messages.SessionRefused, session_id="s3")
        assert (refused.fence, refused.code) == (stale, ErrorCode.STALE_FENCE)
        other = Fence(epoch=1, n=77)
        await bench.signaling.send(
            messages.SessionEnded(session_id="s1", reason="released", fence=other)
        )
        await bench.signaling.send(messages.SessionEnded(session_id="s1", reason="released"))
        await viewer.acked(viewer.send("camera:zoom", {"delta": 1}))
        assert bench.agent.tally.stale_commands == 3


async def test_a_repeated_assignment_is_confirmed_again_and_changes_nothing() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        await bench.signaling.assign("s1", 1)
        await until(lambda: len(bench.signaling.of(messages.SessionConfirmed)) == 2)
        await viewer.acked(viewer.send("camera:zoom", {"delta": 1}))
        assert len(bench.agent.slots.sessions) == 1


async def test_a_full_worker_refuses_and_a_freed_slot_serves_again() -> None:
    async with worker(slots=1) as bench:
        for i in range(1, 6):
            session_id = f"s{i}"
            viewer = await bench.viewer(session_id)
            await bench.signaling.assign("too many", 100 * i)
            refused = await bench.signaling.wait(messages.SessionRefused)
            assert refused.code is ErrorCode.NO_CAPACITY
            fence = bench.fence(session_id)
            await bench.signaling.send(
                messages.SessionEnded(session_id=session_id, reason="released", fence=fence)
            )
            ended = await bench.signaling.wait(messages.SessionEnded, session_id=session_id)
            assert (ended.reason, ended.fence) == ("released", fence)
            await until(lambda viewer=viewer: viewer.pc.connectionState == "closed")
            bench.signaling.received.clear()
            bench.fences = 100 * i
        assert len(bench.agent.rooms) == 0


async def test_a_viewer_that_closes_ends_its_session() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        await viewer.close()
        ended = await bench.signaling.wait(messages.SessionEnded, timeout_s=4, session_id="s1")
        assert ended.reason == "connection_closed"
        assert ended.fence == Fence(epoch=1, n=1)


async def test_a_session_that_never_connects_ends_at_the_deadline() -> None:
    async with worker(connect_deadline_s=0.5) as bench:
        await bench.signaling.assign("s1", 1)
        ended = await bench.signaling.wait(messages.SessionEnded, timeout_s=3, session_id="s1")
        assert ended.reason == "connect_timeout"


async def test_a_detached_viewer_stays_while_it_is_heard_and_ends_when_it_falls_silent() -> None:
    async with worker(heartbeat_s=0.4) as bench:
        viewer = await bench.viewer("s1")
        detached = messages.ClientDisconnected(session_id="s1", fence=bench.fence("s1"))
        await bench.signaling.send(detached)
        await asyncio.sleep(1.8)
        assert bench.agent.slots.get("s1") is not None
        viewer.pc.link.impairment = Impairment(Path(loss=1.0), random.Random(1))
        silent_s = time.monotonic()
        ended = await bench.signaling.wait(messages.SessionEnded, timeout_s=5, session_id="s1")
        assert ended.reason == "client_gone"
        assert time.monotonic() - silent_s < 1.5 * 0.4 + 1.0


async def test_a_viewer_that_closed_its_socket_stays_while_it_answers_and_then_ends_soon() -> None:
    async with worker(heartbeat_s=60.0) as bench:
        viewer = await bench.viewer("s1")
        detached = messages.ClientDisconnected(
            session_id="s1", fence=bench.fence("s1"), closed=True
        )
        await bench.signaling.send(detached)
        await asyncio.sleep(2 * CLOSED_S)
        assert bench.agent.slots.get("s1") is not None
        viewer.pc.link.impairment = Impairment(Path(loss=1.0), random.Random(1))
        ended = await bench.signaling.wait(messages.SessionEnded, timeout_s=5, session_id="s1")
        assert ended.reason == "client_gone"


async def test_two_sessions_of_a_project_see_each_others_edits() -> None:
    first, second, *_ = sorted(Project.default("floor").devices)
    async with worker() as bench:
        one, two = await bench.viewer("s1"), await bench.viewer("s2")
        link = {"sourceDeviceId": first, "targetDeviceId": second, "type": "power"}
        seq = one.send("connection:create", link, reliable=True, editId="e1")
        assert (await one.heard("edit:ack", editId="e1"))["index"] == 1
        await one.acked(seq)
        moved = {"deviceId": second, "position": [1.0, 2.0, 0.0]}
        two.send("device:drag", moved)
        await until(lambda: len(bench.signaling.logs["floor"]) == 2)
        assert bench.signaling.logs["floor"][1].data["position"] == [1.0, 2.0, 0.0]
        room = bench.agent.rooms.get("floor")
        assert room is not None
        await until(lambda: room.index == 2)
        for viewer in (one, two):
            digest = room.project.digest()
            await until(
                lambda viewer=viewer, digest=digest: any(
                    m["type"] == "state" and m["state"]["project"] == digest for m in viewer.said
                )
            )
        assert room.project.connections["e1"].target == second


async def test_an_edit_repeated_by_the_client_is_logged_once() -> None:
    first, second, *_ = sorted(Project.default("floor").devices)
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        link = {"sourceDeviceId": first, "targetDeviceId": second, "type": "power"}
        for _ in range(3):
            viewer.send("connection:create", link, reliable=True, editId="e1")
        await viewer.heard("edit:ack", editId="e1")
        await viewer.acked(viewer.send("camera:zoom", {"delta": 1}))
        assert len(bench.signaling.logs["floor"]) == 1
        assert len(bench.signaling.of(messages.EditRequest)) == 1


async def test_media_goes_on_while_signaling_is_away_and_sessions_are_registered_again() -> None:
    first, second, *_ = sorted(Project.default("floor").devices)
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        await bench.signaling.stop()
        await until(lambda: not bench.agent.registered)
        await viewer.acked(viewer.send("camera:orbit", {"deltaX": 9, "deltaY": 0}))
        link = {"sourceDeviceId": first, "targetDeviceId": second, "type": "power"}
        viewer.send("connection:create", link, reliable=True, editId="e1")
        await until(lambda: bench.agent.tally.edits == 1)
        bench.signaling.received.clear()
        await bench.signaling.start()
        register = await bench.signaling.wait(messages.Register)
        assert [(h.session_id, h.fence.n) for h in register.sessions] == [("s1", 1)]
        assert (await viewer.heard("edit:ack", editId="e1"))["index"] == 1
        assert bench.signaling.of(messages.SessionActive) == []
        assert bench.agent.tally.reconnects == 1


async def test_draining_refuses_new_sessions_and_leaves_when_the_last_has_ended() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        await bench.signaling.send(messages.Drain(deadline_ms=20_000))
        await bench.signaling.assign("s2", 2)
        refused = await bench.signaling.wait(messages.SessionRefused, session_id="s2")
        assert refused.code is ErrorCode.NO_CAPACITY
        await viewer.acked(viewer.send("camera:zoom", {"delta": 1}))
        assert not bench.running.done()
        await viewer.close()
        await bench.signaling.wait(messages.Drained)
        await asyncio.wait_for(asyncio.shield(bench.running), 2)


async def test_draining_ends_sessions_at_the_deadline_and_says_so() -> None:
    async with worker() as bench:
        await bench.viewer("s1")
        started = time.monotonic()
        bench.agent.drain(0.5)
        ended = await bench.signaling.wait(messages.SessionEnded, session_id="s1")
        assert time.monotonic() - started >= 0.5
        assert ended.reason == "worker_stopped"
        await asyncio.wait_for(asyncio.shield(bench.running), 2)


async def test_garbage_from_signaling_is_refused_and_the_worker_stays() -> None:
    async with worker() as bench:
        assert bench.signaling.socket is not None
        for raw in ("", "[1", '{"type":"x"}', '{"type":"session-assigned"}', "[" * 9000):
            await bench.signaling.socket.send_str(raw)
        await bench.signaling.send(messages.Ping(time=3.0))
        assert (await bench.signaling.wait(messages.Pong)).time == 3.0
        assert bench.agent.registered


async def test_an_offer_for_a_session_that_is_not_here_gets_a_typed_error() -> None:
    async with worker() as bench:
        viewer = Viewer(bench.signaling, "nobody's")
        bench.viewers.append(viewer)
        offer = messages.Offer(
            sdp=messages.Description(type="offer", sdp="v=0"), session_id="nobody's"
        )
        await bench.signaling.send(offer)
        error = await bench.signaling.wait(messages.Error)
        assert (error.code, error.session_id) == (ErrorCode.NOT_FOUND, "nobody's")


async def test_the_metrics_are_served_while_the_worker_runs() -> None:
    async with worker() as bench:
        viewer = await bench.viewer("s1")
        await until(lambda: len(viewer.frames) > 3)
        async with serving(bench.agent, "w1", 0) as port, aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
                lines = (await response.text()).splitlines()
            async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                assert response.status == 200
    values = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    assert float(values["remote_render_worker_frames_total"]) > 3
    assert float(values["remote_render_worker_encode_seconds_total"]) > 0
    assert float(values["remote_render_worker_slots_used"]) == 1


async def test_a_worker_that_is_replaced_does_not_come_back() -> None:
    signaling = FakeSignaling()
    await signaling.start()
    config = WorkerConfig(worker_id="w1", signaling=signaling.url, width=320, height=180)
    serving_worker = asyncio.create_task(serve(config, time.monotonic()))
    await signaling.wait(messages.Register)
    assert signaling.socket is not None
    await signaling.socket.close(code=CloseCode.REPLACED)
    assert await asyncio.wait_for(serving_worker, 5) == CONTROL_LOST
    await signaling.stop()


async def test_a_worker_that_signaling_refuses_ends_with_one_line() -> None:
    signaling = FakeSignaling()
    signaling.accept = False
    await signaling.start()
    config = WorkerConfig(worker_id="w1", signaling=signaling.url, width=320, height=180)
    assert await asyncio.wait_for(serve(config, time.monotonic()), 10) == CONTROL_LOST
    await signaling.stop()


async def test_a_worker_gives_up_on_a_signaling_server_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "FIRST_TIME_S", 0.2)
    nobody = FakeSignaling()
    await nobody.start()
    await nobody.stop()
    config = WorkerConfig(worker_id="w1", signaling=nobody.url, width=320, height=180)
    assert await asyncio.wait_for(serve(config, time.monotonic()), 10) == CONTROL_LOST


async def test_a_machine_that_makes_no_frame_does_not_register(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unavailable(*arguments: object) -> None:
        raise RendererUnavailable("nothing renders here")

    monkeypatch.setattr(render_pool, "open_renderer", unavailable)
    signaling = FakeSignaling()
    await signaling.start()
    config = WorkerConfig(worker_id="w1", signaling=signaling.url, width=320, height=180)
    assert await serve(config, time.monotonic()) == PROBE_FAILED
    assert signaling.received == []
    await signaling.stop()
