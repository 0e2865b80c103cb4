"""What Locust finds in loadtest/ when it walks it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "loadtest"


def test_there_is_one_locustfile_and_all_else_is_underscored() -> None:
    found = [path.name for path in FOLDER.rglob("*.py") if not path.name.startswith("_")]
    assert found == ["locustfile.py"]
