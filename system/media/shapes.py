"""Owns what things look like: every device and connection as convex solids, plus the light.

Renderers draw these solids and picking intersects a ray with them, so that a click hits what
was drawn. Nothing here depends on a renderer.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from system.media.project import FLOOR_HALF_X_M, FLOOR_HALF_Y_M, Connection, Device, Triple

Vector = npt.NDArray[np.float64]

BACKGROUND: Triple = (0.10, 0.12, 0.15)
FLOOR: Triple = (0.36, 0.38, 0.41)
GRID: Triple = (0.27, 0.29, 0.32)
GRID_PITCH_M = 2.0
HIGHLIGHT: Triple = (1.0, 0.88, 0.15)
AMBIENT = 0.42
SUN = 0.58
_SUN_TOWARDS = np.array([0.42, -0.52, 0.74])
SUN_TOWARDS: Vector = _SUN_TOWARDS / np.linalg.norm(_SUN_TOWARDS)

_SIDES = 12
# type: colour, width, height, z of the middle (metres)
_LINKS: dict[str, tuple[Triple, float, float, float]] = {
    "conveyor": ((0.22, 0.24, 0.27), 0.50, 0.10, 0.45),
    "pipe": ((0.55, 0.68, 0.72), 0.16, 0.16, 0.90),
    "power": ((0.85, 0.20, 0.18), 0.08, 0.08, 1.30),
    "data": ((0.20, 0.60, 0.90), 0.08, 0.08, 1.15),
}
_PLAIN_LINK = ((0.80, 0.80, 0.80), 0.08, 0.08, 1.0)
_LINK_PIECE_M = 1.5


@dataclass(frozen=True, eq=False)
class Solid:
    """A convex solid: faces are vertex indices, counter-clockwise seen from outside."""

    vertices: Vector
    faces: tuple[tuple[int, ...], ...]
    color: Triple

    @cached_property
    def normals(self) -> Vector:
        """(faces, 3) unit outward normals."""
        corners = np.array([face[:3] for face in self.faces])
        a, b, c = (self.vertices[corners[:, i]] for i in range(3))
        normals = np.cross(b - a, c - a)
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))

    @cached_property
    def offsets(self) -> Vector:
        """(faces,) so that a point p is inside where `normals @ p <= offsets`."""
        first = self.vertices[[face[0] for face in self.faces]]
        return np.asarray(np.sum(self.normals * first, axis=1))


def shaded(color: Triple, normals: Vector) -> Vector:
    """(faces, 3) colours under the one light; what the GPU's fixed function computes."""
    light = AMBIENT + SUN * np.clip(normals @ SUN_TOWARDS, 0.0, None)
    return np.asarray(np.clip(light[:, None] * np.asarray(color), 0.0, 1.0))


@lru_cache(maxsize=1024)
def device_solids(kind: str, size: Triple, color: Triple) -> tuple[Solid, ...]:
    """The device standing at the origin, unrotated."""
    x, y, z = size
    dark = _tint(color, 0.6)
    steel: Triple = (0.55, 0.57, 0.60)
    match kind:
        case "cylinder":
            return (
                _prism(x / 2, x / 2, z * 0.92, 0.0, color),
                _prism(x / 3, x / 3, z, z * 0.92, dark),
            )
        case "tank":
            return (
                _prism(x * 0.42, x * 0.42, z * 0.12, 0.0, dark),
                _prism(x / 2, x / 2, z * 0.8, z * 0.12, color),
                _prism(x / 2, x / 6, z, z * 0.8, _tint(color, 0.85)),
            )
        case "robot":
            arm = z * 0.11
            return (
                _prism(x * 0.45, x * 0.36, z * 0.16, 0.0, dark),
                _prism(x * 0.24, x * 0.20, z * 0.42, z * 0.16, color),
                _beam((0.0, 0.0, z * 0.40), (-x * 0.22, 0.0, z * 0.94), arm, color),
                _beam((-x * 0.24, 0.0, z * 0.90), (x * 0.55, 0.0, z * 0.76), arm * 0.8, color),
                _beam((x * 0.52, 0.0, z * 0.80), (x * 0.52, 0.0, z * 0.52), arm * 0.6, dark),
            )
        case "conveyor":
            legs = tuple(
                _box((0.1, y * 0.9, z * 0.86), (sx * x * 0.42, 0.0, z * 0.43), steel)
                for sx in (-1.0, 1.0)
            )
            rails = tuple(
                _box((x, y * 0.08, z * 0.18), (0.0, sy * y * 0.46, z * 0.91), steel)
                for sy in (-1.0, 1.0)
            )
            return (*legs, _box((x, y * 0.84, z * 0.1), (0.0, 0.0, z * 0.91), color), *rails)
        case "press":
            return (
                _box((x, y, z * 0.3), (0.0, 0.0, z * 0.15), color),
                _box((x * 0.16, y * 0.8, z * 0.5), (-x * 0.4, 0.0, z * 0.55), steel),
                _box((x * 0.16, y * 0.8, z * 0.5), (x * 0.4, 0.0, z * 0.55), steel),
                _box((x * 0.45, y * 0.5, z * 0.3), (0.0, 0.0, z * 0.6), dark),
                _box((x, y * 0.9, z * 0.2), (0.0, 0.0, z * 0.9), color),
            )
        case "rack":
            posts = tuple(
                _box((0.08, y, z), (sx * (x / 2 - 0.04), 0.0, z / 2), steel) for sx in (-1.0, 1.0)
            )
            shelves = tuple(
                _box((x * 0.86, y * 0.9, z * 0.16), (0.0, 0.0, z * level), color)
                for level in (0.18, 0.5, 0.84)
            )
            return (*posts, *shelves)
        case _:
            return (
                _box((x, y, z * 0.8), (0.0, 0.0, z * 0.4), color),
                _box((x * 0.6, y * 0.6, z * 0.2), (0.0, 0.0, z * 0.9), dark),
            )


@lru_cache(maxsize=4096)
def placed_solids(device: Device) -> tuple[Solid, ...]:
    """The device's solids where it stands."""
    yaw = math.radians(device.rotation)
    cos, sin = math.cos(yaw), math.sin(yaw)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return tuple(
        Solid(solid.vertices @ turn + np.asarray(device.position), solid.faces, solid.color)
        for solid in device_solids(device.kind, device.size, device.color)
    )


@lru_cache(maxsize=4096)
def connection_solids(connection: Connection, source: Device, target: Device) -> tuple[Solid, ...]:
    """A straight link at its type's height, in short pieces for renderers that sort by depth.

    It runs between the devices' outlines; devices that overlap hide it altogether.
    """
    color, width, height, z = _LINKS.get(connection.type, _PLAIN_LINK)
    start = np.array([source.position[0], source.position[1], z])
    end = np.array([target.position[0], target.position[1], z])
    length = float(np.linalg.norm(end - start))
    if length < 1e-3:
        return ()
    along = (end - start) / length
    leave, arrive = _reach(source, along), _reach(target, along)
    start, end, length = start + along * leave, end - along * arrive, length - leave - arrive
    if length < 1e-3:
        return ()
    count = max(1, math.ceil(length / _LINK_PIECE_M))
    stops = [start + (end - start) * i / count for i in range(count + 1)]
    return tuple(
        _beam(tuple(a), tuple(b), width / 2, color, height / 2)
        for a, b in itertools.pairwise(stops)
    )


def _reach(device: Device, along: Vector) -> float:
    """How far a level line from the device's middle stays within (most of) its footprint."""
    yaw = math.radians(device.rotation)
    x = abs(along[0] * math.cos(yaw) + along[1] * math.sin(yaw))
    y = abs(along[1] * math.cos(yaw) - along[0] * math.sin(yaw))
    width, depth, _ = device.size
    return float(0.92 * min(width / 2 / max(x, 1e-9), depth / 2 / max(y, 1e-9)))


@lru_cache(maxsize=1)
def grid_lines() -> tuple[Vector, ...]:
    """The floor's grid as (2, 3) end points."""
    x, y = FLOOR_HALF_X_M, FLOOR_HALF_Y_M
    across = np.arange(-x, x + 0.01, GRID_PITCH_M)
    along = np.arange(-y, y + 0.01, GRID_PITCH_M)
    lines = [np.array([[at, -y, 0.0], [at, y, 0.0]]) for at in across]
    lines += [np.array([[-x, at, 0.0], [x, at, 0.0]]) for at in along]
    return tuple(lines)


def device_centre(device: Device) -> Triple:
    """A point well inside the device's outline, for clicks and tests: the middle of its box."""
    x, y, z = device.position
    return x, y, z + device.size[2] / 2


def _tint(color: Triple, factor: float) -> Triple:
    return color[0] * factor, color[1] * factor, color[2] * factor


_BOX_FACES = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))


def _box(size: Triple, centre: Triple, color: Triple) -> Solid:
    corners = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)], dtype=np.float64)
    return Solid((corners - 0.5) * size + centre, _BOX_FACES, color)


def _prism(bottom: float, top: float, top_z: float, base_z: float, color: Triple) -> Solid:
    """A cylinder or cone frustum about the z axis, from `base_z` to `top_z`."""
    turns = np.arange(_SIDES) * (2 * math.pi / _SIDES)
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    lower = np.column_stack([ring * bottom, np.full(_SIDES, base_z)])
    upper = np.column_stack([ring * top, np.full(_SIDES, top_z)])
    sides = tuple(
        (i, (i + 1) % _SIDES, (i + 1) % _SIDES + _SIDES, i + _SIDES) for i in range(_SIDES)
    )
    caps = (tuple(reversed(range(_SIDES))), tuple(range(_SIDES, 2 * _SIDES)))
    return Solid(np.concatenate([lower, upper]), sides + caps, color)


def _beam(
    start: tuple[float, ...],
    end: tuple[float, ...],
    half: float,
    color: Triple,
    half_height: float | None = None,
) -> Solid:
    """A bar between two points; `half` is half its width across, level with the floor."""
    a, b = np.asarray(start), np.asarray(end)
    along = (b - a) / np.linalg.norm(b - a)
    across = np.cross([0.0, 0.0, 1.0], along)
    norm = float(np.linalg.norm(across))
    across = across / norm if norm > 1e-6 else np.array([1.0, 0.0, 0.0])
    up = np.cross(along, across) * (half if half_height is None else half_height)
    across = across * half
    vertices = [
        (b if i & 1 else a) + (across if i & 2 else -across) + (up if i & 4 else -up)
        for i in range(8)
    ]
    return Solid(np.array(vertices), _BOX_FACES, color)
