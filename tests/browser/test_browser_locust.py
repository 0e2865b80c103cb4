"""The tab "Streams" of Locust's web page, in Chromium, while a load test goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, expect

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = """\
version: 1
name: tab
stream: {resolution: 320x180, fps: 20, bitrate: 500kbps}
load: {model: closed, users: 2, for: 10min, input: {rate: 4/s}}
pool: {slots_per_worker: 4, policy: {kind: fixed, size: 1}}
"""
CHARTS = 5
DEADLINE_MS = 60_000


@asynccontextmanager
async def locust(tmp_path: Path) -> AsyncIterator[str]:
    """A load test with its web page; the page's address."""
    (tmp_path / "tab.yaml").write_text(SCENARIO)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", "loadtest/", "--autostart"),
        *("--scenario", str(tmp_path / "tab.yaml"), "--run-dir", str(tmp_path / "run")),
        *("--web-host", "127.0.0.1", "--web-port", str(port)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 30)


async def opened(browser: Browser, address: str) -> Page:
    """The page once the test runs; before, it shows a form and no tabs."""
    page = await browser.new_page()
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while True:
            try:
                await page.goto(address)
                await expect(page.get_by_role("tab", name="Streams")).to_be_visible(timeout=1000)
            except Exception:  # noqa: BLE001 - not up yet: Playwright's errors are of many kinds
                await asyncio.sleep(0.5)
            else:
                return page


async def test_the_tab_draws_what_viewers_see_and_gives_way_to_other_tabs(
    browser: Browser, tmp_path: Path
) -> None:
    async with locust(tmp_path) as address:
        page = await opened(browser, address)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.get_by_role("tab", name="Streams").click()
        streams = page.locator("#remote-render-streams")
        await expect(streams.locator("svg")).to_have_count(CHARTS)
        for text in ("watching 2", "mean 2", "ready 0"):
            await expect(streams).to_contain_text(text, timeout=DEADLINE_MS)
        await expect(streams.locator("polyline").nth(5)).to_be_attached(timeout=DEADLINE_MS)
        await page.get_by_role("tab", name="Statistics").click()
        await expect(streams).to_be_hidden()
        await page.get_by_role("tab", name="Streams").click()
        await expect(streams).to_be_visible()
        assert all(url.startswith(address) for url in asked)
        assert any("/remote-render/live" in url for url in asked)
