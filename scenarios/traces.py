"""Arrivals that were recorded: a CSV file with a time, perhaps a length, per row."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from scenarios import files
from scenarios.files import BadFile

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_FILTER = re.compile(
    r"\s*(?P<column>[^<>=!]+?)\s*(?P<op><=|>=|==|!=|<|>)\s*"
    r"(?P<number>[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?)\s*",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Recorded(NamedTuple):
    """One arrival: seconds after the first, and its length where the file says."""

    at_s: float
    session_s: float | None


@dataclass(frozen=True, slots=True)
class Filter:
    """``column op number``: which rows of a trace count."""

    column: str
    op: str
    number: float

    def keeps(self, cell: str) -> bool:
        """Whether a row with ``cell`` in the column counts; an empty cell never does.

        Raises BadFile where the cell is no number.
        """
        value = math.nan
        if cell:
            try:
                value = float(cell)
            except ValueError:
                raise BadFile(f"{self.column} is '{cell}', which is no number") from None
        return not math.isnan(value) and _OPERATORS[self.op](value, self.number)


def parse_filter(text: str) -> Filter:
    """Parse a filter; raise ValueError where it is none."""
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError(
            f"'{text}' is not a filter: write `column op number`, e.g. \"exec_time > 0\", "
            f"with one of {' '.join(_OPERATORS)}"
        )
    return Filter(match["column"], match["op"], float(match["number"]))


def read(path: Path, time: str, session: str | None, keep: Filter | None) -> tuple[Recorded, ...]:
    """Read a trace in order of time; rows of the same time stay in the file's order.

    Times are seconds, or timestamps (ISO 8601; UTC unless they say otherwise).
    Raises BadFile for a time that cannot be read and a length that is none.
    """
    return _read(files.stamp(path), time, session, keep)


@lru_cache(maxsize=4)
def _read(
    stamp: tuple[str, int, int], time: str, session: str | None, keep: Filter | None
) -> tuple[Recorded, ...]:
    name = Path(stamp[0]).name
    columns = [time, session or time, keep.column if keep is not None else time]
    clock: Callable[[str], int] | None = None
    found: list[tuple[int, float | None]] = []
    for row, (at, length, judged) in files.rows(stamp[0], columns):
        try:
            if keep is not None and not keep.keeps(judged):
                continue
        except BadFile as error:
            raise BadFile(f"{name}, row {row}: {error}") from None
        clock = clock or (_seconds if _is_number(at) else _timestamp)
        try:
            at_us = clock(at)
        except (ValueError, OverflowError):
            kind = "number of seconds" if clock is _seconds else "timestamp"
            raise BadFile(f"{name}, row {row}: {time} is '{at}', which is no {kind}") from None
        found.append((at_us, files.number(name, row, session, length) if session else None))
    if not found:
        raise BadFile(f"{name}: no row passes the filter")
    found.sort(key=lambda arrival: arrival[0])
    first = found[0][0]
    return tuple(Recorded((at_us - first) / 1e6, session_s) for at_us, session_s in found)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _seconds(cell: str) -> int:
    return round(float(cell) * 1e6)


def _timestamp(cell: str) -> int:
    moment = datetime.fromisoformat(cell)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
