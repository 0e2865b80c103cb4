"""Run directories for tests: made to measure, or built once and only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import Synthetic, synthesise

from reports import fingerprint
from reports.build import build

Maker = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def _one_source() -> Iterator[None]:
    """Ask git once, not for every run."""
    ask = fingerprint.source
    found = ask()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "source", lambda where=None: ask(where) if where else found)
        yield


@pytest.fixture(autouse=True)
def _outside_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_run(tmp_path: Path) -> Maker:
    """Give a function that writes a run directory with the given knobs."""

    def make(name: str = "run", **knobs: Any) -> Path:
        return synthesise(tmp_path, Synthetic(**knobs), name)

    return make


@pytest.fixture(scope="session")
def failed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which a join failed and inputs were lost, built; not to be changed."""
    base = tmp_path_factory.mktemp("failed")
    path = synthesise(base, Synthetic(failed=(7,), lost_every=50))
    build(path)
    return path
