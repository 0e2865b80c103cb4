"""Raw rows to Parquet parts: collected in memory, written whole, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from system.protocol.records import (
    EVENT_COLUMNS,
    SAMPLE_COLUMNS,
    SYSTEM_COLUMNS,
    ColumnType,
    EventRow,
    SampleRow,
    SystemRow,
)

Table = Literal["events", "samples", "system"]
MAX_ROWS = 500_000
"""Rows of a table held while the disk does not take them; more are dropped and counted."""

_COLUMNS: Mapping[Table, Mapping[str, ColumnType]] = {
    "events": EVENT_COLUMNS,
    "samples": SAMPLE_COLUMNS,
    "system": SYSTEM_COLUMNS,
}
_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
_SCHEMAS = {
    table: pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
    for table, columns in _COLUMNS.items()
}


class PartWriter:
    """Writes ``<table>-<node>-<n>.parquet`` into a directory, each part complete or absent.

    ``add`` is for the event loop; ``flush`` for a thread, one at a time.
    """

    def __init__(self, directory: Path, node: str) -> None:
        self._directory = directory
        self._node = node
        self._rows: dict[Table, list[tuple[Any, ...]]] = {"events": [], "samples": [], "system": []}
        self._number = 0
        self._lock = threading.Lock()
        self._written: list[str] = []
        self.rows_dropped = 0
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the parts on disk."""
        return tuple(self._written)

    def add_event(self, row: EventRow) -> None:
        self._add("events", row)

    def add_sample(self, row: SampleRow) -> None:
        self._add("samples", row)

    def add_system(self, row: SystemRow) -> None:
        self._add("system", row)

    def _add(self, table: Table, row: Mapping[str, Any]) -> None:
        rows = self._rows[table]
        if len(rows) >= MAX_ROWS:
            self.rows_dropped += 1
            return
        rows.append(tuple(map(row.get, _COLUMNS[table])))

    def flush(self) -> None:
        """Write what was added so far; raises OSError and keeps nothing of it then."""
        with self._lock:
            for table in _COLUMNS:
                rows, self._rows[table] = self._rows[table], []
                if rows:
                    self._write(table, rows)

    def _write(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        schema = _SCHEMAS[table]
        columns = [
            pa.array(values, type=field.type)
            for values, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        name = f"{table}-{self._node}-{self._number}.parquet"
        self._number += 1
        partial = self._directory / f".{name}.partial"
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), partial)
        partial.rename(self._directory / name)
        self._written.append(name)
