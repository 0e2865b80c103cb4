"""Owns the edited thing: devices on a factory floor and the typed connections between them.

Everything here is pure and immutable: an edit makes a new `Project`, so a renderer or another
thread may keep reading the old one. Lengths are metres, z points up, the floor is z = 0.

Errors (all `ValueError`)::

    ProjectError            a serialised project that cannot be read
    +-- EditRefused         an edit that names unknown devices or is malformed; nothing changed
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

FLOOR_HALF_X_M = 14.0
FLOOR_HALF_Y_M = 10.0
MAX_DEVICES = 2_000
MAX_CONNECTIONS = 4_000

DEVICE_KINDS = ("box", "cylinder", "tank", "robot", "conveyor", "press", "rack")
CONNECTION_TYPES = ("conveyor", "power", "data", "pipe")
"""The types with a look of their own; other short names are kept and drawn plainly."""

_TYPE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_MAX_ID_CHARS = 128

Triple = tuple[float, float, float]


class ProjectError(ValueError):
    """A serialised project is not one; the message says where."""


class EditRefused(ProjectError):
    """An edit cannot be applied; the project is unchanged."""


@dataclass(frozen=True)
class Device:
    """One machine. `position` is the centre of its base, `rotation` its yaw in degrees."""

    id: str
    kind: str
    position: Triple
    rotation: float = 0.0
    color: Triple = (0.6, 0.6, 0.6)
    size: Triple = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Connection:
    """A directed link between two devices, by device id."""

    id: str
    source: str
    target: str
    type: str


@dataclass(frozen=True)
class Project:
    """Devices and connections by id. The mappings are read-only views: edit by `apply_edit`."""

    devices: Mapping[str, Device] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "devices", MappingProxyType(dict(self.devices)))
        object.__setattr__(self, "connections", MappingProxyType(dict(self.connections)))

    @classmethod
    def default(cls, project_id: str) -> Project:
        """The factory floor which a project starts from: the same for the same id, anywhere."""
        from system.media.factory_floor import build

        devices, connections = build(project_id)
        return cls(
            {device.id: device for device in devices},
            {connection.id: connection for connection in connections},
            project_id,
        )

    def to_json(self) -> str:
        """Canonical text: equal projects give equal text."""
        document = {
            "name": self.name,
            "devices": [device_row(self.devices[key]) for key in sorted(self.devices)],
            "connections": [
                connection_row(self.connections[key]) for key in sorted(self.connections)
            ],
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Project:
        """Read `to_json` back, or raise `ProjectError`."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ProjectError(f"project is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise ProjectError("project is not an object")
        rows = _rows(document, "devices", MAX_DEVICES)
        devices = {device.id: device for device in map(_read_device, rows)}
        links = _rows(document, "connections", MAX_CONNECTIONS)
        project = cls(devices, {}, _text(document.get("name", ""), "name", empty=True))
        for row in links:
            project = connect(
                project,
                row.get("source"),
                row.get("target"),
                row.get("type"),
                _text(row.get("id"), "connection id"),
            )
        return project

    def digest(self) -> str:
        """16 hex digits of the state: equal for equal devices, connections and name."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def apply_edit(project: Project, edit: Mapping[str, Any]) -> Project:
    """The project after one wire edit (`connection:create`, `device:drag`), or `EditRefused`.

    A `connection:create` takes its `editId` as the connection's id, so that applying one edit
    twice is applying it once. Without an `editId` the id is made of its end points and type.
    """
    data = edit.get("data")
    if not isinstance(data, Mapping):
        raise EditRefused("edit has no data")
    match edit.get("type"):
        case "connection:create":
            source, target = data.get("sourceDeviceId"), data.get("targetDeviceId")
            kind = data.get("type")
            edit_id = edit.get("editId") or f"{source}:{kind}:{target}"
            return connect(project, source, target, kind, edit_id)
        case "device:drag":
            return move(project, data.get("deviceId"), data.get("position"))
        case other:
            raise EditRefused(f"unknown edit type {str(other)[:40]!r}")


def fold(project: Project, edits: Iterable[Mapping[str, Any]]) -> Project:
    """The project after a log of wire edits; those that it refuses change nothing."""
    for edit in edits:
        with contextlib.suppress(EditRefused):
            project = apply_edit(project, edit)
    return project


def move(project: Project, device_id: object, position: object) -> Project:
    """Move a device in the floor plane: clamped to the floor, its own height kept."""
    device = find_device(project, device_id)
    x, y, _ = read_triple(position, "position")
    moved = (_clamp(x, FLOOR_HALF_X_M), _clamp(y, FLOOR_HALF_Y_M), device.position[2])
    if moved == device.position:
        return project
    return replace(project, devices={**project.devices, device.id: replace(device, position=moved)})


def connect(
    project: Project, source: object, target: object, kind: object, connection_id: object
) -> Project:
    """Add a connection; the same one again changes nothing."""
    ends = find_device(project, source).id, find_device(project, target).id
    if ends[0] == ends[1]:
        raise EditRefused("a device cannot be connected to itself")
    if not isinstance(kind, str) or not _TYPE_NAME.fullmatch(kind):
        raise EditRefused("connection type is not a short name")
    made = Connection(_text(connection_id, "connection id"), ends[0], ends[1], kind)
    known = project.connections.get(made.id)
    if known == made:
        return project
    if known is not None:
        raise EditRefused(f"connection id {made.id!r} is taken")
    if len(project.connections) >= MAX_CONNECTIONS:
        raise EditRefused(f"a project holds at most {MAX_CONNECTIONS} connections")
    return replace(project, connections={**project.connections, made.id: made})


def find_device(project: Project, device_id: object) -> Device:
    device = project.devices.get(device_id) if isinstance(device_id, str) else None
    if device is None:
        raise EditRefused(f"unknown device {str(device_id)[:80]!r}")
    return device


def read_triple(value: object, what: str) -> Triple:
    """Three finite numbers, or `EditRefused`."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 3:
        raise EditRefused(f"{what} is not three numbers")
    x, y, z = (read_number(item, what) for item in value)
    return x, y, z


def read_number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EditRefused(f"{what} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise EditRefused(f"{what} is not finite")
    return number + 0.0


def _clamp(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _text(value: object, what: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > _MAX_ID_CHARS or not (value or empty):
        raise EditRefused(f"{what} is not a text of 1 to {_MAX_ID_CHARS} characters")
    return value


def device_row(device: Device) -> dict[str, Any]:
    """A device as `Project.to_json` writes it."""
    return {
        "id": device.id,
        "kind": device.kind,
        "position": list(device.position),
        "rotation": device.rotation,
        "color": list(device.color),
        "size": list(device.size),
    }


def connection_row(link: Connection) -> dict[str, Any]:
    """A connection as `Project.to_json` writes it."""
    return {"id": link.id, "source": link.source, "target": link.target, "type": link.type}


def _rows(document: dict[str, Any], key: str, limit: int) -> list[dict[str, Any]]:
    rows = document.get(key)
    if not isinstance(rows, list) or len(rows) > limit:
        raise ProjectError(f"{key} is not a list of at most {limit}")
    if not all(isinstance(row, dict) for row in rows):
        raise ProjectError(f"{key} holds something that is not an object")
    return rows


def _read_device(row: dict[str, Any]) -> Device:
    kind = row.get("kind")
    if kind not in DEVICE_KINDS:
        raise ProjectError(f"unknown device kind {str(kind)[:40]!r}")
    size = read_triple(row.get("size"), "size")
    if min(size) <= 0 or max(size) > 4 * FLOOR_HALF_X_M:
        raise ProjectError("size is not positive or larger than the floor")
    color = read_triple(row.get("color"), "color")
    if not all(0 <= channel <= 1 for channel in color):
        raise ProjectError("color is not within 0 and 1")
    return Device(
        id=_text(row.get("id"), "device id"),
        kind=kind,
        position=read_triple(row.get("position"), "position"),
        rotation=read_number(row.get("rotation"), "rotation"),
        color=color,
        size=size,
    )
