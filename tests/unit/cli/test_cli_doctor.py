from __future__ import annotations

import json

import pytest

from system.cli import doctor
from system.cli.doctor import Check


@pytest.mark.parametrize(
    ("version", "ok"),
    [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)],
)
def test_only_supported_pythons_are_fine(version: tuple[int, ...], ok: bool) -> None:
    assert doctor.python_version(version).ok is ok


def test_a_missing_package_names_its_extra() -> None:
    check = doctor.packages("worker", ("av", "cv2"), find=lambda name: name == "av" or None)
    assert not check.ok
    assert check.needed
    assert check.detail == "without cv2"
    assert check.remedy == "pip install 'remote-render[worker]'"


def test_packages_that_no_component_needs_are_merely_absent() -> None:
    check = doctor.packages("report", ("pandas",), find=lambda name: None)
    assert not check.ok
    assert not check.needed
    assert doctor.sound([check])


def test_without_libx11_the_painter_remains() -> None:
    def load(name: str) -> object:
        raise OSError(name)

    check = doctor.x11(load)
    assert not check.ok
    assert doctor.sound([check])
    assert check.remedy == "apt install libx11-6"


def test_something_needed_that_is_missing_is_not_sound_and_has_its_remedy_in_the_text() -> None:
    checks = [Check("a", True, "fine"), Check("bb", False, "broken", remedy="mend it")]
    assert not doctor.sound(checks)
    assert doctor.as_text(checks).splitlines() == [
        "ok       a   fine",
        "MISSING  bb  broken; remedy: mend it",
        "Something is missing.",
    ]
    assert json.loads(doctor.as_json(checks))["ok"] is False


def test_a_crash_of_native_code_is_a_line_of_the_table() -> None:
    check = doctor.native("renderer", "import os; os.abort()", "mend it")
    assert not check.ok
    assert check.detail.startswith("exit code ")


def test_what_native_code_found_is_its_last_line() -> None:
    assert doctor.native("x", "print('noise'); print('\"found\"')", "").detail == "found"
