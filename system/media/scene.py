"""Owns what one viewer sees: project, orbit camera and selection. It draws nothing.

Inputs arrive on one thread while another renders, so the whole state is one immutable
`SceneView`, replaced in a single assignment; a renderer reads `Scene.view` once per frame.
A malformed or unknown input raises `EditRefused` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from system.media import picking
from system.media.camera import Camera
from system.media.project import (
    Project,
    apply_edit,
    connect,
    find_device,
    move,
    read_number,
)

__all__ = ["Camera", "Scene", "SceneView"]


@dataclass(frozen=True)
class SceneView:
    """One moment of a scene. `revision` grows with every visible change, by one."""

    project: Project
    camera: Camera
    selection: str | None
    revision: int


class Scene:
    """The mutable handle on a `SceneView`; every method is one small step."""

    def __init__(
        self, project: Project, *, camera: Camera | None = None, selection: str | None = None
    ) -> None:
        self._view = SceneView(project, camera or Camera(), None, 0)
        if selection is not None:
            self._view = replace(self._view, selection=find_device(project, selection).id)

    @property
    def view(self) -> SceneView:
        return self._view

    @property
    def project(self) -> Project:
        return self._view.project

    @property
    def camera(self) -> Camera:
        return self._view.camera

    @property
    def selection(self) -> str | None:
        return self._view.selection

    @property
    def revision(self) -> int:
        return self._view.revision

    def state(self) -> dict[str, Any]:
        """What a client may show: camera, selected device, the devices' ids, the project's
        digest, the revision."""
        view = self._view
        device = None
        if view.selection is not None:
            chosen = view.project.devices[view.selection]
            device = {"id": chosen.id, "kind": chosen.kind, "position": list(chosen.position)}
        return {
            "camera": {**asdict(view.camera), "target": list(view.camera.target)},
            "selection": view.selection,
            "device": device,
            "devices": list(view.project.devices),
            "project": view.project.digest(),
            "revision": view.revision,
        }

    def orbit(self, delta_x: float, delta_y: float) -> None:
        """Turn by a pointer movement in pixels."""
        x, y = read_number(delta_x, "deltaX"), read_number(delta_y, "deltaY")
        self._change(camera=self.camera.orbited(x, y))

    def zoom(self, delta: float) -> None:
        """Come nearer by `delta` wheel steps; negative goes away."""
        self._change(camera=self.camera.zoomed(read_number(delta, "delta")))

    def select(self, device_id: str | None) -> None:
        """Highlight one device, or none."""
        self._change(
            selection=None if device_id is None else find_device(self.project, device_id).id
        )

    def click(self, x: float, y: float, width: int, height: int) -> str | None:
        """Select what is drawn at a pixel of a picture of this size; its id, None on the floor."""
        if width <= 0 or height <= 0:
            return None
        x, y = read_number(x, "screenX"), read_number(y, "screenY")
        found = picking.pick(self.project, self.camera, x, y, width, height)
        self._change(selection=found)
        return found

    def drag(self, device_id: str, position: tuple[float, float, float]) -> None:
        """Move a device in the floor plane, clamped to the floor; its height is kept."""
        self._change(project=move(self.project, device_id, position))

    def connect(
        self,
        source: str,
        target: str,
        type: str,  # noqa: A002 - the wire's name
        connection_id: str,
    ) -> None:
        self._change(project=connect(self.project, source, target, type, connection_id))

    def apply(self, edit: Mapping[str, Any]) -> None:
        """Apply one wire edit (`project.apply_edit`), as another session's edits arrive."""
        self._change(project=apply_edit(self.project, edit))

    def _change(self, **fields: Any) -> None:
        changed = replace(self._view, **fields)
        if changed != self._view:
            self._view = replace(changed, revision=self._view.revision + 1)
