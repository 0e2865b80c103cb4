"""The fixture that makes run directories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import Synthetic, synthesise

Maker = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> Maker:
    """Give a function that writes a run directory with the given knobs."""

    def make(name: str = "run", **knobs: Any) -> Path:
        return synthesise(tmp_path, Synthetic(**knobs), name)

    return make
