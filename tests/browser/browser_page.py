"""The workspace page in Chromium, driven and looked at as its user and its programmer would."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import cv2
import numpy as np
import numpy.typing as npt
from playwright.async_api import Browser, BrowserContext, CDPSession, Page

from system.media.quality import psnr
from system.media.renderers.chain import open_renderer
from system.media.scene import Camera, Scene

Picture = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts" / "browser"

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--allow-loopback-in-peer-connection",
    # Nothing but loopback: no name is looked up, and no host name of our own announced by mDNS.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-features=WebRtcHideLocalIpsWithMdns,MediaRouter,DialMediaRouteProvider,"
    "OptimizationHints,Translate,AcceptCHFrame",
]

LOOPBACK_CANDIDATES = """
const send = WebSocket.prototype.send
WebSocket.prototype.send = function (text) {
  const { type, candidate } = JSON.parse(text)
  const away = type === 'ice-candidate' && candidate !== null
  if (!away || / (127\\.\\S+|::1) \\d+ typ /.test(candidate.candidate)) send.call(this, text)
}
"""
"""Chromium also names this machine's other addresses, which nobody here may send to."""

RECORD = """() => {
  const { client } = remoteRender
  const log = { stats: [], events: [] }
  client.on('stats', (stats) => log.stats.push(stats))
  const events = ['status', 'error', 'sessionResumed', 'workerReplaced', 'editAcknowledged']
  for (const name of events) {
    client.on(name, (value) => log.events.push([name, value?.message ?? value, performance.now()]))
  }
  globalThis.rrLog = log
}"""

PIXELS = """() => {
  const video = document.querySelector('video')
  const canvas = document.createElement('canvas')
  canvas.width = video.videoWidth
  canvas.height = video.videoHeight
  const context = canvas.getContext('2d', { willReadFrequently: true })
  context.drawImage(video, 0, 0)
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
  let text = ''
  for (let i = 0; i < data.length; i += 32768) {
    text += String.fromCharCode(...data.subarray(i, i + 32768))
  }
  return { width: canvas.width, height: canvas.height, pixels: btoa(text) }
}"""

REPORT = """async () => {
  const report = await remoteRender.client.peerConnection.getStats()
  const found = {}
  report.forEach((entry) => {
    if (entry.type === 'inbound-rtp' && entry.kind === 'video') found.inbound = entry
    if (entry.type === 'candidate-pair' && entry.nominated) found.pair = entry
  })
  found.codec = report.get(found.inbound.codecId)?.mimeType
  return found
}"""

FRAMES = "() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"

STATE = """() => new Promise((resolve, reject) => {
  const { client } = remoteRender
  const stop = client.on('state', ({ state }) => { stop(); resolve(state) })
  client.requestState()
  setTimeout(() => { stop(); reject(new Error('no state came')) }, 3000)
})"""


class WorkspacePage:
    """One tab on the page. ``problems`` are errors in its console, which nobody expects."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.problems: list[str] = []
        self.requested: list[str] = []
        self._fingers: CDPSession | None = None
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda m: self.problems.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("websocket", lambda socket: self.requested.append(socket.url))

    @classmethod
    async def open(
        cls,
        browser: Browser,
        http_url: str,
        *,
        project: str,
        size: tuple[int, int] = (1280, 800),
        touch: bool = False,
        scale: float = 1.0,
        script: str = "",
        fragment: str = "",
        **query: str,
    ) -> Self:
        """A tab of its own profile, so that each is another viewer.

        ``script`` runs before the page's own; ``fragment`` is what stands behind the ``#``.
        """
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            has_touch=touch,
            is_mobile=touch,
            device_scale_factor=scale,
        )
        await context.add_init_script(LOOPBACK_CANDIDATES)
        if script:
            await context.add_init_script(f"{{{script}}}")
        tab = cls(context, await context.new_page())
        query = {"projectId": project, **query}
        await tab.page.goto(f"{http_url}/?{urlencode(query)}#{fragment}".rstrip("#"))
        await tab.page.evaluate(RECORD)
        return tab

    # --- what it shows -------------------------------------------------------------

    async def status(self) -> str:
        return str(await self.page.get_attribute("#badge", "data-status"))

    async def connected(self, timeout_s: float = 20.0) -> Self:
        await self.page.wait_for_selector("#badge[data-status=connected]", timeout=timeout_s * 1000)
        return self

    async def picture(self) -> Picture:
        """The picture as it is shown, RGB, in its own size."""
        shot = await self.page.evaluate(PIXELS)
        raw = np.frombuffer(base64.b64decode(shot["pixels"]), np.uint8)
        return raw.reshape(shot["height"], shot["width"], 4)[:, :, :3]

    async def frames(self) -> int:
        """Frames that the video element has presented."""
        return int(await self.page.evaluate(FRAMES))

    async def evaluate(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def state(self) -> dict[str, Any]:
        """The scene as the worker has it."""
        state: dict[str, Any] = await self.page.evaluate(STATE)
        return state

    async def report(self) -> dict[str, Any]:
        """Chromium's own statistics of the video: ``inbound``, ``pair``, ``codec``."""
        report: dict[str, Any] = await self.page.evaluate(REPORT)
        return report

    async def stats(self) -> list[dict[str, Any]]:
        """What the client reported, a second each."""
        stats: list[dict[str, Any]] = await self.evaluate("rrLog.stats")
        return stats

    async def events(self, name: str) -> list[Any]:
        return [value for kind, value, _ in await self.evaluate("rrLog.events") if kind == name]

    async def identity(self) -> tuple[str, str]:
        """Session and worker."""
        session, worker = await self.evaluate(
            "[remoteRender.client.sessionId, remoteRender.client.workerId]"
        )
        return session, worker

    async def screenshot(self, name: str) -> Path:
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        await self.page.screenshot(path=path)
        return path

    # --- what is done to it ----------------------------------------------------------

    async def on_page(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture lies on the page, through object-fit: contain."""
        box, width, height = await self.evaluate(
            "(() => { const v = document.querySelector('video'), b = v.getBoundingClientRect();"
            " return [[b.x, b.y, b.width, b.height], v.videoWidth, v.videoHeight] })()"
        )
        scale = min(box[2] / width, box[3] / height)
        left = box[0] + (box[2] - width * scale) / 2
        top = box[1] + (box[3] - height * scale) / 2
        return left + x * scale, top + y * scale

    async def click_pixel(self, x: float, y: float) -> None:
        await self.page.mouse.click(*await self.on_page(x, y))

    async def drag(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        steps: int = 8,
        pause_s: float = 0.0,
    ) -> None:
        """With the mouse, between two points of the page; resting half way."""
        mouse = self.page.mouse
        await mouse.move(*start)
        await mouse.down()
        for i in range(1, steps + 1):
            share = i / steps
            await mouse.move(
                start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
            )
            await asyncio.sleep(0.03 + (pause_s if i == steps // 2 else 0.0))
        await mouse.up()

    async def touches(self, kind: str, *points: tuple[float, float]) -> None:
        """``touchStart``, ``touchMove`` or ``touchEnd`` with these fingers on the page."""
        if self._fingers is None:
            self._fingers = await self.context.new_cdp_session(self.page)
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        event = {"type": kind, "touchPoints": fingers}
        await self._fingers.send("Input.dispatchTouchEvent", event)

    async def close(self) -> None:
        await self.context.close()


class Reference:
    """Local renderings, to know what a picture should show."""

    def __init__(self, width: int, height: int) -> None:
        self._renderer = open_renderer(width, height)

    def picture(self, scene: Scene) -> Picture:
        return np.asarray(cv2.cvtColor(self._renderer.render(scene), cv2.COLOR_BGRA2RGB), np.uint8)

    def close(self) -> None:
        self._renderer.close()


def scene_of(state: dict[str, Any], project: Any) -> Scene:
    """A local scene like the one whose state the worker told."""
    camera = Camera(**{**state["camera"], "target": tuple(state["camera"]["target"])})
    return Scene(project, camera=camera, selection=state["selection"])


def likeness_db(one: Picture, other: Picture) -> float:
    """PSNR of the luma."""
    a, b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, other))
    return psnr(np.asarray(a, np.uint8), np.asarray(b, np.uint8))


async def until(
    condition: Callable[[], Awaitable[Any] | Any], timeout_s: float, text: str
) -> float:
    """Seconds until the condition held."""
    began = time.monotonic()
    while True:
        held = condition()
        if await held if isinstance(held, Awaitable) else held:
            return time.monotonic() - began
        assert time.monotonic() < began + timeout_s, text
        await asyncio.sleep(0.03)


def keep(name: str, figures: dict[str, Any]) -> None:
    """Leave measured figures beside the screenshots."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
