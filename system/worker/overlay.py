"""Owns what one viewer sees beyond the log: its own edits on their way, and live drags. Pure."""

from __future__ import annotations

from typing import Final

from system.media.project import EditRefused, Project, apply_edit
from system.protocol.fields import Edit
from system.worker.drags import Drag
from system.worker.room import wire

MAX_OUTSTANDING: Final = 256


class Overlay:
    """Edits asked for and not yet acknowledged, in the order they were made.

    They are shown at once. When one is acknowledged it comes back as part of
    the log; when it is refused it disappears from the picture.
    """

    def __init__(self) -> None:
        self._outstanding: dict[str, Edit] = {}

    @property
    def outstanding(self) -> tuple[Edit, ...]:
        return tuple(self._outstanding.values())

    @property
    def full(self) -> bool:
        return len(self._outstanding) >= MAX_OUTSTANDING

    def __contains__(self, edit_id: object) -> bool:
        return edit_id in self._outstanding

    def add(self, edit: Edit) -> None:
        self._outstanding[edit.edit_id] = edit

    def settle(self, edit_id: str) -> Edit | None:
        """The edit was acknowledged or refused; it is no longer this overlay's."""
        return self._outstanding.pop(edit_id, None)

    def over(self, project: Project, live: tuple[Drag, ...]) -> Project:
        """The project with the outstanding edits, then the live drags, on top."""
        for edit in self._outstanding.values():
            project = applied(project, edit)
        for drag in live:
            project = applied(project, drag_edit(drag, "live"))
        return project


def applied(project: Project, edit: Edit) -> Project:
    """The project after the edit, or unchanged where the edit no longer fits it."""
    try:
        return apply_edit(project, wire(edit))
    except EditRefused:
        return project


def drag_edit(drag: Drag, edit_id: str, user_id: str = "") -> Edit:
    """The edit that puts a device where the drag left it."""
    data = {"deviceId": drag.device_id, "position": list(drag.position)}
    return Edit(edit_id=edit_id, type="device:drag", data=data, user_id=user_id)
