"""The browser client of the first version of the protocol, which knows less than ours.

It offers as soon as its socket is open, with a null session id and no negotiation, opens the
channel ``input`` alone, numbers no input, and says neither that a drag ends nor that it leaves.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from browser_page import WorkspacePage, until
from conftest import WORKERS, OpenPage, ready

from system.media.camera import Camera
from system.media.project import Project, move
from system.stack import EmbeddedStack

CLIENT = Path(__file__).with_name("document_client.js")

JOIN = """async ([url, project]) => {
  const heard = { connected: 0, disconnected: 0, errors: [], stats: [], states: [] }
  const client = new DocumentClient({
    signalingServerUrl: url,
    stunServers: [],
    videoElement: document.querySelector('video'),
    onConnected: () => heard.connected++,
    onDisconnected: () => heard.disconnected++,
    onError: (error) => heard.errors.push(error.message),
    onStats: (stats) => heard.stats.push(stats),
  })
  client.handleServerMessage = (message) => heard.states.push(message)
  globalThis.old = { client, heard }
  await client.connect('user_123', project)
}"""


async def old_viewer(tab: WorkspacePage, project: str) -> None:
    """The old client in the page's place, once its data channel is open."""
    await tab.page.evaluate(f"() => {{ {CLIENT.read_text()} }}")
    host = tab.page.url.split("/")[2]
    await tab.page.evaluate(JOIN, [f"ws://{host}", project])
    await until(lambda: tab.evaluate("old.client.dataChannel.readyState === 'open'"), 10, "no path")


async def state(tab: WorkspacePage) -> dict[str, Any]:
    """The latest state that the old client was told."""
    states = await tab.evaluate("old.heard.states.filter(({ type }) => type === 'state')")
    return dict(states[-1]["state"]) if states else {}


async def test_it_gets_video_and_statistics(open_page: OpenPage) -> None:
    tab = await open_page(project="old", autoconnect="off")
    await old_viewer(tab, "old")
    began = await tab.frames()

    async def plays() -> bool:
        return await tab.frames() > began + 3

    async def told() -> bool:
        return bool(await tab.evaluate("old.heard.stats.some((s) => s.bytesReceived > 0)"))

    await until(plays, 10, "no video")
    await until(told, 5, "no statistics")
    heard = await tab.evaluate("old.heard")
    assert (heard["connected"], heard["disconnected"], heard["errors"]) == (1, 0, [])
    assert await tab.evaluate("typeof old.client.sessionId") == "string"


async def test_what_it_does_counts_and_is_kept(open_page: OpenPage) -> None:
    tab = await open_page(project="old", autoconnect="off")
    project = Project.default("old")
    source, target, *_ = project.devices
    await old_viewer(tab, "old")
    await tab.page.evaluate(
        """([source, target]) => {
          old.client.sendCameraOrbit(10, 0)
          old.client.sendCameraZoom(1)
          old.client.sendDeviceClick(source, 0, 0)
          old.client.sendDeviceDrag(source, [1, 2, 0])
          old.client.sendDeviceDrag(source, [1.5, 2, 0])
          old.client.sendConnectionCreate(source, target, 'data')
        }""",
        [source, target],
    )
    watcher = await (await open_page(project="old")).connected()
    moved = move(project, source, (1.5, 2.0, 0.0))
    unlinked = {project.digest(), moved.digest()}

    async def kept() -> bool:
        old, new = await state(tab), await watcher.state()
        return (
            old.get("project") == new["project"]
            and new["project"] not in unlinked
            and old["device"]["position"] == [1.5, 2.0, 0.0]
        )

    await until(kept, 5, "the edits were lost")
    told = await state(tab)
    assert told["selection"] == source
    wanted = Camera().orbited(10, 0).zoomed(1)
    assert told["camera"]["azimuth"] == pytest.approx(wanted.azimuth)
    assert told["camera"]["distance"] == pytest.approx(wanted.distance)
    await watcher.page.evaluate("(id) => remoteRender.client.sendDeviceClick(id, 0, 0)", source)
    await watcher.page.wait_for_selector("#selected-place:text('1.50 m, 2.00 m')")
    assert "device:selected" in await tab.evaluate("old.heard.states.map(({ type }) => type)")


async def test_it_leaves_and_its_worker_is_free(open_page: OpenPage, stack: EmbeddedStack) -> None:
    tab = await open_page(project="old", autoconnect="off")
    await old_viewer(tab, "old")
    await tab.page.evaluate("old.client.disconnect()")

    async def free() -> bool:
        return await asyncio.to_thread(ready, stack) == WORKERS

    await until(free, 5, "its worker is not free")
    assert await tab.evaluate("old.heard.disconnected") >= 1
