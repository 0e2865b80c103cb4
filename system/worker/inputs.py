"""Owns what a viewer's data channel messages do to its scene, and what is answered. No I/O."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from system.media.project import EditRefused, apply_edit
from system.protocol import codec
from system.protocol.channels import (
    CameraOrbit,
    CameraZoom,
    ClickData,
    ConnectionCreate,
    DeviceClick,
    DeviceDrag,
    DeviceSelected,
    EditAck,
    FrameRequest,
    Input,
    State,
    StateRequest,
)
from system.protocol.errors import ErrorCode, ProtocolError
from system.protocol.fields import Edit, LoggedEdit
from system.protocol.messages import EditAcknowledged, Message, Ping, Pong
from system.worker.acks import AckBook
from system.worker.drags import Drag, DragTracker
from system.worker.overlay import Overlay, drag_edit
from system.worker.room import Room, wire
from system.worker.tally import Tally
from system.worker.viewer_scene import ViewerScene

MAX_EDIT_ID_CHARS = 128


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the consequences of an input go.

    ``input_channel`` and ``edit_channel`` send to the viewer; ``ask`` sends an
    edit to signaling; ``changed`` wakes the frame loop; ``drag_waits`` says
    that a drag will fall due; ``describe`` has the next frame described.
    """

    input_channel: Callable[[Message], None]
    edit_channel: Callable[[Message], None]
    ask: Callable[[Edit], None]
    changed: Callable[[], None]
    drag_waits: Callable[[], None]
    describe: Callable[[FrameRequest], None]


class InputHandler:
    """Applies inputs to the scene at once and notes them for acknowledgement.

    A malformed message is counted and ignored: on a channel without
    retransmission nobody waits for an answer, and no session ends of it.
    """

    def __init__(
        self,
        *,
        scene: ViewerScene,
        room: Room,
        acks: AckBook,
        size: tuple[int, int],
        user_id: str,
        tally: Tally,
        outlets: Outlets,
    ) -> None:
        self._scene = scene
        self._room = room
        self._acks = acks
        self._size = size
        self._user_id = user_id
        self._tally = tally
        self._out = outlets
        self._drags = DragTracker()
        self._overlay = Overlay()
        self._told_project = scene.project

    @property
    def outstanding(self) -> tuple[Edit, ...]:
        """Edits that signaling has not answered."""
        return self._overlay.outstanding

    @property
    def next_drag_at(self) -> float | None:
        """When a live drag becomes an edit, in monotonic seconds."""
        return self._drags.next_at()

    def handle(self, raw: str | bytes) -> None:
        """One message of either channel."""
        try:
            message = codec.from_client_channel.decode(raw)
        except ProtocolError:
            self._tally.malformed += 1
            return
        if isinstance(message, Ping):
            self._out.input_channel(Pong(time=message.time))
        elif isinstance(message, StateRequest):
            self._out.input_channel(self.state())
        elif isinstance(message, FrameRequest):
            self._out.describe(message)
        elif isinstance(message, Input):
            self._tally.inputs += 1
            try:
                self._apply(message)
            except EditRefused:
                self._tally.refused += 1
            self._acks.applied(message.seq)
            self._out.changed()

    def state(self) -> State:
        return State(revision=self._scene.revision, state=self._scene.state())

    def log_changed(self) -> None:
        """The project's log moved on: show it, with what is this viewer's own on top."""
        before = self._scene.revision
        self._show()
        if self._scene.revision != before:
            self._out.changed()
        if self._scene.project is not self._told_project:
            self._told_project = self._scene.project
            self._out.edit_channel(self.state())

    def acknowledged(self, message: EditAcknowledged) -> None:
        """Signaling's answer to an edit of this session."""
        edit = self._overlay.settle(message.edit_id)
        if edit is not None and message.code is None:
            self._room.apply(LoggedEdit(index=message.index, edit=edit))
        self.log_changed()
        code = None if message.code is None else message.code.value
        self._out.edit_channel(EditAck(edit_id=message.edit_id, index=message.index, code=code))

    def drags_due(self, now_s: float) -> None:
        """Make edits of the drags that have been quiet long enough."""
        for drag in self._drags.due(now_s):
            self._commit(drag)

    def finish(self) -> None:
        """The viewer is gone, or begins anew: its drags are over where they are."""
        for drag in self._drags.finish():
            self._commit(drag)

    def _apply(self, message: Input) -> None:
        if isinstance(message, CameraOrbit):
            self._scene.orbit(message.data.delta_x, message.data.delta_y)
        elif isinstance(message, CameraZoom):
            self._scene.zoom(message.data.delta)
        elif isinstance(message, DeviceClick):
            self._click(message)
        elif isinstance(message, DeviceDrag):
            self._drag(message)
        elif isinstance(message, ConnectionCreate):
            self._connect(message)

    def _click(self, message: DeviceClick) -> None:
        before = self._scene.revision
        found = self._select(message.data)
        self._out.input_channel(DeviceSelected(device_id=found, seq=message.seq))
        if self._scene.revision != before:
            self._out.input_channel(self.state())

    def _select(self, data: ClickData) -> str | None:
        """The device named, or else the one drawn there in a view of the client's size."""
        if data.device_id:
            if data.device_id not in self._scene.project.devices:
                return None
            self._scene.select(data.device_id)
            return data.device_id
        width, height = self._size
        view_width = width if data.width is None else data.width
        view_height = height if data.height is None else data.height
        if view_width <= 0 or view_height <= 0:
            return None
        x, y = data.screen_x * width / view_width, data.screen_y * height / view_height
        return self._scene.click(x, y, width, height)

    def _drag(self, message: DeviceDrag) -> None:
        data = message.data
        if self._settled(message.edit_id):
            return
        drag = Drag(data.device_id, data.position, message.edit_id)
        try:
            apply_edit(self._scene.project, wire(drag_edit(drag, "probe")))
        except EditRefused:
            self._refuse(message.edit_id)
            raise
        moved = self._drags.moved(drag, time.monotonic(), seq=message.seq, end=data.end)
        if moved.final is not None:
            self._commit(moved.final)
        if moved.shown:
            self._show()
            self._out.drag_waits()

    def _connect(self, message: ConnectionCreate) -> None:
        if self._settled(message.edit_id):
            return
        edit = Edit(
            edit_id=message.edit_id or _new_edit_id(),
            type="connection:create",
            data=msgspec.to_builtins(message.data),
            user_id=self._user_id,
        )
        try:
            apply_edit(self._scene.project, wire(edit))
        except EditRefused:
            self._refuse(message.edit_id)
            raise
        self._ask(edit)
        self._show()

    def _settled(self, edit_id: str | None) -> bool:
        """Whether a client's edit needs no further step: it repeats itself, or is no edit id."""
        if edit_id is None:
            return False
        if not 1 <= len(edit_id) <= MAX_EDIT_ID_CHARS:
            self._tally.refused += 1
            return True
        index = self._room.index_of(edit_id)
        if index is not None:
            self._out.edit_channel(EditAck(edit_id=edit_id, index=index))
        return index is not None or edit_id in self._overlay

    def _commit(self, drag: Drag) -> None:
        self._ask(drag_edit(drag, drag.edit_id or _new_edit_id(), self._user_id))

    def _ask(self, edit: Edit) -> None:
        if self._overlay.full:
            self._refuse(edit.edit_id, ErrorCode.TOO_MANY)
            return
        self._tally.edits += 1
        self._overlay.add(edit)
        self._out.ask(edit)

    def _refuse(self, edit_id: str | None, code: ErrorCode = ErrorCode.EDIT_REFUSED) -> None:
        if edit_id is not None:
            self._out.edit_channel(EditAck(edit_id=edit_id, code=code.value))

    def _show(self) -> None:
        self._scene.show(self._overlay.over(self._room.project, self._drags.live))


def _new_edit_id() -> str:
    """For clients that make none."""
    return f"w-{uuid.uuid4().hex}"
