"""Debian's Chromium, the embedded stack, and pages of the one on the other."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_figures import workers_serve_metrics

from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

try:
    from browser_page import ARGUMENTS, ARTIFACTS, WorkspacePage, until
    from playwright.async_api import Browser, async_playwright
except ModuleNotFoundError as error:
    pytest.exit(f"the browser tests need the extra `browser` ({error}): tox -e browser", 4)

CHROMIUM = Path("/usr/bin/chromium")
HINT = (
    "these tests need Chromium, and download none: `apt-get install chromium` on Debian, "
    "or RR_CHROMIUM=/path/to/a/chromium"
)
SIZE = (640, 360)
HEARTBEAT_S = 1.0
WORKERS = 2

OpenPage = Callable[..., Awaitable[WorkspacePage]]


def chromium() -> str:
    """The path of the browser; fails the test where there is none."""
    path = Path(os.environ.get("RR_CHROMIUM") or CHROMIUM)
    if shutil.which(path) is None:
        pytest.fail(f"{path} is not there: {HINT}", pytrace=False)
    return str(path)


def stack_config(**changes: Any) -> StackConfig:
    width, height = SIZE
    settings: dict[str, Any] = {
        "pools": (PoolConfig(initial=WORKERS, max_workers=WORKERS),),
        "stream": StreamConfig(width=width, height=height, fps=30, bitrate_bps=1_500_000),
        "secret": "",
        "heartbeat_s": HEARTBEAT_S,
        "min_ready": WORKERS,
    }
    return StackConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    chromium()
    with workers_serve_metrics(), EmbeddedStack(stack_config()) as running:
        yield running


def ready(stack: EmbeddedStack) -> int:
    pool = stack.pool_snapshot().pool
    return -1 if pool is None else pool.ready


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A new process with a new, empty profile."""
    path = chromium()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        await running.close()


@pytest.fixture
async def open_page(
    browser: Browser, stack: EmbeddedStack, request: pytest.FixtureRequest
) -> AsyncIterator[OpenPage]:
    """Opens pages; what they show when a test fails is kept."""
    pages: list[WorkspacePage] = []

    async def open_one(**options: Any) -> WorkspacePage:
        options.setdefault("project", request.node.name[:60])
        pages.append(await WorkspacePage.open(browser, stack.http_url, **options))
        return pages[-1]

    yield open_one
    report = getattr(request.node, "call_report", None)
    for number, tab in enumerate(pages):
        if report is not None and report.failed and not tab.page.is_closed():
            name = re.sub(r"\W+", "-", request.node.name)
            await tab.screenshot(f"failed-{name}-{number}")
        await tab.close()
    await whole_again(stack)


async def whole_again(stack: EmbeddedStack) -> None:
    """Every test leaves all workers ready."""

    async def whole() -> bool:
        return await asyncio.to_thread(ready, stack) == WORKERS

    await until(whole, 15, "the test left the pool with less")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.call_report = report  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session", autouse=True)
def _artifacts() -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
