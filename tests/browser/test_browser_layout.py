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


CONTRAST = """() => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number)
    return [r, g, b, a]
  }
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a))
  const light = (rgb) => {
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
    const [r, g, b] = rgb.map((c) => linear(c / 255))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
  const worst = (element) => {
    const layers = []
    const ends = [null, document.querySelector('#stage'), document.querySelector('#panels')]
    for (let e = element; !ends.includes(e); e = e.parentElement) {
      layers.unshift(parse(getComputedStyle(e).backgroundColor))
    }
    const color = parse(getComputedStyle(element).color)
    return Math.min(...[0, 255].map((grey) => {
      // whatever the picture shows behind a panel that lets it through
      const behind = layers.reduce((under, layer) => over(layer, under), [grey, grey, grey])
      return ratio(light(over(color, behind)), light(behind))
    }))
  }
  return [...document.body.querySelectorAll('*')]
    .filter((e) => e.checkVisibility() && !e.closest('.unseen, option'))
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== ''))
    .map((e) => [e.id || e.textContent.trim(), worst(e)])
    .filter(([, found]) => found < 4.5)
}"""
"""Texts with less contrast than WCAG 2.2 AA asks for, whatever is behind them."""


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


async def test_every_text_can_be_read_and_every_control_reached_by_keyboard(
    open_page: OpenPage,
) -> None:
    tab = await open_page(project="layout", size=(1440, 900))
    await tab.connected()
    await select_something(tab)
    await tab.page.keyboard.press("ArrowLeft")
    assert await tab.page.evaluate(CONTRAST) == []
    reached: dict[str, str] = {}
    for _ in range(12):
        await tab.page.keyboard.press("Tab")
        name, outline = await tab.evaluate(
            "[document.activeElement.id || document.activeElement.localName,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.setdefault(name, outline)
    controls = {"toggle-stats", "connect", "video", "measure", "move", "link", "link-type"}
    assert controls | {"summary"} <= reached.keys()
    assert {reached[name] for name in controls} == {"solid"}
    await tab.page.click("#connect")
    assert await tab.page.is_visible("#idle")
    assert await tab.page.evaluate(CONTRAST) == []
    assert await tab.page.inner_text("#live") == "Disconnected"


async def test_a_text_that_is_hard_to_read_is_found(open_page: OpenPage) -> None:
    tab = await open_page(autoconnect="off")
    await tab.page.evaluate("document.querySelector('h1').style.color = '#444'")
    assert [name for name, _ in await tab.page.evaluate(CONTRAST)] == ["Remote Render"]
