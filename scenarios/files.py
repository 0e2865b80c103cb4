"""Reads the CSV files that a scenario names, when they are first needed.

A path counts from the scenario file; a copy that was kept there (``keep``) goes
before it. Rows are numbered as a spreadsheet does: the header is row 1.
"""

from __future__ import annotations

import csv
import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, PrivateAttr

from scenarios.document import Document
from scenarios.errors import Problem, ScenarioError
from scenarios.fields import Place, Strict, did_you_mean

ROWS_MAX = 10_000_000


class BadFile(ValueError):
    """A file that cannot be used; the text says which row and why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of a scenario stands, and the directory that its paths count from."""

    document: Document
    place: Place
    base: Path


class FromFile(Strict):
    """A part of a scenario that names a file; the loader tells it where it stands."""

    _origin: Origin | None = PrivateAttr(default=None)

    def bind(self, origin: Origin) -> None:
        """Remember where this part stands. The loader's business."""
        self._origin = origin

    def read(self) -> None:
        """Read the file; raise ScenarioError where it is unfit."""

    def named(self) -> str | None:
        """The file as it is written, where there is one."""
        return None

    def keep(self, directory: Path) -> None:
        """Copy the file to where a scenario with ``directory`` as its base finds it.

        Raises OSError.
        """
        written = self.named()
        if written is not None:
            directory.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._path(written), directory / _kept(written))

    def _path(self, written: str) -> Path:
        if self._origin is None:
            return Path(written)
        kept = self._origin.base / _kept(written)
        return kept if kept.is_file() else self._origin.base / written

    def _unfit(self, key: str, message: str) -> ScenarioError:
        if self._origin is None:
            return ScenarioError([Problem("<scenario>", 0, 0, (key,), message)])
        return ScenarioError([self._origin.document.problem((*self._origin.place, key), message)])


def _kept(written: str) -> str:
    """Name of a copy: paths may be absolute, or lead out of any directory."""
    return f"{hashlib.sha256(written.encode()).hexdigest()[:8]}-{Path(written).name}"


def walk(value: Any, document: Document, place: Place = ()) -> Iterator[tuple[FromFile, Place]]:
    """Yield every part of ``value`` that names a file, and where it stands."""
    if isinstance(value, FromFile):
        yield value, place
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            here = document.below(place, info.alias or name)
            yield from walk(getattr(value, name), document, here)
    elif isinstance(value, tuple):
        for index, below in enumerate(value):
            yield from walk(below, document, document.below(place, index))


def stamp(path: Path) -> tuple[str, int, int]:
    """What a reading of ``path`` may be remembered by; raise BadFile where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise BadFile(_reason(path, error)) from None
    return str(path), status.st_mtime_ns, status.st_size


def rows(path: str, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the number and the cells of each row, for the columns asked for.

    Raises BadFile: no such file or column, no text, no row, a row without the cells.
    """
    name = Path(path).name
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(lines, [])]
            if not header:
                raise BadFile(f"{name} is empty")
            at = [_index(name, header, column) for column in columns]
            last = max(at)
            number = 1
            for number, line in enumerate(lines, start=2):
                if number > ROWS_MAX:
                    raise BadFile(f"{name} has more than {ROWS_MAX} rows")
                if not line:
                    continue
                if len(line) <= last:
                    raise BadFile(f"{name}, row {number}: has {len(line)} of {len(header)} cells")
                yield number, tuple(line[index].strip() for index in at)
            if number == 1:
                raise BadFile(f"{name} has a header and no rows")
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(_reason(Path(path), error)) from None


def number(name: str, row: int, column: str, cell: str) -> float:
    """Turn a cell into a number of 0 or more; raise BadFile with the row."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value >= 0:
        return value
    if cell and not math.isnan(value) and value < 0:
        raise BadFile(f"{name}, row {row}: {column} is {cell}, below 0")
    raise BadFile(f"{name}, row {row}: {column} is '{cell}', which is no number")


def _index(name: str, header: list[str], column: str) -> int:
    if column not in header:
        known = ", ".join(cell for cell in header if cell)[:200]
        raise BadFile(
            f"{name} has no column '{column}'"
            + (did_you_mean(column, header) or f": it has {known}")
        )
    return header.index(column)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{path.name}: {(error.strerror or str(error)).lower()}"
    if isinstance(error, UnicodeDecodeError):
        return f"{path.name} is not UTF-8 text"
    return f"{path.name} is not CSV: {error}"
