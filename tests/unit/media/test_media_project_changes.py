from __future__ import annotations

from dataclasses import replace

import pytest

from system.media.project import Device, Project, ProjectError, connect, move
from system.media.project_changes import Changes, changed, changes

ROOM = 1_000_000


def led(known: Project, found: Changes) -> Project:
    """Where the rows lead who knows a project."""
    return changed(
        Project() if found.fresh else known, found.after.name, found.devices, found.connections
    )


def large(devices: int, connections: int) -> Project:
    """A project of its own size; every device is connected to the next."""
    made = {f"d{i}": Device(f"d{i}", "box", (i / 100, 0.0, 0.0)) for i in range(devices)}
    project = Project(made, {}, "large")
    for i in range(connections):
        project = connect(project, f"d{i}", f"d{i + 1}", "power", f"c{i}")
    return project


def test_a_whole_project_arrives_as_it_is() -> None:
    project = Project.default("p")
    found = changes(Project(), project, ROOM)
    assert found.fresh
    assert found.after is project
    assert led(Project(), found).digest() == project.digest()


def test_an_edit_costs_only_its_own_rows() -> None:
    before = Project.default("p")
    first, second, *_ = before.devices
    after = connect(move(before, first, (1.0, 2.0, 0.0)), first, second, "power", "mine")
    found = changes(before, after, ROOM)
    assert ([row["id"] for row in found.devices], len(found.connections)) == ([first], 1)
    assert led(before, found).digest() == after.digest()


@pytest.mark.parametrize("other", ["name", "connection"])
def test_what_is_no_growth_begins_from_nothing(other: str) -> None:
    after = Project.default("p")
    first, second, *_ = after.devices
    refused = connect(after, first, second, "power", "refused")
    before = refused if other == "connection" else replace(after, name="q")
    found = changes(before, after, ROOM)
    assert found.fresh
    assert led(before, found).digest() == after.digest()


def test_a_project_too_large_for_a_message_arrives_in_parts() -> None:
    project = large(60, 50)
    known, parts = Project(), 0
    while known.digest() != project.digest():
        found = changes(known, project, 2_000)
        assert len(found.devices) + len(found.connections) < 35
        known = led(known, found)
        assert known.digest() == found.after.digest()
        parts += 1
    assert parts > 4


@pytest.mark.parametrize(
    ("devices", "connections"),
    [([{"id": "x"}], []), ([], [{"id": "c", "source": "a", "target": "b", "type": "power"}])],
)
def test_rows_that_are_none_are_refused(
    devices: list[dict[str, str]], connections: list[dict[str, str]]
) -> None:
    with pytest.raises(ProjectError):
        changed(Project.default("p"), "p", devices, connections)
