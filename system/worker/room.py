"""Owns a project as its log says, once per worker, for all sessions that show it. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from system.media.project import EditRefused, Project, ProjectError, apply_edit
from system.protocol.fields import Edit, LoggedEdit, ProjectState
from system.telemetry import logs

_log = logs.get(__name__)

MAX_AHEAD: Final = 256
"""Edits kept beyond a missing one before it is given up."""

Listener = Callable[[], None]


def wire(edit: Edit) -> dict[str, Any]:
    """The mapping that ``system.media.project.apply_edit`` takes."""
    return {"type": edit.type, "editId": edit.edit_id, "data": edit.data}


class Room:
    """Snapshot plus log. Edits may come late, twice or out of order; the log's order decides.

    What is known without a gap is ``settled``; edits beyond a gap are shown as
    well, and put in their place when the missing one arrives.
    """

    def __init__(self, state: ProjectState) -> None:
        self.project_id = state.project_id
        self._settled = _snapshot(state)
        self._index = state.snapshot_index
        self._ahead: dict[int, Edit] = {}
        self._indices: dict[str, int] = {}
        self._listeners: list[Listener] = []
        self.project = self._settled
        self.refused = 0
        self._enter_log(state)

    @property
    def index(self) -> int:
        """Every edit up to this place in the log is in the project."""
        return self._index

    @property
    def empty(self) -> bool:
        return not self._listeners

    def join(self, listener: Listener) -> None:
        """Call ``listener`` after every change of ``project``."""
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def index_of(self, edit_id: str) -> int | None:
        """The place in the log of an edit that is in it, as far as this worker knows."""
        return self._indices.get(edit_id)

    def merge(self, state: ProjectState) -> None:
        """A later assignment of the same project may know more than this worker."""
        if state.snapshot_index > self._index:
            self._settled, self._index = _snapshot(state), state.snapshot_index
            self._ahead = {i: e for i, e in self._ahead.items() if i > self._index}
        self._enter_log(state)
        self._tell()

    def apply(self, logged: LoggedEdit) -> bool:
        """Put an edit in its place; False if it was there already."""
        if not self._enter(logged):
            return False
        self._show()
        self._tell()
        return True

    def _enter_log(self, state: ProjectState) -> None:
        for logged in sorted(state.log, key=lambda entry: entry.index):
            self._enter(logged)
        self._show()

    def _enter(self, logged: LoggedEdit) -> bool:
        if logged.index <= self._index or logged.index in self._ahead:
            return False
        self._indices[logged.edit.edit_id] = logged.index
        self._ahead[logged.index] = logged.edit
        if len(self._ahead) > MAX_AHEAD:
            _log.warning("edits.gap", project=self.project_id, after=self._index)
            self._index = min(self._ahead) - 1
        while (edit := self._ahead.pop(self._index + 1, None)) is not None:
            self._settled = self._applied(self._settled, edit)
            self._index += 1
        return True

    def _show(self) -> None:
        project = self._settled
        for index in sorted(self._ahead):
            project = self._applied(project, self._ahead[index])
        self.project = project

    def _applied(self, project: Project, edit: Edit) -> Project:
        try:
            return apply_edit(project, wire(edit))
        except EditRefused:
            self.refused += 1
            return project

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


class Rooms:
    """The rooms in use; one exists as long as a session shows its project."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def enter(self, state: ProjectState, listener: Listener) -> Room:
        """The project's room, with ``listener`` in it; raises ProjectError for a bad snapshot."""
        room = self._rooms.get(state.project_id)
        if room is None:
            room = self._rooms[state.project_id] = Room(state)
        else:
            room.merge(state)
        room.join(listener)
        return room

    def leave(self, room: Room, listener: Listener) -> None:
        room.leave(listener)
        if room.empty:
            self._rooms.pop(room.project_id, None)

    def indices(self) -> dict[str, int]:
        """How far each project shown here is known, by project id."""
        return {project_id: room.index for project_id, room in self._rooms.items()}

    def get(self, project_id: str) -> Room | None:
        return self._rooms.get(project_id)


def _snapshot(state: ProjectState) -> Project:
    if state.snapshot is None:
        return Project.default(state.project_id)
    try:
        return Project.from_json(json.dumps(state.snapshot))
    except ValueError as error:
        raise ProjectError(f"snapshot of {state.project_id!r}: {error}") from None
