from __future__ import annotations

import json

import pytest

from system.media.camera import MAX_DISTANCE_M, MAX_ELEVATION_DEG, MIN_DISTANCE_M
from system.media.picking import floor_point
from system.media.project import EditRefused, Project
from system.media.scene import Scene
from system.media.shapes import device_centre


def test_every_visible_change_raises_the_revision_by_one(scene):
    source, target, *_ = scene.project.devices
    scene.orbit(10, 5)
    scene.zoom(1)
    scene.select(source)
    scene.drag(source, (0.0, 0.0, 0.0))
    scene.connect(source, target, "data", "c1")
    assert scene.revision == 5


def test_what_changes_nothing_leaves_the_revision(scene):
    device = next(iter(scene.project.devices.values()))
    scene.orbit(0, 0)
    scene.select(None)
    scene.drag(device.id, device.position)
    assert scene.revision == 0


def test_a_refused_input_changes_nothing(scene):
    before = scene.view
    for attempt in (
        lambda: scene.select("nobody"),
        lambda: scene.drag("nobody", (0, 0, 0)),
        lambda: scene.orbit(float("nan"), 0),
        lambda: scene.zoom(float("inf")),
        lambda: scene.click(float("nan"), 0, 640, 360),
        lambda: scene.apply({"type": "device:drag"}),
    ):
        with pytest.raises(EditRefused):
            attempt()
    assert scene.view is before


def test_orbit_and_zoom_stay_within_their_limits(scene):
    for _ in range(300):
        scene.orbit(1e6, 1e6)
    assert scene.camera.elevation == MAX_ELEVATION_DEG
    assert -180 <= scene.camera.azimuth <= 180
    scene.zoom(1e9)
    assert scene.camera.distance == MIN_DISTANCE_M
    scene.zoom(-1e9)
    assert scene.camera.distance == MAX_DISTANCE_M


def test_the_same_inputs_give_the_same_state_and_it_is_json():
    states = []
    for _ in range(2):
        scene = Scene(Project.default("twin"))
        scene.orbit(13, -7)
        scene.zoom(2)
        scene.click(320, 180, 640, 360)
        states.append(json.dumps(scene.state()))
    assert states[0] == states[1]


def test_the_state_names_every_device_that_an_input_may_mean(scene):
    assert scene.state()["devices"] == list(scene.project.devices)


def test_the_state_says_what_is_selected_and_where_it_stands(scene):
    assert scene.state()["device"] is None
    device = next(iter(scene.project.devices.values()))
    scene.select(device.id)
    scene.drag(device.id, (1.0, 2.0, 0.0))
    assert scene.state()["device"] == {
        "id": device.id,
        "kind": device.kind,
        "position": [1.0, 2.0, device.position[2]],
    }


def test_a_scene_opened_on_anothers_camera_and_selection_shows_the_same(scene):
    scene.orbit(40, 10)
    scene.select(next(iter(scene.project.devices)))
    twin = Scene(scene.project, camera=scene.camera, selection=scene.selection)
    assert (twin.camera, twin.selection) == (scene.camera, scene.selection)


def test_a_click_on_a_device_selects_it_and_a_click_beside_the_floor_selects_nothing(scene):
    device_id = next(iter(scene.project.devices))
    spot = scene.camera.project_point(device_centre(scene.project.devices[device_id]), 640, 360)
    assert spot is not None
    found = scene.click(*spot, 640, 360)
    assert found is not None
    assert scene.selection == found
    assert scene.click(1, 1, 640, 360) is None
    assert scene.selection is None


def test_the_floor_point_of_a_pixel_projects_back_to_that_pixel(scene):
    for x, y in ((320.0, 180.0), (100.0, 300.0), (600.0, 350.0)):
        point = floor_point(scene.camera, x, y, 640, 360)
        assert point is not None
        assert point[2] == 0.0
        assert scene.camera.project_point(point, 640, 360) == pytest.approx((x, y), abs=1e-6)


def test_no_floor_is_met_above_the_horizon(scene):
    scene.orbit(0, -1e6)
    assert floor_point(scene.camera, 320, 0, 640, 360) is None


def test_dragging_along_the_ray_puts_the_device_under_the_pointer(scene):
    device_id = next(iter(scene.project.devices))
    point = floor_point(scene.camera, 300, 200, 640, 360)
    assert point is not None
    scene.drag(device_id, point)
    assert scene.project.devices[device_id].position == pytest.approx(point)
