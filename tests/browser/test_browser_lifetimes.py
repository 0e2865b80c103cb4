"""What a client holds, and gives back: sockets, connections, timers, listeners, workers."""

from __future__ import annotations

import asyncio
from typing import Any

from browser_page import WorkspacePage, until
from conftest import WORKERS, OpenPage, ready

from system.stack import EmbeddedStack

LEDGER = """
const held = { peers: new Set(), sockets: new Set(), intervals: new Set(), listeners: new Map() }
globalThis.held = held
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...rest) { super(...rest); held.peers.add(this) }
  close() { super.close(); held.peers.delete(this) }
}
const Socket = WebSocket
globalThis.WebSocket = class extends Socket {
  constructor(...rest) {
    super(...rest)
    held.sockets.add(this)
    Socket.prototype.addEventListener.call(this, 'close', () => held.sockets.delete(this))
  }
}
const { setInterval: start, clearInterval: stop } = globalThis
globalThis.setInterval = (...rest) => {
  const id = start(...rest)
  held.intervals.add(id)
  return id
}
globalThis.clearInterval = (id) => { held.intervals.delete(id); stop(id) }
const video = HTMLVideoElement.prototype
const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype
video.addEventListener = function (type, listener, ...rest) {
  held.listeners.set(listener, type)
  add.call(this, type, listener, ...rest)
}
video.removeEventListener = function (type, listener, ...rest) {
  held.listeners.delete(listener)
  remove.call(this, type, listener, ...rest)
}
"""

HELD = "[held.peers.size, held.sockets.size, held.intervals.size, held.listeners.size]"


async def test_joining_and_leaving_again_and_again_leaves_nothing_behind(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    tab = await open_page(project="leak", autoconnect="off", script=LEDGER)
    before = await tab.evaluate(HELD)
    assert before[:3] == [0, 0, 0]
    for _ in range(5):
        await tab.page.click("#connect")
        await tab.connected()
        assert (await tab.evaluate(HELD))[:2] == [1, 1]
        await tab.page.click("#connect")
        assert await tab.status() == "closed"
    await until(lambda: nothing(tab, before), 5, "something was left behind")
    assert await tab.evaluate("document.querySelector('video').srcObject") is None
    await until(lambda: free(stack), 5, "a session was left over")
    assert tab.problems == []


async def nothing(tab: WorkspacePage, before: list[int]) -> bool:
    return bool(await tab.evaluate(HELD) == before)


async def free(stack: EmbeddedStack) -> bool:
    return await asyncio.to_thread(ready, stack) == WORKERS


async def test_leaving_at_any_moment_of_joining_frees_the_worker(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    tab = await open_page(project="cancel", autoconnect="off", script=LEDGER)
    before = await tab.evaluate(HELD)
    for pause_ms in (0, 3, 10, 30, 60, 120):
        told = await tab.page.evaluate(
            """async (ms) => {
              const { client } = remoteRender
              const joined = client.connect('u', 'cancel').catch((error) => error.code)
              await new Promise((go) => setTimeout(go, ms))
              client.disconnect()
              return (await joined) ?? 'connected'
            }""",
            pause_ms,
        )
        assert told in ("closed", "connected")
    await until(lambda: nothing(tab, before), 5, "something was left behind")
    await until(lambda: free(stack), 5, "a session was left over")
    assert await tab.events("error") == []


async def test_two_clients_on_one_page_do_not_disturb_each_other(open_page: OpenPage) -> None:
    tab = await (await open_page(project="pair", pacing="constant")).connected()
    await tab.page.evaluate(
        """async () => {
          const { client } = remoteRender
          const video = document.createElement('video')
          video.muted = true
          document.body.append(video)
          const settings = { signalingServerUrl: new URL('ws', location.href).toString() }
          const other = new client.constructor({ ...settings, videoElement: video })
          globalThis.second = { client: other, video }
          await other.connect('second', 'pair')
        }"""
    )
    first, second = await tab.evaluate("[remoteRender.client.sessionId, second.client.sessionId]")
    assert first != second
    assert await tab.evaluate("second.video.videoWidth") > 0
    azimuth = (await tab.state())["camera"]["azimuth"]
    await tab.evaluate("second.client.sendCameraOrbit(50, 0)")
    await tab.evaluate("second.client.disconnect()")
    seen = await tab.frames()

    async def more() -> bool:
        return await tab.frames() > seen + 10

    await until(more, 5, "the other client's end stopped this one's video")
    assert (await tab.state())["camera"]["azimuth"] == azimuth
    assert await tab.status() == "connected"


async def test_a_second_connect_is_refused_and_the_first_goes_on(open_page: OpenPage) -> None:
    tab = await open_page(project="twice", autoconnect="off")
    codes: list[Any] = await tab.evaluate(
        """Promise.allSettled([1, 2].map(() => remoteRender.client.connect('u', 'twice')))
          .then((ends) => ends.map(({ reason }) => reason?.code ?? null))"""
    )
    assert codes == [None, "not_ready"]
    assert await tab.status() == "connected"
    assert await tab.events("error") == []


async def test_a_page_that_comes_back_from_the_browsers_cache_joins_again(
    open_page: OpenPage, stack: EmbeddedStack
) -> None:
    tab = await (await open_page(project="back")).connected()
    event = "dispatchEvent(new PageTransitionEvent('{}', {{ persisted: true }}))"
    await tab.evaluate(event.format("pagehide"))
    await until(lambda: free(stack), 5, "the hidden page holds its worker")
    await tab.evaluate(event.format("pageshow"))
    await tab.connected()


async def test_where_the_browser_wants_a_click_the_page_asks_for_it(open_page: OpenPage) -> None:
    script = """
      const { play } = HTMLMediaElement.prototype
      let clicked = false
      addEventListener('click', () => (clicked = true), true)
      HTMLMediaElement.prototype.play = function () {
        this.autoplay = false
        return clicked
          ? play.call(this)
          : Promise.reject(new DOMException('click first', 'NotAllowedError'))
      }"""
    tab = await open_page(project="blocked", script=script)
    await tab.page.wait_for_selector("#blocked:not([hidden])")
    assert await tab.status() == "connected"
    await tab.screenshot("blocked")
    await tab.page.click("#play")
    await tab.page.wait_for_selector("#overlay", state="hidden")
    seen = await tab.frames()
    await tab.page.keyboard.press("ArrowLeft")

    async def shows() -> bool:
        return await tab.frames() > seen

    await until(shows, 5, "no picture after the click")
