"""Owns the last resort: a painter's algorithm over OpenCV, for hosts where no rasteriser loads.

Solids are sorted by the distance of their middle and painted far to near, visible faces only.
Solids that interlock may therefore be painted in the wrong order; nothing else is approximate.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from system.media.camera import Camera, Vector
from system.media.project import FLOOR_HALF_X_M, FLOOR_HALF_Y_M, Project, Triple
from system.media.renderers.base import Picture, Renderer
from system.media.scene import Scene, SceneView
from system.media.shapes import (
    BACKGROUND,
    FLOOR,
    GRID,
    HIGHLIGHT,
    Solid,
    connection_solids,
    grid_lines,
    placed_solids,
    shaded,
)

_NEAR_M = 0.1
_SHIFT = 4  # OpenCV's fixed-point: sixteenths of a pixel
_FAR_PX = 1e6
_UP = np.array([[0.0, 0.0, 1.0]])

Color = tuple[float, float, float, float]


class PainterRenderer(Renderer):
    """Draws with `cv2.fillConvexPoly`; needs nothing but wheels."""

    name = "painter"

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._picture: Picture | None = np.empty((height, width, 4), dtype=np.uint8)
        self._background = np.round(_bgra(BACKGROUND)).astype(np.uint8)
        self._batch = _Batch(None)
        self._holds: tuple[Project, str | None] | None = None

    def render(self, scene: Scene) -> Picture:
        picture = self._picture
        if picture is None:
            raise RuntimeError("the renderer is closed")
        view = scene.view
        if (view.project, view.selection) != self._holds:
            self._batch, self._holds = _Batch(view), (view.project, view.selection)
        picture[:] = self._background
        self._paint_floor(picture, view.camera)
        self._paint(picture, view.camera, self._batch)
        return picture

    def close(self) -> None:
        self._picture = None

    def _paint_floor(self, picture: Picture, camera: Camera) -> None:
        x, y = FLOOR_HALF_X_M, FLOOR_HALF_Y_M
        corners = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]], dtype=np.float64)
        color = _bgra(_triple(shaded(FLOOR, _UP)[0]))
        self._fill(picture, camera, camera.to_camera(corners), color)
        line = _bgra(GRID)
        for ends in grid_lines():
            seen = _clip_near(camera.to_camera(ends))
            if len(seen) >= 2:
                points = self._pixels(camera, seen)
                a, b = points[0].tolist(), points[1].tolist()
                cv2.line(picture, a, b, line, 1, cv2.LINE_8, _SHIFT)

    def _paint(self, picture: Picture, camera: Camera, batch: _Batch) -> None:
        eye = camera.eye
        seen = camera.to_camera(batch.vertices)
        before = seen[:, 2] >= _NEAR_M
        pixels = self._pixels(camera, np.where(before[:, None], seen, 1.0))
        visible = batch.normals @ eye > batch.offsets
        far_first = np.argsort(-np.linalg.norm(batch.middles - eye, axis=1), kind="stable")
        for index in far_first.tolist():
            first, last = batch.faces_of[index]
            for face in range(first, last):
                if visible[face]:
                    corners, color = batch.corners[face], batch.colors[face]
                    if before[corners].all():
                        cv2.fillConvexPoly(picture, pixels[corners], color, cv2.LINE_8, _SHIFT)
                    else:
                        self._fill(picture, camera, seen[corners], color)

    def _fill(self, picture: Picture, camera: Camera, seen: Vector, color: Color) -> None:
        clipped = _clip_near(seen)
        if len(clipped) >= 3:
            cv2.fillConvexPoly(picture, self._pixels(camera, clipped), color, cv2.LINE_8, _SHIFT)

    def _pixels(self, camera: Camera, seen: Vector) -> npt.NDArray[np.int32]:
        flat = seen[:, :2] * (camera.focal_px(self.height) / seen[:, 2:3])
        # OpenCV's pixel centres are whole numbers, ours halves.
        flat += (self.width / 2 - 0.5, self.height / 2 - 0.5)
        return np.round(np.clip(flat, -_FAR_PX, _FAR_PX) * (1 << _SHIFT)).astype(np.int32)


class _Batch:
    """All solids of a view in a few arrays, so that one frame is few numpy calls."""

    def __init__(self, view: SceneView | None) -> None:
        solids = [] if view is None else _solids(view)
        self.corners: list[npt.NDArray[np.intp]] = []
        self.colors: list[Color] = []
        self.faces_of: list[tuple[int, int]] = []
        vertices, normals, offsets, middles = ([np.empty((0, 3))] for _ in range(4))
        used = 0
        for solid, color in solids:
            first = len(self.corners)
            self.corners += [np.array(face) + used for face in solid.faces]
            self.colors += [_bgra(_triple(row)) for row in shaded(color, solid.normals)]
            self.faces_of.append((first, len(self.corners)))
            used += len(solid.vertices)
            vertices.append(solid.vertices)
            normals.append(solid.normals)
            offsets.append(solid.offsets)
            middles.append(solid.vertices.mean(axis=0, keepdims=True))
        self.vertices, self.normals = np.concatenate(vertices), np.concatenate(normals)
        self.middles = np.concatenate(middles)
        self.offsets = np.concatenate([np.ravel(part) for part in offsets])


def _solids(view: SceneView) -> list[tuple[Solid, Triple]]:
    devices = view.project.devices
    found = [
        (solid, HIGHLIGHT if device.id == view.selection else solid.color)
        for device in (devices[key] for key in sorted(devices))
        for solid in placed_solids(device)
    ]
    for _, link in sorted(view.project.connections.items()):
        pieces = connection_solids(link, devices[link.source], devices[link.target])
        found += [(solid, solid.color) for solid in pieces]
    return found


def _clip_near(seen: Vector) -> Vector:
    """The part of a polygon (or of a line) in camera space that lies before the near plane."""
    depth = seen[:, 2]
    if (depth >= _NEAR_M).all():
        return seen
    kept: list[Vector] = []
    for i in range(len(seen)):
        j = (i + 1) % len(seen)
        if depth[i] >= _NEAR_M:
            kept.append(seen[i])
        if (depth[i] >= _NEAR_M) != (depth[j] >= _NEAR_M) and not (len(seen) == 2 and i == 1):
            share = (_NEAR_M - depth[i]) / (depth[j] - depth[i])
            kept.append(seen[i] + (seen[j] - seen[i]) * share)
    return np.array(kept).reshape(-1, 3)


def _triple(row: Vector) -> Triple:
    return float(row[0]), float(row[1]), float(row[2])


def _bgra(color: Triple) -> Color:
    red, green, blue = color
    return blue * 255.0, green * 255.0, red * 255.0, 255.0
