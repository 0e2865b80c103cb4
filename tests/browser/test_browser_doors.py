"""Who is let in: the page on a stack that asks for tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from browser_page import WorkspacePage
from conftest import chromium, stack_config
from playwright.async_api import Browser

from system.protocol.tokens import JOIN_TTL_S, Audience, Keys, sign
from system.stack import EmbeddedStack, PoolConfig

SECRET = "a secret of thirty-two characters"


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    chromium()
    pool = PoolConfig(initial=1, max_workers=1)
    with EmbeddedStack(stack_config(pools=(pool,), min_ready=1, secret=SECRET)) as running:
        yield running


async def test_without_a_token_the_page_says_so_and_with_one_it_plays(
    stack: EmbeddedStack, browser: Browser
) -> None:
    tab = await WorkspacePage.open(browser, stack.http_url, project="doors", userId="ada")
    await tab.page.wait_for_selector("#problem:not([hidden])")
    assert await tab.page.inner_text("#problem-title") == "Not allowed"
    assert "token" in await tab.page.inner_text("#problem-text")
    assert await tab.page.evaluate("document.activeElement.id") == "retry"
    await tab.screenshot("not-allowed")
    await tab.close()

    token = sign(
        Keys.from_secret(SECRET),
        Audience.CLIENT,
        "ada",
        project_id="doors",
        ttl_s=JOIN_TTL_S,
        now_s=time.time(),
    )
    tab = await WorkspacePage.open(
        browser, stack.http_url, project="doors", userId="ada", fragment=f"token={token}"
    )
    await tab.connected()
    assert token not in tab.page.url
    assert not any(token in url.split("#")[0] for url in tab.requested)
    assert tab.problems == []
    await tab.close()
