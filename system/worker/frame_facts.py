"""Owns telling a viewer that asks what a frame was rendered from. No I/O.

Who measures a picture needs the scene of exactly that frame. Inputs are no way there: they may be
lost, and others edit the project, too.
"""

from __future__ import annotations

from typing import Final

from system.media.project import Project
from system.media.project_changes import changes
from system.media.scene import Scene
from system.protocol.channels import CameraView, FrameRequest, FrameShown, ProjectRows
from system.protocol.limits import MAX_MESSAGE_BYTES

MAX_ROWS_BYTES: Final = MAX_MESSAGE_BYTES - 8 * 1024
"""Leaves room for the message around the rows."""


class FrameFacts:
    """Answers a request with the next frame that is sent; of several, the newest.

    It sends a project once and then what changed, which is little.
    """

    def __init__(self, renderer: str, width: int, height: int) -> None:
        self._renderer = renderer
        self._width = width
        self._height = height
        self._asked: FrameRequest | None = None
        self._told = Project()

    def ask(self, request: FrameRequest) -> None:
        self._asked = request

    def answer(self, frame_id: int, scene: Scene, *, block_code: bool) -> FrameShown | None:
        """What to say of a frame that was just sent; None where nobody asked."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        view = scene.view
        camera = view.camera
        return FrameShown(
            request=asked.request,
            frame_id=frame_id,
            width=self._width,
            height=self._height,
            renderer=self._renderer,
            camera=CameraView(
                azimuth=camera.azimuth,
                elevation=camera.elevation,
                distance=camera.distance,
                target=camera.target,
                fov=camera.fov,
            ),
            selection=view.selection,
            project=view.project.digest(),
            changes=self._changes(asked.project, view.project),
            block_code=block_code,
        )

    def _changes(self, known: str, project: Project) -> ProjectRows | None:
        if known == project.digest():
            self._told = project
            return None
        before = self._told if known == self._told.digest() else Project()
        found = changes(before, project, MAX_ROWS_BYTES)
        self._told = found.after
        return ProjectRows(
            fresh=found.fresh,
            name=project.name,
            devices=found.devices,
            connections=found.connections,
        )
