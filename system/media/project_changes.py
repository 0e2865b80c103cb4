"""Owns the way from one state of a project to another, as rows that fit into a message. Pure.

A project only grows and moves: rows replace or add, none takes away. Where something did go (an
edit that was shown before it was accepted, and was refused), the rows begin from nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from system.media.project import Project, connection_row, device_row

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """Rows of `Project.to_json` to put over a project, or over none where `fresh`; `after` is
    where they lead."""

    fresh: bool
    after: Project
    devices: tuple[dict[str, Any], ...]
    connections: tuple[dict[str, Any], ...]


def changes(before: Project, after: Project, max_bytes: int) -> Changes:
    """What leads from `before` to `after`, at most about `max_bytes` of JSON of it.

    Where that is not all, `Changes.after` is a project in between, to go on from; devices come
    before connections, so that none of those lacks an end.
    """
    fresh = (
        before.name != after.name
        or not before.devices.keys() <= after.devices.keys()
        or not before.connections.keys() <= after.connections.keys()
    )
    base = Project() if fresh else before
    left = max_bytes
    devices, connections = [], []
    for key, device in after.devices.items():
        if base.devices.get(key) != device:
            row = device_row(device)
            left -= len(json.dumps(row))
            if left >= 0:
                devices.append(row)
    for key, link in after.connections.items():
        if base.connections.get(key) != link:
            link_row = connection_row(link)
            left -= len(json.dumps(link_row))
            if left >= 0:
                connections.append(link_row)
    reached = after if left >= 0 else changed(base, after.name, devices, connections)
    return Changes(fresh, reached, tuple(devices), tuple(connections))


def changed(
    project: Project, name: str, devices: Iterable[Row], connections: Iterable[Row]
) -> Project:
    """The project with these rows over its own; raises `ProjectError` for what are none."""
    document = json.loads(project.to_json())
    document["name"] = name
    document["devices"] = _over(document["devices"], devices)
    document["connections"] = _over(document["connections"], connections)
    return Project.from_json(json.dumps(document))


def _over(rows: list[dict[str, Any]], others: Iterable[Row]) -> list[Row]:
    by_id: dict[str, Row] = {row["id"]: row for row in rows}
    for row in others:
        by_id[str(row.get("id"))] = row
    return list(by_id.values())
