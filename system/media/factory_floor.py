"""Owns the layout which new projects start from: rows of machines on a grid, drawn from the id."""

from __future__ import annotations

import itertools
import random

from system.media.project import Connection, Device

_COLUMNS, _ROWS = 7, 5
_PITCH_X_M, _PITCH_Y_M = 3.6, 3.6
# Each row is one production line, read in the direction of flow.
_LINES = (
    ("rack", "conveyor", "robot", "press", "conveyor", "robot", "box"),
    ("tank", "box", "cylinder", "robot", "conveyor", "press", "rack"),
    ("rack", "robot", "conveyor", "press", "robot", "conveyor", "box"),
    ("tank", "cylinder", "tank", "box", "robot", "conveyor", "rack"),
    ("box", "conveyor", "press", "conveyor", "robot", "cylinder", "tank"),
)
_SIZES = {
    "box": (1.2, 1.0, 1.1),
    "cylinder": (1.1, 1.1, 1.4),
    "tank": (1.5, 1.5, 2.2),
    "robot": (1.2, 1.2, 2.0),
    "conveyor": (2.4, 0.8, 0.8),
    "press": (1.5, 1.3, 2.1),
    "rack": (1.6, 0.8, 1.9),
}
_COLORS = {
    "box": (0.30, 0.55, 0.75),
    "cylinder": (0.35, 0.70, 0.62),
    "tank": (0.75, 0.77, 0.80),
    "robot": (0.93, 0.62, 0.16),
    "conveyor": (0.30, 0.34, 0.40),
    "press": (0.72, 0.30, 0.30),
    "rack": (0.45, 0.38, 0.62),
}


def build(project_id: str) -> tuple[list[Device], list[Connection]]:
    """35 devices and their connections; sizes, tints, yaw and row order depend on the id."""
    rng = random.Random(f"factory-floor/{project_id}")  # str seeds are stable across processes
    lines = list(_LINES)
    rng.shuffle(lines)
    rows = [
        [_device(rng, kind, column, row) for column, kind in enumerate(line)]
        for row, line in enumerate(lines)
    ]
    connections: list[Connection] = []

    def link(source: Device, target: Device, kind: str) -> None:
        connections.append(
            Connection(f"default-{len(connections) + 1:02}", source.id, target.id, kind)
        )

    for row in rows:
        for source, target in itertools.pairwise(row):
            if "conveyor" in (source.kind, target.kind):
                link(source, target, "conveyor")
            elif "tank" in (source.kind, target.kind):
                link(source, target, "pipe")
    for upper, lower in itertools.pairwise(rows):
        link(upper[0], lower[0], "power")
        link(upper[-1], lower[-1], "data")
    return [device for row in rows for device in row], connections


def _device(rng: random.Random, kind: str, column: int, row: int) -> Device:
    scale = rng.uniform(0.9, 1.1)
    x, y, z = _SIZES[kind]
    tint = rng.uniform(-0.08, 0.08)
    red, green, blue = (round(min(max(channel + tint, 0.0), 1.0), 3) for channel in _COLORS[kind])
    return Device(
        id=f"{kind}-{row + 1}{column + 1}",
        kind=kind,
        position=(
            round((column - (_COLUMNS - 1) / 2) * _PITCH_X_M + rng.uniform(-0.15, 0.15), 3),
            round((row - (_ROWS - 1) / 2) * _PITCH_Y_M + rng.uniform(-0.25, 0.25), 3),
            0.0,
        ),
        rotation=0.0 if kind == "conveyor" else round(rng.uniform(-25.0, 25.0), 1),
        color=(red, green, blue),
        size=(round(x * scale, 3), round(y * scale, 3), round(z * scale, 3)),
    )
