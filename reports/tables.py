"""Parquet tables of a run directory: schemas, parts, and their merge.

Columns come from ``system.protocol.records``; helpers write parts with the same
columns while they run, so a process that dies loses its last part, not the run.
Text is read as categories: ids and names repeat in every row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reports.errors import RunDirError
from system.protocol import records
from system.protocol.records import ColumnType

TableName = Literal["events", "samples", "system"]
Columns: TypeAlias = Mapping[str, Sequence[Any] | npt.NDArray[Any]]

COLUMNS: dict[TableName, dict[str, ColumnType]] = {
    "events": records.EVENT_COLUMNS,
    "samples": records.SAMPLE_COLUMNS,
    "system": records.SYSTEM_COLUMNS,
}

_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
_OPTIONAL = {"ready", "booting", "busy", "stopped"}
_FINITE: dict[TableName, tuple[str, ...]] = {
    "events": ("value",),
    "samples": ("duration_s", "freeze_s"),
}
"""What may be absent or censored, but where it is there must be a number."""
_FAILURES = (pa.ArrowException, OSError, KeyError, ValueError)


def schema(name: TableName) -> pa.Schema:
    """Build the Arrow schema of a table."""
    return pa.schema([(column, _TYPES[kind]) for column, kind in COLUMNS[name].items()])


def write_rows(path: Path, name: TableName, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as one Parquet file; keys that a row lacks become null."""
    columns: dict[str, list[Any]] = {}
    for column in COLUMNS[name]:
        try:
            columns[column] = list(map(itemgetter(column), rows))
        except KeyError:
            columns[column] = [row.get(column) for row in rows]
    write_columns(path, name, columns)


def write_columns(path: Path, name: TableName, columns: Columns) -> None:
    """Write columns of one length as one Parquet file; columns that are left out become null."""
    count = len(next(iter(columns.values()), ()))
    filled = {column: columns.get(column, [None] * count) for column in COLUMNS[name]}
    pq.write_table(pa.table(filled, schema=schema(name)), path)


def merge_parts(parts: Path, path: Path, name: TableName) -> list[str]:
    """Merge ``parts/<name>-*.parquet`` into ``path``, in order of time.

    Returns one line for each part that could not be read: a process that was
    killed while it wrote leaves one, and its rows are lost.
    """
    merged, problems = _merged(parts, name)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(merged, temporary, compression="zstd")
    temporary.replace(path)
    return problems


def read_parts(parts: Path, name: TableName) -> pd.DataFrame:
    """Read the parts of a table as ``read`` does the whole; unreadable ones are left out."""
    frame: pd.DataFrame = _merged(parts, name)[0].to_pandas()
    return frame


def read(path: Path, name: TableName) -> pd.DataFrame:
    """Read a table; raise RunDirError where it is missing, truncated or of another make."""
    try:
        table = _load(path, name)
    except FileNotFoundError:
        raise RunDirError(f"{path}: no such file; is this the directory of a run?") from None
    except KeyError as error:
        raise RunDirError(f"{path}: column {error} is missing") from None
    except _FAILURES as error:
        raise RunDirError(f"{path}: not readable as Parquet: {_first_line(error)}") from None
    for column in _FINITE.get(name, ()):
        odd = table.filter(pc.invert(pc.is_finite(table.column(column))))
        texts = odd.column("attrs").to_pylist() if name == "events" else [""] * odd.num_rows
        count = sum("censored" not in str(text) for text in texts)
        if count:
            raise RunDirError(f"{path}: {count} values of column {column} are no numbers")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _merged(parts: Path, name: TableName) -> tuple[pa.Table, list[str]]:
    problems: list[str] = []
    tables = [_conform(schema(name).empty_table(), name)]
    for part in sorted(parts.glob(f"{name}-*.parquet")):
        try:
            tables.append(_load(part, name))
        except _FAILURES as error:
            problems.append(f"{part.name} is unreadable: {_first_line(error)}")
    return pa.concat_tables(tables).unify_dictionaries().sort_by("t_us"), problems


def _load(path: Path, name: TableName) -> pa.Table:
    text = [column for column, kind in COLUMNS[name].items() if kind == "string"]
    return _conform(pq.read_table(path, read_dictionary=text), name).unify_dictionaries()


def _conform(table: pa.Table, name: TableName) -> pa.Table:
    """Bring a table to the schema, text as dictionaries; optional columns become null."""
    columns = {}
    for field in schema(name):
        wanted = field.type
        if wanted == pa.string():
            wanted = pa.dictionary(pa.int32(), pa.string())
        if field.name in table.column_names:
            column = table.column(field.name)
            columns[field.name] = column if column.type == wanted else column.cast(wanted)
        elif name == "system" and field.name in _OPTIONAL:
            columns[field.name] = pa.nulls(table.num_rows, wanted)
        else:
            raise KeyError(field.name)
    return pa.table(columns)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
