from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.media.project import Project, ProjectError, apply_edit
from system.protocol.fields import Edit, LoggedEdit, ProjectState
from system.worker.room import MAX_AHEAD, Room, Rooms, wire

FLOOR = Project.default("p")
A, B, C = sorted(FLOOR.devices)[:3]


def drag(edit_id: str, x: float, device: str = A) -> Edit:
    data = {"deviceId": device, "position": [x, 0.0, 0.0]}
    return Edit(edit_id=edit_id, type="device:drag", data=data)


def link(edit_id: str, source: str = A, target: str = B) -> Edit:
    data = {"sourceDeviceId": source, "targetDeviceId": target, "type": "power"}
    return Edit(edit_id=edit_id, type="connection:create", data=data)


LOG = [
    LoggedEdit(index=i, edit=e)
    for i, e in enumerate(
        [
            drag("e1", 1),
            link("e2"),
            drag("e3", 2),
            drag("e4", 3, B),
            link("e5", B, C),
            drag("e6", 4),
        ],
        start=1,
    )
]


def replayed(edits: list[LoggedEdit]) -> Project:
    project = FLOOR
    for logged in edits:
        project = apply_edit(project, wire(logged.edit))
    return project


def room(*log: LoggedEdit) -> Room:
    return Room(ProjectState(project_id="p", log=log))


def test_a_project_that_was_never_stored_is_the_default_floor() -> None:
    assert room().project == FLOOR


def test_snapshot_and_log_give_the_project() -> None:
    snapshot = json.loads(replayed(LOG[:3]).to_json())
    state = ProjectState(project_id="p", snapshot=snapshot, snapshot_index=3, log=tuple(LOG[3:]))
    assert Room(state).project == replayed(LOG)
    assert Room(state).index == 6


def test_a_bad_snapshot_is_one_documented_error() -> None:
    with pytest.raises(ProjectError):
        Room(ProjectState(project_id="p", snapshot={"devices": 1}))


@given(st.permutations(LOG), st.lists(st.sampled_from(LOG), max_size=6))
def test_edits_in_any_order_and_repeated_give_what_the_log_gives(
    order: list[LoggedEdit], repeated: list[LoggedEdit]
) -> None:
    shown = room()
    for logged in [*order, *repeated]:
        shown.apply(logged)
    assert shown.project == replayed(LOG)
    assert shown.index == len(LOG)


def test_an_edit_beyond_a_gap_is_shown_and_put_in_its_place_later() -> None:
    shown = room(LOG[0])
    assert shown.apply(LOG[2])
    assert shown.project.devices[A].position[0] == 2
    assert shown.apply(LOG[1])
    assert shown.project == replayed(LOG[:3])


def test_a_gap_that_never_fills_is_given_up() -> None:
    shown = room()
    for index in range(2, MAX_AHEAD + 10):
        shown.apply(LoggedEdit(index=index, edit=drag(f"x{index}", index % 10)))
    assert shown.index == MAX_AHEAD + 9
    assert not shown.apply(LOG[0])


def test_an_edit_that_does_not_fit_is_skipped_and_counted() -> None:
    shown = room(LoggedEdit(index=1, edit=drag("e", 1, "no such device")), LOG[1])
    assert shown.refused >= 1
    assert shown.index == 2
    assert "e2" in shown.project.connections


def test_the_place_of_an_edit_is_known_by_its_id() -> None:
    shown = room(*LOG[:2])
    assert shown.index_of("e2") == 2
    assert shown.index_of("e3") is None


def test_a_later_assignment_brings_a_room_up_to_date() -> None:
    rooms = Rooms()
    calls: list[int] = []
    first = rooms.enter(ProjectState(project_id="p", log=tuple(LOG[:2])), lambda: calls.append(1))
    snapshot = json.loads(replayed(LOG[:4]).to_json())
    state = ProjectState(project_id="p", snapshot=snapshot, snapshot_index=4, log=tuple(LOG[4:]))
    assert rooms.enter(state, lambda: None) is first
    assert first.project == replayed(LOG)
    assert calls == [1]


def test_an_older_assignment_takes_nothing_back() -> None:
    rooms = Rooms()
    shown = rooms.enter(ProjectState(project_id="p", log=tuple(LOG)), lambda: None)
    rooms.enter(ProjectState(project_id="p", log=tuple(LOG[:2])), lambda: None)
    assert shown.project == replayed(LOG)


def test_a_room_lasts_as_long_as_somebody_is_in_it() -> None:
    rooms = Rooms()

    def one() -> None: ...
    def two() -> None: ...

    state = ProjectState(project_id="p")
    shown = rooms.enter(state, one)
    rooms.enter(state, two)
    rooms.leave(shown, one)
    assert rooms.get("p") is shown
    rooms.leave(shown, two)
    assert rooms.get("p") is None
    assert len(rooms) == 0


def test_a_long_log_out_of_order_stays_cheap() -> None:
    log = [LoggedEdit(index=i, edit=drag(f"e{i}", i % 10)) for i in range(1, 200)]
    shuffled = log[:]
    random.Random(5).shuffle(shuffled)
    shown = room()
    for logged in shuffled:
        shown.apply(logged)
    assert shown.project == replayed(log)
