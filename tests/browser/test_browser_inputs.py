"""What a viewer does with mouse, wheel, keyboard and fingers, in the scene and in the picture.

The scene is judged by the worker's state and by local arithmetic, the picture by a local
rendering of the scene as it should be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from browser_page import Reference, WorkspacePage, likeness_db, scene_of, until
from conftest import SIZE, OpenPage

from system.media.camera import DEGREES_PER_PIXEL, Camera
from system.media.picking import floor_point
from system.media.project import Device, Project, connect, move
from system.media.scene import Scene
from system.media.shapes import device_centre

ALIKE_DB = 30.0
"""Of a picture that has settled: about 40. Of another view of the same floor: 18."""

WIDTH, HEIGHT = SIZE


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    renderer = Reference(*SIZE)
    yield renderer
    renderer.close()


async def shows(tab: WorkspacePage, reference: Reference, scene: Scene, other: Scene) -> None:
    """The picture is that of ``scene``, and clearly not that of ``other``."""
    wanted, unwanted = reference.picture(scene), reference.picture(other)
    like_db = unlike_db = 0.0

    async def alike() -> bool:
        nonlocal like_db, unlike_db
        picture = await tab.picture()
        like_db, unlike_db = likeness_db(wanted, picture), likeness_db(unwanted, picture)
        return like_db > max(ALIKE_DB, unlike_db + 1.0)

    try:
        await until(alike, 5, "another picture")
    except AssertionError:
        pytest.fail(f"the picture is {like_db:.1f} dB like it, {unlike_db:.1f} dB like the other")


def on_screen(camera: Camera, device: Device) -> tuple[float, float]:
    spot = camera.project_point(device_centre(device), WIDTH, HEIGHT)
    assert spot is not None
    return spot


def clickable(scene: Scene) -> list[Device]:
    """Devices that a click at their middle selects, clear of the page's panels."""
    return [
        device
        for device in scene.project.devices.values()
        for x, y in [on_screen(scene.camera, device)]
        if WIDTH * 0.25 < x < WIDTH * 0.7
        and HEIGHT * 0.2 < y < HEIGHT * 0.7
        and Scene(scene.project, camera=scene.camera).click(x, y, *SIZE) == device.id
    ]


async def selected(tab: WorkspacePage, device_id: str | None) -> None:
    async def is_selected() -> bool:
        return bool((await tab.state())["selection"] == device_id)

    await until(is_selected, 5, f"{device_id} was not selected")


async def test_a_drag_turns_the_camera_by_as_much(
    open_page: OpenPage, reference: Reference
) -> None:
    tab = await (await open_page(project="turn")).connected()
    project = Project.default("turn")
    before = scene_of(await tab.state(), project)
    assert before.camera == Camera()
    await shows(tab, reference, before, Scene(project, camera=Camera(azimuth=0.0)))
    await tab.drag((600, 400), (720, 360))
    after = scene_of(await tab.state(), project)
    assert after.camera == before.camera.orbited(120, -40)
    assert after.selection is None, "the drag was taken for a click"
    await shows(tab, reference, after, before)


async def test_the_wheel_zooms_by_its_steps(open_page: OpenPage, reference: Reference) -> None:
    tab = await (await open_page(project="zoom")).connected()
    before = scene_of(await tab.state(), Project.default("zoom"))
    await tab.page.mouse.move(600, 400)
    await tab.page.mouse.wheel(0, -300)
    await until_camera(tab, before.camera.zoomed(3))
    after = scene_of(await tab.state(), before.project)
    await shows(tab, reference, after, before)
    await tab.page.mouse.wheel(0, 300)
    await until_camera(tab, before.camera)


async def until_camera(tab: WorkspacePage, wanted: Camera) -> None:
    async def there() -> bool:
        camera = (await tab.state())["camera"]
        return all(
            camera[name] == pytest.approx(getattr(wanted, name))
            for name in ("azimuth", "elevation", "distance")
        )

    await until(there, 5, "the camera did not get there")


async def test_a_click_selects_the_device_under_it_and_beside_all_deselects(
    open_page: OpenPage, reference: Reference
) -> None:
    tab = await (await open_page(project="pick")).connected()
    before = scene_of(await tab.state(), Project.default("pick"))
    device = clickable(before)[0]
    await tab.click_pixel(*on_screen(before.camera, device))
    await selected(tab, device.id)
    assert await tab.page.inner_text("#selected-name") == device.id
    assert device.kind in await tab.page.inner_text("#selected-place")
    chosen = scene_of(await tab.state(), before.project)
    await shows(tab, reference, chosen, before)
    await tab.click_pixel(WIDTH * 0.5, HEIGHT * 0.02)
    await selected(tab, None)
    assert await tab.page.is_hidden("#selection")


async def test_a_click_meets_its_device_whatever_the_size_of_the_window(
    open_page: OpenPage,
) -> None:
    tab = await (await open_page(project="resize")).connected()
    scene = scene_of(await tab.state(), Project.default("resize"))
    await tab.page.click("#toggle-stats")
    await tab.page.click("#guide summary")
    devices = clickable(scene)
    for size, device in zip(((1500, 560), (700, 900), (980, 700)), devices, strict=False):
        await tab.page.set_viewport_size({"width": size[0], "height": size[1]})
        await tab.click_pixel(*on_screen(scene.camera, device))
        await selected(tab, device.id)


async def test_the_keyboard_turns_zooms_and_selects(open_page: OpenPage) -> None:
    tab = await (await open_page(project="keys")).connected()
    before = scene_of(await tab.state(), Project.default("keys"))
    keyboard = tab.page.keyboard
    for key in ("ArrowRight", "ArrowUp", "+", "+"):
        await keyboard.press(key)
    await until_camera(tab, before.camera.orbited(24, -24).zoomed(2))
    middle = Scene(before.project, camera=before.camera.orbited(24, -24).zoomed(2))
    await keyboard.press("Enter")
    await selected(tab, middle.click(WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT))


async def test_a_shifted_drag_moves_the_device_and_the_project_keeps_it(
    open_page: OpenPage, reference: Reference
) -> None:
    tab = await (await open_page(project="drag")).connected()
    before = scene_of(await tab.state(), Project.default("drag"))
    device = clickable(before)[0]
    start = on_screen(before.camera, device)
    await tab.click_pixel(*start)
    await selected(tab, device.id)
    end = (start[0] + 50, start[1] + 25)
    await tab.page.keyboard.down("Shift")
    await tab.drag(await tab.on_page(*start), await tab.on_page(*end), pause_s=0.5)
    await tab.page.keyboard.up("Shift")
    grip, target = (floor_point(before.camera, *at, *SIZE) for at in (start, end))
    assert grip is not None
    assert target is not None
    place = [device.position[i] + target[i] - grip[i] for i in (0, 1)]

    async def there() -> bool:
        position = (await tab.state())["device"]["position"]
        return bool(position[:2] == pytest.approx(place, abs=0.02))

    await until(there, 5, "the device is not where it was dragged")
    await until(lambda: tab.events("editAcknowledged"), 5, "the move was not acknowledged")
    acks = [ack["code"] for ack in await tab.events("editAcknowledged")]
    assert acks == [None], "the pause was taken for the end"
    state = await tab.state()
    project = move(before.project, device.id, state["device"]["position"])
    assert state["project"] == project.digest()
    await shows(tab, reference, scene_of(state, project), scene_of(state, before.project))


async def test_the_keyboard_moves_the_selected_device_as_the_picture_shows_it(
    open_page: OpenPage,
) -> None:
    tab = await (await open_page(project="nudge")).connected()
    before = scene_of(await tab.state(), Project.default("nudge"))
    device = clickable(before)[0]
    await tab.click_pixel(*on_screen(before.camera, device))
    await selected(tab, device.id)
    for key in ("m", "ArrowRight", "ArrowRight"):
        await tab.page.keyboard.press(key)
    await until(lambda: tab.events("editAcknowledged"), 5, "the move was not acknowledged")
    state = await tab.state()
    moved = replace(device, position=tuple(state["device"]["position"]))
    left, right = on_screen(before.camera, device), on_screen(before.camera, moved)
    assert right[0] - left[0] > 3
    assert abs(right[1] - left[1]) < 1
    assert state["camera"]["azimuth"] == before.camera.azimuth, "the arrows turned the camera"


async def test_two_picks_connect_two_devices(open_page: OpenPage, reference: Reference) -> None:
    tab = await (await open_page(project="connect")).connected()
    before = scene_of(await tab.state(), Project.default("connect"))
    first, second = clickable(before)[:2]
    await tab.click_pixel(*on_screen(before.camera, first))
    await selected(tab, first.id)
    await tab.page.select_option("#link-type", "pipe")
    await tab.page.click("#link")
    await tab.click_pixel(*on_screen(before.camera, second))
    await until(lambda: tab.events("editAcknowledged"), 5, "the connection was not acknowledged")
    (ack,) = await tab.events("editAcknowledged")
    assert ack["code"] is None
    project = connect(before.project, first.id, second.id, "pipe", ack["editId"])
    state = await tab.state()
    assert state["project"] == project.digest()
    await shows(tab, reference, scene_of(state, project), scene_of(state, before.project))


async def test_fingers_turn_zoom_select_and_move(open_page: OpenPage) -> None:
    tab = await open_page(project="touch", size=(844, 500), touch=True)
    await tab.connected()
    before = scene_of(await tab.state(), Project.default("touch"))
    device = clickable(before)[0]
    at = await tab.on_page(*on_screen(before.camera, device))
    await tab.page.touchscreen.tap(*at)
    await selected(tab, device.id)

    await tab.touches("touchStart", at)
    await asyncio.sleep(0.6)
    for step in range(1, 6):
        await tab.touches("touchMove", (at[0] + 8 * step, at[1]))
    await tab.touches("touchEnd")
    await until(lambda: tab.events("editAcknowledged"), 5, "the move was not acknowledged")
    assert (await tab.state())["camera"]["azimuth"] == before.camera.azimuth

    await tab.touches("touchStart", (300, 300))
    for step in range(1, 6):
        await tab.touches("touchMove", (300 + 10 * step, 300))
    await tab.touches("touchEnd")

    async def turned() -> bool:
        azimuth = (await tab.state())["camera"]["azimuth"]
        return bool(azimuth == pytest.approx(before.camera.azimuth - 50 * DEGREES_PER_PIXEL))

    await until(turned, 5, "one finger did not turn the camera")

    await tab.touches("touchStart", (300, 300), (400, 300))
    for step in range(1, 6):
        await tab.touches("touchMove", (300 - 5 * step, 300), (400 + 5 * step, 300))
    await tab.touches("touchEnd")

    async def nearer() -> bool:
        distance = (await tab.state())["camera"]["distance"]
        return bool(distance == pytest.approx(before.camera.distance * 100 / 150, rel=0.05))

    await until(nearer, 5, "two fingers did not zoom")
