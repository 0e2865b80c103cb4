"""The shortest way from a checkout to a picture: no Node, one worker, one page."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest
from browser_page import WorkspacePage, until
from conftest import chromium, stack_config
from playwright.async_api import Browser

from system.stack import EmbeddedStack, PoolConfig


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    chromium()
    pool = PoolConfig(initial=1, max_workers=1)
    with EmbeddedStack(stack_config(pools=(pool,), min_ready=1)) as running:
        yield running


async def test_the_page_is_served_and_plays(stack: EmbeddedStack, browser: Browser) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{stack.http_url}/") as answer:
        assert answer.content_type == "text/html"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    tab = await WorkspacePage.open(browser, stack.http_url, project="smoke")
    await tab.connected()
    seen = await tab.frames()
    await until(lambda: more(tab, seen + 3), 10, "the video does not go on")
    picture = await tab.picture()
    assert picture.shape == (360, 640, 3)
    assert picture.std() > 10, "the picture is empty"
    assert tab.problems == []
    assert {url.split("/")[2] for url in tab.requested if "://" in url} == {
        stack.http_url.split("/")[2]
    }
    await tab.screenshot("smoke")
    await tab.close()


async def more(tab: WorkspacePage, frames: int) -> bool:
    return await tab.frames() >= frames
