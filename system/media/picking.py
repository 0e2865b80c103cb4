"""Owns the way from a pixel back to the floor: which device a ray meets first, and where."""

from __future__ import annotations

import numpy as np

from system.media.camera import Camera, Vector
from system.media.project import Device, Project, Triple
from system.media.shapes import Solid, placed_solids


def pick(
    project: Project, camera: Camera, x: float, y: float, width: int, height: int
) -> str | None:
    """The id of the device drawn at a pixel, or None. Connections do not catch the ray."""
    eye, ray = camera.eye, camera.ray(x, y, width, height)
    nearest, found = np.inf, None
    for device in project.devices.values():
        if not _may_hit(device, eye, ray):
            continue
        for solid in placed_solids(device):
            distance = _hit(solid, eye, ray)
            if distance is not None and distance < nearest:
                nearest, found = distance, device.id
    return found


def floor_point(camera: Camera, x: float, y: float, w: int, h: int) -> Triple | None:
    """Where the ray through a pixel meets the floor (z = 0); None at or above the horizon."""
    ray = camera.ray(x, y, w, h)
    if ray[2] > -1e-6:
        return None
    point = camera.eye - ray * (camera.eye[2] / ray[2])
    return float(point[0]), float(point[1]), 0.0


def _may_hit(device: Device, eye: Vector, ray: Vector) -> bool:
    """False only where the ray misses a sphere around the device."""
    x, y, z = device.position
    sx, sy, sz = device.size
    radius = 0.75 * (sx + sy + sz)
    to_centre = np.array([x, y, z + sz / 2]) - eye
    along = float(to_centre @ ray)
    return along > -radius and float(to_centre @ to_centre) - along * along < radius * radius


def _hit(solid: Solid, eye: Vector, ray: Vector) -> float | None:
    """Distance at which the ray enters a convex solid: the slab test over its face planes."""
    normals = solid.normals
    towards = normals @ ray
    room = solid.offsets - normals @ eye
    parallel = np.abs(towards) < 1e-12
    if np.any(parallel & (room < 0)):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        cuts = room / towards
    enter = float(np.max(cuts, initial=0.0, where=(towards < 0) & ~parallel))
    leave = float(np.min(cuts, initial=np.inf, where=(towards > 0) & ~parallel))
    return enter if enter <= leave else None
