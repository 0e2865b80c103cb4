from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.media.picking import pick
from system.media.project import Project
from system.media.scene import Scene
from system.protocol.channels import DeviceSelected, EditAck, FrameRequest, State
from system.protocol.errors import ErrorCode
from system.protocol.fields import Edit, LoggedEdit, ProjectState
from system.protocol.messages import EditAcknowledged, Message, Pong
from system.worker.acks import AckBook
from system.worker.inputs import InputHandler, Outlets
from system.worker.overlay import MAX_OUTSTANDING
from system.worker.room import Room
from system.worker.tally import Tally
from system.worker.viewer_scene import ViewerScene

SIZE = (1280, 720)
A, B, *_ = sorted(Project.default("p").devices)


@dataclass
class Desk:
    """A handler with everything it says written down."""

    room: Room = field(default_factory=lambda: Room(ProjectState(project_id="p")))
    said: list[Message] = field(default_factory=list)
    asked: list[Edit] = field(default_factory=list)
    requests: list[FrameRequest] = field(default_factory=list)
    changes: int = 0

    def __post_init__(self) -> None:
        self.scene = ViewerScene(self.room.project)
        self.acks = AckBook()
        self.tally = Tally()
        self.handler = InputHandler(
            scene=self.scene,
            room=self.room,
            acks=self.acks,
            size=SIZE,
            user_id="u1",
            tally=self.tally,
            outlets=Outlets(
                input_channel=self.said.append,
                edit_channel=self.said.append,
                ask=self.asked.append,
                changed=self._changed,
                drag_waits=lambda: None,
                describe=self.requests.append,
            ),
        )
        self.room.join(self.handler.log_changed)

    def send(self, kind: str, data: dict[str, Any], **more: Any) -> None:
        self.handler.handle(json.dumps({"type": kind, "data": data, **more}))

    def acknowledge(self, edit: Edit, index: int, code: ErrorCode | None = None) -> None:
        self.handler.acknowledged(
            EditAcknowledged(session_id="s", edit_id=edit.edit_id, index=index, code=code)
        )

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def desk() -> Desk:
    return Desk()


def link(**more: Any) -> dict[str, Any]:
    return {"sourceDeviceId": A, "targetDeviceId": B, "type": "power", **more}


def test_orbit_and_zoom_move_the_camera_and_wait_for_their_frame(desk: Desk) -> None:
    desk.send("camera:orbit", {"deltaX": 10, "deltaY": 4}, seq=1)
    desk.send("camera:zoom", {"delta": 1}, seq=2)
    assert desk.scene.revision == 2
    assert desk.changes == 2
    assert desk.acks.begin().seqs == (1, 2)


def test_the_documents_client_needs_no_numbers(desk: Desk) -> None:
    desk.send("camera:orbit", {"deltaX": 10, "deltaY": 4}, timestamp=1763000000000)
    assert desk.scene.revision == 1
    assert desk.acks.begin().seqs == ()


def test_a_click_is_picked_in_the_clients_own_view(desk: Desk) -> None:
    scene = Scene(Project.default("p"))
    x, y = next(
        (x, y)
        for y in range(100, 700, 10)
        for x in range(100, 1200, 10)
        if pick(scene.project, scene.camera, x, y, *SIZE)
    )
    expected = pick(scene.project, scene.camera, x, y, *SIZE)
    data = {"deviceId": "", "screenX": x / 4, "screenY": y / 4, "width": 320, "height": 180}
    desk.send("device:click", data, seq=7)
    assert desk.of(DeviceSelected) == [DeviceSelected(device_id=expected, seq=7)]
    assert desk.scene.selection == expected
    assert desk.of(State)[-1].state["selection"] == expected


@pytest.mark.parametrize("view", [{"width": 0, "height": 0}, {"width": -5, "height": 10}])
def test_a_view_of_no_size_picks_nothing(desk: Desk, view: dict[str, int]) -> None:
    desk.send("device:click", {"deviceId": "", "screenX": 5, "screenY": 5, **view}, seq=1)
    assert desk.of(DeviceSelected) == [DeviceSelected(device_id=None, seq=1)]


def test_a_named_device_is_selected_and_an_unknown_one_is_not(desk: Desk) -> None:
    desk.send("device:click", {"deviceId": A}, seq=1)
    desk.send("device:click", {"deviceId": "no such"}, seq=2)
    assert [m.device_id for m in desk.of(DeviceSelected)] == [A, None]
    assert desk.scene.selection == A


def test_a_connection_is_shown_at_once_and_asked_for(desk: Desk) -> None:
    desk.send("connection:create", link(), seq=1, editId="e1")
    assert "e1" in desk.scene.project.connections
    assert "e1" not in desk.room.project.connections
    assert [(e.edit_id, e.user_id) for e in desk.asked] == [("e1", "u1")]


def test_an_acknowledged_connection_becomes_part_of_the_log(desk: Desk) -> None:
    desk.send("connection:create", link(), seq=1, editId="e1")
    desk.acknowledge(desk.asked[0], 1)
    assert "e1" in desk.room.project.connections
    assert desk.of(EditAck) == [EditAck(edit_id="e1", index=1)]
    assert desk.handler.outstanding == ()


def test_a_refused_connection_disappears_from_the_picture(desk: Desk) -> None:
    desk.send("connection:create", link(), seq=1, editId="e1")
    desk.acknowledge(desk.asked[0], 0, ErrorCode.EDIT_REFUSED)
    assert "e1" not in desk.scene.project.connections
    assert desk.of(EditAck) == [EditAck(edit_id="e1", code="edit_refused")]


def test_an_edit_repeated_by_the_client_is_asked_for_once_and_acknowledged_again(
    desk: Desk,
) -> None:
    for _ in range(2):
        desk.send("connection:create", link(), editId="e1")
    desk.acknowledge(desk.asked[0], 1)
    desk.send("connection:create", link(), editId="e1")
    assert len(desk.asked) == 1
    assert desk.of(EditAck) == [EditAck(edit_id="e1", index=1)] * 2


def test_an_edit_that_does_not_fit_is_refused_without_asking(desk: Desk) -> None:
    desk.send("connection:create", link(targetDeviceId=A), seq=1, editId="e1")
    desk.send("device:drag", {"deviceId": "no such", "position": [1, 1, 0]}, seq=2, editId="e2")
    assert desk.asked == []
    assert [(a.edit_id, a.code) for a in desk.of(EditAck)] == [
        ("e1", "edit_refused"),
        ("e2", "edit_refused"),
    ]
    assert desk.acks.begin().seqs == (1, 2)


def test_the_worker_names_edits_that_the_client_did_not(desk: Desk) -> None:
    desk.send("connection:create", link())
    desk.send("device:drag", {"deviceId": A, "position": [1, 1, 0], "end": True})
    assert len({e.edit_id for e in desk.asked}) == 2
    assert [e.type for e in desk.asked] == ["connection:create", "device:drag"]


def test_a_drag_moves_at_once_and_is_asked_for_when_it_ends(desk: Desk) -> None:
    desk.send("device:drag", {"deviceId": A, "position": [1, 2, 0]}, seq=1)
    assert desk.scene.project.devices[A].position[:2] == (1, 2)
    assert desk.asked == []
    data = {"deviceId": A, "position": [3, 4, 0], "end": True}
    desk.send("device:drag", data, seq=2, editId="e1")
    assert [(e.edit_id, e.data["position"]) for e in desk.asked] == [("e1", [3, 4, 0])]


def test_a_drag_left_alone_is_asked_for_when_it_is_due_or_the_viewer_leaves(desk: Desk) -> None:
    desk.send("device:drag", {"deviceId": A, "position": [1, 2, 0]}, seq=1)
    due = desk.handler.next_drag_at
    assert due is not None
    desk.handler.drags_due(due)
    desk.send("device:drag", {"deviceId": B, "position": [5, 6, 0]}, seq=2)
    desk.handler.finish()
    assert [e.data["deviceId"] for e in desk.asked] == [A, B]


def test_anothers_edit_shows_beneath_ones_own_drag_until_the_log_decides(desk: Desk) -> None:
    desk.send("device:drag", {"deviceId": A, "position": [1, 1, 0], "end": True}, editId="mine")
    other = Edit(edit_id="x", type="device:drag", data={"deviceId": A, "position": [9, 9, 0]})
    desk.room.apply(LoggedEdit(index=2, edit=other))
    assert desk.scene.project.devices[A].position[:2] == (1, 1)
    desk.acknowledge(desk.asked[0], 1)
    assert desk.scene.project.devices[A].position[:2] == (9, 9)


def test_anothers_edit_is_told_as_state(desk: Desk) -> None:
    other = Edit(edit_id="x", type="device:drag", data={"deviceId": A, "position": [9, 9, 0]})
    desk.room.apply(LoggedEdit(index=1, edit=other))
    assert desk.of(State)[-1].state["project"] == desk.room.project.digest()
    assert desk.changes == 1


def test_ones_own_edit_is_told_as_state_once_it_is_in_the_log(desk: Desk) -> None:
    desk.send("device:drag", {"deviceId": A, "position": [9, 9, 0], "end": True})
    assert desk.of(State) == []
    desk.acknowledge(desk.asked[0], 1)
    desk.room.apply(LoggedEdit(index=1, edit=desk.asked[0]))
    assert [state.state["project"] for state in desk.of(State)] == [desk.room.project.digest()]


def test_edits_on_their_way_are_bounded(desk: Desk) -> None:
    for i in range(MAX_OUTSTANDING + 1):
        data = {"deviceId": A, "position": [i % 10, 0, 0], "end": True}
        desk.send("device:drag", data, editId=f"e{i}")
    assert len(desk.asked) == MAX_OUTSTANDING
    assert desk.of(EditAck) == [EditAck(edit_id=f"e{MAX_OUTSTANDING}", code="too_many")]


def test_ping_and_state_are_answered(desk: Desk) -> None:
    desk.handler.handle('{"type": "ping", "time": 12.5}')
    desk.handler.handle(b'{"type": "state:get"}')
    assert desk.of(Pong) == [Pong(time=12.5)]
    assert desk.of(State) == [State(revision=0, state=desk.scene.state())]


def test_an_edit_id_of_no_length_is_not_taken(desk: Desk) -> None:
    desk.send("connection:create", link(), editId="")
    desk.send("connection:create", link(), editId="x" * 500)
    assert desk.asked == []


@given(
    st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200),
        st.builds(
            lambda kind, data, seq: json.dumps({"type": kind, "data": data, "seq": seq}),
            st.sampled_from(["camera:orbit", "device:click", "device:drag", "connection:create"]),
            st.dictionaries(
                st.sampled_from(["deltaX", "deltaY", "deviceId", "position", "screenX", "type"]),
                st.one_of(st.none(), st.floats(), st.text(max_size=5), st.lists(st.integers())),
            ),
            st.one_of(st.none(), st.integers(), st.text(max_size=3)),
        ),
    )
)
def test_whatever_comes_is_counted_and_never_raises(raw: str | bytes) -> None:
    desk = Desk()
    desk.handler.handle(raw)
    assert desk.tally.malformed + desk.tally.inputs <= 1
