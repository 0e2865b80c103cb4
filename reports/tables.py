"""Parquet tables of a run directory: schemas, parts, and their merge.

Columns come from ``system.protocol.records``; helpers write parts with the same
columns while they run, so a process that dies loses its last part, not the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reports.errors import RunDirError
from system.protocol import records
from system.protocol.records import ColumnType

TableName = Literal["events", "samples", "system"]

COLUMNS: dict[TableName, dict[str, ColumnType]] = {
    "events": records.EVENT_COLUMNS,
    "samples": records.SAMPLE_COLUMNS,
    "system": records.SYSTEM_COLUMNS,
}

_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}


def schema(name: TableName) -> pa.Schema:
    """Build the Arrow schema of a table."""
    return pa.schema([(column, _TYPES[kind]) for column, kind in COLUMNS[name].items()])


def write_rows(path: Path, name: TableName, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as one Parquet file; keys that a row lacks become null."""
    columns = {column: [row.get(column) for row in rows] for column in COLUMNS[name]}
    pq.write_table(pa.table(columns, schema=schema(name)), path)


def merge_parts(parts: Path, path: Path, name: TableName) -> list[str]:
    """Merge ``parts/<name>-*.parquet`` into ``path``, in order of time.

    Returns one line for each part that could not be read: a process that was
    killed while it wrote leaves one, and its rows are lost.
    """
    problems: list[str] = []
    tables = [schema(name).empty_table()]
    for part in sorted(parts.glob(f"{name}-*.parquet")):
        try:
            tables.append(_conform(pq.read_table(part), name))
        except (pa.ArrowException, OSError, KeyError) as error:
            problems.append(f"{part.name} is unreadable: {_first_line(error)}")
    merged = pa.concat_tables(tables).sort_by("t_us")
    pq.write_table(merged, path, compression="zstd")
    return problems


def read(path: Path, name: TableName) -> pd.DataFrame:
    """Read a table; raise RunDirError where it is missing, truncated or of another make."""
    try:
        table = _conform(pq.read_table(path), name)
    except FileNotFoundError:
        raise RunDirError(f"{path}: no such file; is this the directory of a run?") from None
    except KeyError as error:
        raise RunDirError(f"{path}: column {error} is missing") from None
    except (pa.ArrowException, OSError) as error:
        raise RunDirError(f"{path}: not readable as Parquet: {_first_line(error)}") from None
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _conform(table: pa.Table, name: TableName) -> pa.Table:
    """Bring a table to the schema: columns a writer may leave out become null."""
    optional = {"ready", "booting", "busy", "stopped"} if name == "system" else set()
    wanted = schema(name)
    columns = []
    for field in wanted:
        if field.name in table.column_names:
            columns.append(table.column(field.name).cast(field.type))
        elif field.name in optional:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            raise KeyError(field.name)
    return pa.table(columns, schema=wanted)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
