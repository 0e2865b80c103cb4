from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.media.project import (
    FLOOR_HALF_X_M,
    FLOOR_HALF_Y_M,
    EditRefused,
    Project,
    ProjectError,
    apply_edit,
)


@pytest.fixture
def project() -> Project:
    return Project.default("demo")


def create(source: str, target: str, kind: str = "data", edit_id: str = "e1") -> dict[str, object]:
    data = {"sourceDeviceId": source, "targetDeviceId": target, "type": kind}
    return {"type": "connection:create", "data": data, "editId": edit_id}


def drag(device_id: str, position: object) -> dict[str, object]:
    data = {"deviceId": device_id, "position": position, "end": True}
    return {"type": "device:drag", "data": data, "editId": "e2"}


def test_the_default_project_has_many_devices_of_every_kind_and_typed_connections(project):
    assert len(project.devices) >= 30
    assert {d.kind for d in project.devices.values()} == {
        "box",
        "cylinder",
        "tank",
        "robot",
        "conveyor",
        "press",
        "rack",
    }
    assert {c.type for c in project.connections.values()} == {"conveyor", "power", "data", "pipe"}
    for connection in project.connections.values():
        assert {connection.source, connection.target} <= project.devices.keys()


def test_the_default_project_is_the_same_for_the_same_id_and_differs_by_id():
    assert Project.default("a") == Project.default("a")
    assert Project.default("a").digest() == "f178965aa3908bea", "stable across processes"
    assert Project.default("a").digest() != Project.default("b").digest()


def test_a_project_survives_its_json(project):
    again = Project.from_json(project.to_json())
    assert again == project
    assert again.digest() == project.digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["devices"][0].update(kind="dragon"),
        lambda d: d["devices"][0].update(position=[1, 2]),
        lambda d: d["devices"][0].update(size=[0, 1, 1]),
        lambda d: d["devices"][0].update(color=[2, 0, 0]),
        lambda d: d["devices"][0].pop("id"),
        lambda d: d["connections"][0].update(source="nobody"),
        lambda d: d.update(devices={}),
        lambda d: d.update(connections=[7]),
        lambda d: d.update(name=3),
    ],
)
def test_a_broken_document_raises_the_documented_error(project, change):
    document = json.loads(project.to_json())
    change(document)
    with pytest.raises(ProjectError):
        Project.from_json(json.dumps(document))


@given(st.text() | st.binary())
def test_no_text_raises_anything_but_the_documented_error(text):
    with pytest.raises(ProjectError):
        Project.from_json(text)


def test_creating_a_connection_takes_the_edit_id_and_is_idempotent(project):
    source, target, *_ = project.devices
    once = apply_edit(project, create(source, target))
    assert once.connections["e1"].source == source
    assert "e1" not in project.connections, "the old project is untouched"
    assert apply_edit(once, create(source, target)) is once


def test_an_edit_id_cannot_be_used_for_another_connection(project):
    source, target, third, *_ = project.devices
    once = apply_edit(project, create(source, target))
    with pytest.raises(EditRefused):
        apply_edit(once, create(source, third))


def test_a_drag_moves_in_the_floor_plane_and_is_clamped_to_the_floor(project):
    device_id = next(iter(project.devices))
    moved = apply_edit(project, drag(device_id, [2.5, -1, 7])).devices[device_id]
    assert moved.position == (2.5, -1.0, 0.0)
    far = apply_edit(project, drag(device_id, [1e9, -1e9, 0])).devices[device_id]
    assert far.position == (FLOOR_HALF_X_M, -FLOOR_HALF_Y_M, 0.0)


@pytest.mark.parametrize(
    "edit",
    [
        create("nobody", "rack-11"),
        drag("nobody", [0, 0, 0]),
        drag("", [0, 0, 0]),
        {"type": "device:drag", "data": {"deviceId": ["x"], "position": [0, 0, 0]}},
        {"type": "device:drag", "data": None},
        {"type": "device:explode", "data": {}},
        {},
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(project, edit):
    with pytest.raises(EditRefused):
        apply_edit(project, edit)


@pytest.mark.parametrize(
    "position",
    [
        [1, 2],
        [1, 2, "3"],
        [float("nan"), 0, 0],
        [0, float("inf"), 0],
        [10**400, 0, 0],
        [True, 0, 0],
        "abc",
        None,
    ],
)
def test_a_drag_to_no_place_is_refused(project, position):
    with pytest.raises(EditRefused):
        apply_edit(project, drag(next(iter(project.devices)), position))


def test_a_connection_of_no_type_or_to_itself_is_refused(project):
    source, target, *_ = project.devices
    for edit in (create(source, source), create(source, target, kind="a b"), create(source, "")):
        with pytest.raises(EditRefused):
            apply_edit(project, edit)


def test_the_order_of_edits_that_do_not_touch_does_not_change_the_digest(project):
    a, b, *_ = project.devices
    edits = [drag(a, [1, 1, 0]), drag(b, [2, 2, 0])]
    forth, back = project, project
    for edit in edits:
        forth = apply_edit(forth, edit)
    for edit in reversed(edits):
        back = apply_edit(back, edit)
    assert forth.digest() == back.digest() != project.digest()
