"""What happens to a session: cut sockets, killed workers, queues, leaving, two viewers."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from browser_page import WorkspacePage, keep, until
from conftest import HEARTBEAT_S, WORKERS, OpenPage, ready
from cut_proxy import CutProxy

from system.media.project import Project, connect
from system.media.scene import Scene
from system.stack import EmbeddedStack


def port_of(stack: EmbeddedStack) -> int:
    return int(stack.url.rsplit(":", 1)[1])


def a_pair(project: Project) -> tuple[str, str]:
    """Two devices that nothing connects yet."""
    linked = {(c.source, c.target) for c in project.connections.values()}
    return next(
        (a, b)
        for a in project.devices
        for b in project.devices
        if a != b and (a, b) not in linked and (b, a) not in linked
    )


async def link(tab: WorkspacePage, source: str, target: str) -> str:
    """Connect two devices, wait for the acknowledgement; the edit's id."""
    seen = len(await tab.events("editAcknowledged"))
    await tab.page.evaluate(
        "([a, b]) => remoteRender.client.sendConnectionCreate(a, b, 'pipe')", [source, target]
    )

    async def acknowledged() -> bool:
        return len(await tab.events("editAcknowledged")) > seen

    await until(acknowledged, 5, "the edit was not acknowledged")
    ack = (await tab.events("editAcknowledged"))[-1]
    assert ack["code"] is None
    return str(ack["editId"])


async def until_project(tab: WorkspacePage, digest: str) -> None:
    async def same() -> bool:
        return bool((await tab.state())["project"] == digest)

    await until(same, 5, "the page shows another state of the project")


async def test_a_cut_socket_does_not_stop_the_video_and_the_session_is_resumed(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    async with CutProxy(port_of(stack)) as proxy:
        signaling = f"ws://127.0.0.1:{proxy.port}/ws"
        tab = await open_page(signaling=signaling, pacing="constant")
        await tab.connected()
        before = await tab.identity()
        await tab.page.evaluate("globalThis.rrPeer = remoteRender.client.peerConnection")
        proxy.refuses = True
        proxy.cut()

        async def cut_off() -> bool:
            return await tab.status() == "reconnecting"

        await until(cut_off, 3, "the page did not notice")
        frames, began = await tab.frames(), time.monotonic()
        await asyncio.sleep(2 * HEARTBEAT_S)
        rate = (await tab.frames() - frames) / (time.monotonic() - began)
        assert rate > 15, f"only {rate:.1f} frames a second while cut off"
        proxy.refuses = False
        await tab.connected()
        assert len(await tab.events("sessionResumed")) == 1
        assert await tab.identity() == before
        assert await tab.evaluate("rrPeer === remoteRender.client.peerConnection")
        azimuth = (await tab.state())["camera"]["azimuth"]
        await tab.page.keyboard.press("ArrowLeft")

        async def turned() -> bool:
            return bool((await tab.state())["camera"]["azimuth"] != azimuth)

        await until(turned, 3, "inputs do not arrive after the resume")
        assert await tab.evaluate("rrLog.stats.length") >= 2
        # A second cut: the token was rotated.
        proxy.cut()

        async def again() -> bool:
            return len(await tab.events("sessionResumed")) == 2

        await until(again, 10, "the second resume failed")
        assert await tab.identity() == before


async def test_a_killed_worker_is_replaced_and_acknowledged_edits_are_still_there(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    tab = await (await open_page(project="killed")).connected()
    project = Project.default("killed")
    source, target = a_pair(project)
    edit_id = await link(tab, source, target)
    digest = connect(project, source, target, "pipe", edit_id).digest()
    session, worker = await tab.identity()
    os.kill(stack.worker_pids()[worker], signal.SIGKILL)
    killed = time.monotonic()

    async def replaced() -> bool:
        return len(await tab.events("workerReplaced")) == 1

    await until(replaced, 5, "the page was not told of another worker")
    await tab.connected(timeout_s=max(0.1, 5 - (time.monotonic() - killed)))
    took_s = time.monotonic() - killed
    keep("worker-killed", {"video_back_s": took_s})
    assert took_s < 5
    assert (await tab.identity())[0] == session
    assert (await tab.identity())[1] != worker
    await until_project(tab, digest)
    assert await tab.events("error") == []


async def test_a_killed_worker_without_a_spare_costs_a_wait_and_nothing_else(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    tab = await (await open_page(project="spare")).connected()
    await (await open_page(project="spare")).connected()
    project = Project.default("spare")
    source, target = a_pair(project)
    edit_id = await link(tab, source, target)
    project = connect(project, source, target, "pipe", edit_id)
    session, worker = await tab.identity()
    os.kill(stack.worker_pids()[worker], signal.SIGKILL)
    await tab.page.wait_for_selector("#badge[data-status=queued]")
    assert await tab.page.inner_text("#waiting-title") == "The worker was lost"
    await tab.screenshot("waiting-for-another-worker")
    await tab.connected(timeout_s=20)
    assert (await tab.identity())[0] == session
    assert (await tab.identity())[1] != worker
    await until_project(tab, project.digest())
    assert await tab.events("error") == []


async def test_without_a_free_worker_the_page_shows_its_place_and_then_the_video(
    open_page: OpenPage,
) -> None:
    first = await (await open_page(project="q")).connected()
    await (await open_page(project="q")).connected()
    third = await open_page(project="q")
    await third.page.wait_for_selector("#badge[data-status=queued]")
    fourth = await open_page(project="q", size=(390, 844))
    await fourth.page.wait_for_selector("#badge[data-status=queued]")
    assert await third.page.inner_text("#waiting-title") == "You are next"
    assert await fourth.page.inner_text("#waiting-title") == "You are number 2 in the queue"
    assert await third.page.is_visible("#waiting")
    await fourth.screenshot("queued-phone")
    await third.screenshot("queued")
    await first.page.click("#connect")
    assert await first.page.is_visible("#idle")
    await third.connected()
    assert await third.page.is_hidden("#overlay")

    async def next_one() -> bool:
        return await fourth.page.inner_text("#waiting-title") == "You are next"

    await until(next_one, 5, "the queue did not move on")


async def test_a_closed_page_frees_its_worker(open_page: OpenPage, stack: EmbeddedStack) -> None:
    async def free() -> bool:
        return await asyncio.to_thread(ready, stack) == WORKERS

    leaving = await (await open_page()).connected()
    assert not await free()
    await leaving.page.goto("about:blank")
    left_s = await until(free, 5, "the worker of a page that was left is not free")
    closing = await (await open_page()).connected()
    await closing.page.close()
    closed_s = await until(free, 10, "the worker of a closed page is not free")
    keep("page-closed", {"left_s": left_s, "closed_s": closed_s})
    assert left_s < 1
    assert closed_s < 2 * HEARTBEAT_S + 0.5


async def test_two_pages_on_one_project_see_each_others_edits(open_page: OpenPage) -> None:
    one = await (await open_page(project="shared")).connected()
    two = await (await open_page(project="shared")).connected()
    assert (await one.identity())[1] != (await two.identity())[1]
    project = Project.default("shared")
    for actor, watcher in ((one, two), (two, one)):
        source, target = a_pair(project)
        edit_id = await link(actor, source, target)
        project = connect(project, source, target, "pipe", edit_id)
        await until_project(watcher, project.digest())
        await until_project(actor, project.digest())


async def test_a_place_that_one_page_gives_a_device_is_told_to_the_other(
    open_page: OpenPage,
) -> None:
    one = await (await open_page(project="told")).connected()
    two = await (await open_page(project="told")).connected()
    device = next(iter(Scene(Project.default("told")).project.devices))
    await two.page.evaluate("(id) => remoteRender.client.sendDeviceClick(id, 0, 0)", device)
    await two.page.wait_for_selector("#selection:not([hidden])")
    await one.page.evaluate(
        "(id) => remoteRender.client.sendDeviceDrag(id, [3.5, -2.25, 0], true)", device
    )

    async def told() -> bool:
        return "3.50 m, -2.25 m" in await two.page.inner_text("#selected-place")

    await until(told, 5, "the other page was not told")


async def test_an_unreachable_server_is_a_card_with_a_retry(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    async with CutProxy(port_of(stack)) as proxy:
        proxy.refuses = True
        tab = await open_page(signaling=f"ws://127.0.0.1:{proxy.port}/ws")
        await tab.page.wait_for_selector("#problem:not([hidden])")
        assert await tab.page.inner_text("#problem-title") == "The server cannot be reached"
        assert await tab.status() == "closed"
        await tab.screenshot("unreachable")
        proxy.refuses = False
        await tab.page.click("#retry")
        await tab.connected()
        assert await tab.page.is_hidden("#overlay")
