"""The page at the sizes that people have; what it looks like is kept under artifacts/browser/."""

from __future__ import annotations

import asyncio

import pytest
from browser_page import WorkspacePage, scene_of
from conftest import SIZE, OpenPage

from system.media.project import Project
from system.media.scene import Scene

OUTSIDE = """([width, height]) => [
  ...document.querySelectorAll('button, select, label, h1, h2, .badge, video'),
]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const box = element.getBoundingClientRect()
    const panel = element.closest('#panels') !== null
    const below = !panel && box.bottom > height + 1
    return box.left < -1 || box.right > width + 1 || box.top < -1 || below
  })
  .map((element) => element.id || element.textContent)"""

COVERED = """() => [...document.querySelectorAll('header button, #panels button, #panels input')]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    element.scrollIntoView({ block: 'nearest' })
    const box = element.getBoundingClientRect()
    const x = box.x + box.width / 2, y = box.y + box.height / 2
    const top = document.elementFromPoint(x, y)
    return top !== element && !element.contains(top)
  })
  .map((element) => element.id)"""


@pytest.mark.parametrize(
    ("name", "size", "touch"),
    [
        ("desktop", (1280, 800), False),
        ("wide", (1920, 1080), False),
        ("phone", (390, 844), True),
        ("small-phone", (320, 568), True),
        ("phone-on-its-side", (844, 390), True),
        ("tablet", (820, 1180), True),
    ],
)
async def test_everything_is_on_the_screen_and_can_be_used(
    open_page: OpenPage, name: str, size: tuple[int, int], touch: bool
) -> None:
    tab = await open_page(project="layout", size=size, touch=touch)
    await tab.connected()
    await select_something(tab)
    await asyncio.sleep(1.2)
    await tab.screenshot(f"layout-{name}")
    assert await tab.page.evaluate(OUTSIDE, list(size)) == []
    assert await tab.page.evaluate(COVERED) == []
    width, height = await tab.evaluate(
        "(() => { const b = document.querySelector('video').getBoundingClientRect();"
        " return [b.width, b.height] })()"
    )
    shown = min(width / SIZE[0], height / SIZE[1])
    assert SIZE[0] * shown * SIZE[1] * shown > 0.15 * size[0] * size[1], "the picture is small"
    assert tab.problems == []


async def select_something(tab: WorkspacePage) -> None:
    scene = scene_of(await tab.state(), Project.default("layout"))
    device = next(iter(Scene(scene.project).project.devices))
    await tab.page.evaluate("(id) => remoteRender.client.sendDeviceClick(id, 0, 0)", device)
    await tab.page.wait_for_selector("#selection:not([hidden])")


async def test_the_statistics_can_be_put_away(open_page: OpenPage) -> None:
    tab = await (await open_page()).connected()
    await tab.page.click("#toggle-stats")
    assert await tab.page.is_hidden("#stats")
    await tab.page.click("#toggle-stats")
    assert await tab.page.is_visible("#stats")
    assert await tab.page.get_attribute("#toggle-stats", "aria-pressed") == "true"
