"""Benchmarks run when they are asked for, print their tables at the end, and keep them as JSON.

``pytest`` without arguments leaves them out and says so: they take minutes and a quiet machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ARTIFACTS = HERE.parents[1] / "artifacts" / "benchmarks"

_tables = pytest.StashKey[list[str]]()
_ignored = pytest.StashKey[bool]()


class Book:
    """Where a benchmark writes down what it found."""

    def __init__(self, tables: list[str]) -> None:
        self._tables = tables

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """To be printed when all tests are done: first column to the left, numbers to the right."""
        cells = [list(head), *map(list, rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
        lines.insert(1, "-" * max(map(len, lines)))
        self._tables.append("\n".join([title, *lines]))

    def note(self, text: str) -> None:
        """A line below the latest table."""
        self._tables[-1] += f"\n{text}"

    def keep(self, name: str, figures: Mapping[str, Any]) -> None:
        """As artifacts/benchmarks/NAME.json, replacing the run before."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        (ARTIFACTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    pairs = zip(row, widths, strict=True)
    return [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(pairs)]


@pytest.fixture(scope="session")
def book(pytestconfig: pytest.Config) -> Book:
    return Book(pytestconfig.stash.setdefault(_tables, []))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = config.getoption("benchmark_only") or any(
        Path(argument.partition("::")[0]).resolve().is_relative_to(HERE) for argument in config.args
    )
    if wanted:
        return None
    config.stash[_ignored] = True
    return True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.stash.get(_ignored, False):
        terminalreporter.write_line("benchmarks left out: tox -e benchmarks runs them")
    for text in config.stash.get(_tables, []):
        terminalreporter.write_line("")
        for line in text.splitlines():
            terminalreporter.write_line(line)
