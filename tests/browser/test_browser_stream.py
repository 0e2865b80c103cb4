"""The video as the page gets it: codecs, statistics, the timing of inputs."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import cv2
import numpy as np
import pytest
from browser_page import Reference, WorkspacePage, keep, likeness_db, scene_of, until
from conftest import SIZE, OpenPage
from worker_figures import worker_figures

from system.media.marker import read_block_code
from system.media.project import Project
from system.stack import EmbeddedStack


@pytest.mark.parametrize(("codec", "mime"), [("h264", "video/H264"), ("vp8", "video/VP8")])
async def test_the_video_plays_in_both_codecs_and_shows_the_scene(
    open_page: OpenPage, codec: str, mime: str
) -> None:
    tab = await open_page(project="codecs", codec=codec, pacing="constant")
    await tab.connected()
    seen = await tab.frames()
    await asyncio.sleep(1.5)
    assert await tab.frames() - seen > 25
    report = await tab.report()
    assert report["codec"] == mime
    assert report["inbound"]["framesDropped"] <= 2
    scene = scene_of(await tab.state(), Project.default("codecs"))
    reference = Reference(*SIZE)
    alike_db = likeness_db(reference.picture(scene), await tab.picture())
    reference.close()
    assert alike_db > 32


async def test_the_statistics_are_there_and_agree_with_the_workers(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    tab = await (await open_page(pacing="constant", latency="on")).connected()
    _, worker = await tab.identity()
    stop = asyncio.create_task(keep_turning(tab))
    await asyncio.sleep(1)
    before = (await worker_figures(stack, worker), await tab.report())
    await asyncio.sleep(5)
    after = (await worker_figures(stack, worker), await tab.report())
    stop.cancel()
    sent = {name: after[0][name] - before[0][name] for name in ("frames", "payload_bytes")}
    got = {
        name: after[1]["inbound"][name] - before[1]["inbound"][name]
        for name in ("framesReceived", "bytesReceived")
    }
    assert got["framesReceived"] == pytest.approx(sent["frames"], abs=3)
    assert got["bytesReceived"] == pytest.approx(sent["payload_bytes"], rel=0.02)

    seconds = (await tab.stats())[-5:]
    for name in ("fps", "bitrate", "bytesReceived", "inputToFrameMs"):
        assert all(second[name] > 0 for second in seconds), name
    spent_s = (after[1]["inbound"]["timestamp"] - before[1]["inbound"]["timestamp"]) / 1000
    told = {
        "fps": statistics.mean(second["fps"] for second in seconds),
        "bitrate": statistics.mean(second["bitrate"] for second in seconds),
    }
    assert told["fps"] == pytest.approx(sent["frames"] / spent_s, rel=0.05)
    assert told["bitrate"] == pytest.approx(sent["payload_bytes"] * 8e-6 / spent_s, rel=0.1)
    assert seconds[-1]["rtt"] == pytest.approx(
        1000 * (await tab.report())["pair"]["currentRoundTripTime"], abs=20
    )
    shown = await tab.page.inner_text("[data-stat=fps]")
    assert 20 <= int(shown) <= 40
    assert await tab.page.inner_text("[data-stat=input-to-frame]") != "–"
    points = await tab.page.get_attribute("#rows polyline", "points")
    assert points is not None
    assert len(points.split()) >= 5
    keep("statistics", {"worker": sent, "chromium": got, "client": told})


async def keep_turning(tab: WorkspacePage) -> None:
    while True:
        await tab.page.evaluate("remoteRender.client.sendCameraOrbit(2, 0)")
        await asyncio.sleep(0.05)


async def test_inputs_are_timed_only_while_that_is_switched_on(open_page: OpenPage) -> None:
    tab = await (await open_page()).connected()
    assert await has_code(tab) is False
    await tab.page.check("#measure")

    async def code(there: bool) -> bool:
        return await tab.status() == "connected" and await has_code(tab) is there

    await until(lambda: code(True), 10, "the frames carry no code")
    assert await tab.page.is_visible("#cover")
    for _ in range(12):
        await tab.page.keyboard.press("ArrowRight")
        await asyncio.sleep(0.1)

    async def timed() -> bool:
        return len(await tab.evaluate("remoteRender.client.latencySamples")) >= 10

    await until(timed, 5, "the inputs were not timed")
    samples: list[dict[str, Any]] = await tab.evaluate("remoteRender.client.latencySamples")
    for sample in samples:
        assert 2 < sample["presentedMs"] < 1000
        assert sample["receivedMs"] is None or sample["receivedMs"] <= sample["presentedMs"]
    await tab.page.uncheck("#measure")
    await until(lambda: code(False), 10, "the code is still there")
    assert await tab.page.is_hidden("#cover")
    assert await tab.events("error") == []


async def has_code(tab: WorkspacePage) -> bool:
    picture = np.ascontiguousarray(await tab.picture())
    return read_block_code(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))) is not None


async def test_a_page_in_the_background_connects_as_well(open_page: OpenPage) -> None:
    tab = await open_page(autoconnect="off")
    await tab.page.evaluate(
        "HTMLVideoElement.prototype.requestVideoFrameCallback = () => 0;"
        " document.querySelector('#connect').click()"
    )
    await tab.connected()
