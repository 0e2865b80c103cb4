"""Owns the orbit camera: its limits, and the way between floor metres and picture pixels.

Pixels are continuous, origin at the top left corner of the picture, x right, y down: the middle
of a 1280 x 720 picture is (640.0, 360.0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DEGREES_PER_PIXEL = 0.3
ZOOM_PER_STEP = 0.9
MIN_ELEVATION_DEG, MAX_ELEVATION_DEG = 5.0, 85.0
MIN_DISTANCE_M, MAX_DISTANCE_M = 4.0, 60.0
_MAX_STEPS = 100.0


@dataclass(frozen=True)
class Camera:
    """Looks at `target` from `distance` metres; angles in degrees, `fov` vertical."""

    azimuth: float = -62.0
    elevation: float = 38.0
    distance: float = 28.0
    target: tuple[float, float, float] = (0.0, 0.0, 0.4)
    fov: float = 38.0

    def orbited(self, delta_x: float, delta_y: float) -> Camera:
        """After a pointer drag by so many pixels: the floor follows the pointer."""
        azimuth = (self.azimuth - delta_x * DEGREES_PER_PIXEL + 180.0) % 360.0 - 180.0
        elevation = self.elevation + delta_y * DEGREES_PER_PIXEL
        return replace(
            self,
            azimuth=azimuth,
            elevation=min(max(elevation, MIN_ELEVATION_DEG), MAX_ELEVATION_DEG),
        )

    def zoomed(self, delta: float) -> Camera:
        """After so many wheel steps; positive comes nearer."""
        steps = min(max(delta, -_MAX_STEPS), _MAX_STEPS)
        distance = self.distance * ZOOM_PER_STEP**steps
        return replace(self, distance=min(max(distance, MIN_DISTANCE_M), MAX_DISTANCE_M))

    @cached_property
    def eye(self) -> Vector:
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        level = math.cos(elevation) * self.distance
        offset = (
            math.cos(azimuth) * level,
            math.sin(azimuth) * level,
            math.sin(elevation) * self.distance,
        )
        return np.asarray(self.target, dtype=np.float64) + offset

    @cached_property
    def axes(self) -> Vector:
        """Rows right, down, forward: world to camera as `axes @ (point - eye)`."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        forward = np.array(
            [
                -math.cos(azimuth) * math.cos(elevation),
                -math.sin(azimuth) * math.cos(elevation),
                -math.sin(elevation),
            ]
        )
        right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def focal_px(self, height: int) -> float:
        return height / 2 / math.tan(math.radians(self.fov) / 2)

    def to_camera(self, points: Vector) -> Vector:
        """(n, 3) world points as right, down, forward metres from the eye."""
        return np.asarray((points - self.eye) @ self.axes.T)

    def project_point(
        self, point: tuple[float, float, float], width: int, height: int
    ) -> tuple[float, float] | None:
        """The pixel of a world point, None behind the eye; it may lie outside the picture."""
        right, down, forward = self.to_camera(np.asarray([point], dtype=np.float64))[0]
        if forward <= 1e-6:
            return None
        scale = self.focal_px(height) / forward
        return float(width / 2 + right * scale), float(height / 2 + down * scale)

    def ray(self, x: float, y: float, width: int, height: int) -> Vector:
        """Unit direction from the eye through a pixel."""
        focal = self.focal_px(height)
        direction = np.array([x - width / 2, y - height / 2, focal]) @ self.axes
        return np.asarray(direction / np.linalg.norm(direction))
