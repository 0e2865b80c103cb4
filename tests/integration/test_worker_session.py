"""The worker with a scripted signaling server and real peer connections on loopback."""

from __future__ import annotations

from itertools import pairwise

from worker_harness import SIZE, until, worker

from system.media.picking import pick
from system.media.project import Project
from system.media.scene import Scene
from system.protocol import messages


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
