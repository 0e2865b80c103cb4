"""Owns the scene of one viewer as the worker uses it: stills to render, projects to swap in."""

from __future__ import annotations

from system.media.project import Project
from system.media.scene import Scene


class ViewerScene(Scene):
    """A Scene whose project follows a log, and whose pictures are taken of a moment."""

    def show(self, project: Project) -> None:
        """Show another state of the project; the selection ends where its device is gone."""
        selection = self.selection if self.selection in project.devices else None
        self._change(project=project, selection=selection)

    def still(self) -> Scene:
        """This moment as a scene of its own: inputs applied from now on are not in it.

        A renderer reads a scene when its thread gets to it; which inputs a
        frame shows must be known when the frame begins.
        """
        return Scene(self.project, camera=self.camera, selection=self.selection)
