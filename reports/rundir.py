"""The run directory: written by whatever runs a scenario, read by every report.

A writer claims an empty directory, stores the scenario verbatim and what is
known of the run, lets processes drop Parquet parts into ``parts/``, and merges
them at the end. ``t_us`` 0 is the start of the schedule: stages and arrivals
count from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from reports import fingerprint, tables
from reports.errors import RunDirError
from reports.tables import TableName
from scenarios.errors import ScenarioError
from scenarios.loader import loads
from scenarios.model import Scenario
from system.protocol.records import SCHEMA_VERSION

Kind = Literal["measured", "simulated"]

_TABLES: tuple[TableName, ...] = ("events", "samples", "system")


@dataclass(frozen=True)
class RunInfo:
    """``run.json``: what a run was, apart from its rows.

    ``target`` is ``embedded`` or the host that was driven; ``shows_pool`` says
    whether pool rows can be expected of it. ``problems`` are one-line reasons
    why the generator itself cannot be trusted (a helper that died, a part that
    was lost): any makes the run invalid. ``validity`` is filled by the report.
    """

    kind: Kind
    name: str
    scenario_sha256: str
    seed: int
    started_at: str
    target: str = "embedded"
    shows_pool: bool = True
    renderer: str = "unknown"
    encoder: str = "unknown"
    argv: list[str] = field(default_factory=list)
    git: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    validity: dict[str, Any] | None = None
    schema: int = SCHEMA_VERSION


def run_id(name: str, now: datetime | None = None) -> str:
    """Name a run after its start in UTC and its scenario; such names sort by time."""
    return f"{(now or datetime.now(UTC)).astimezone(UTC):%Y%m%d-%H%M%S}-{name}"


def new_run_dir(name: str, base: str | Path = "runs") -> Path:
    """Make ``base/name``; raise RunDirError where it exists and is not empty."""
    path = Path(base) / name
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = any(path.iterdir())
    except OSError as error:
        raise RunDirError(f"{path}: cannot be made: {(error.strerror or '').lower()}") from None
    if taken:
        raise RunDirError(
            f"{path}: is not empty; name another directory with --run-dir, or delete this one"
        )
    return path


class RunWriter:
    """Writes one run directory."""

    def __init__(
        self,
        path: Path,
        scenario_text: str,
        *,
        kind: Kind = "measured",
        target: str = "embedded",
        argv: Sequence[str] = (),
    ) -> None:
        """Store scenario and circumstances; raise ScenarioError or RunDirError."""
        scenario = loads(scenario_text, str(path / "scenario.yaml"), host=kind)
        self.path = path
        self.info = RunInfo(
            kind=kind,
            name=scenario.name,
            scenario_sha256=hashlib.sha256(scenario_text.encode()).hexdigest(),
            seed=scenario.seed,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            target=fingerprint.clean_text(target),
            shows_pool=target == "embedded" or kind == "simulated",
            argv=fingerprint.clean_argv(argv),
            git=fingerprint.source(),
            machine=fingerprint.machine(),
            versions=fingerprint.versions(),
        )
        try:
            self.parts.mkdir(exist_ok=True)
            (path / "scenario.yaml").write_text(scenario_text, encoding="utf-8", newline="")
        except OSError as error:
            raise RunDirError(f"{path}: cannot be written: {error.strerror}") from None
        write_json(path / "run.json", asdict(self.info))

    @property
    def parts(self) -> Path:
        """Where processes put ``events-*``, ``samples-*`` and ``system-*.parquet``."""
        return self.path / "parts"

    def write_rows(self, name: TableName, node: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of this process as the part ``<name>-<node>.parquet``."""
        tables.write_rows(self.parts / f"{name}-{node}.parquet", name, rows)

    def update(self, **changes: Any) -> None:
        """Change what ``run.json`` says, e.g. ``renderer`` once a worker told it."""
        self.info = replace(self.info, **changes)
        write_json(self.path / "run.json", asdict(self.info))

    def add_problem(self, text: str) -> None:
        """Note why the generator cannot be trusted; the run becomes invalid."""
        self.update(problems=[*self.info.problems, text])

    def finish(self) -> None:
        """Merge the parts; after this the directory can be read."""
        merge(self.path)
        self.info = read_info(self.path)


class RunReader:
    """Reads one run directory; every way in which it may be unfit is a RunDirError."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if (self.path / "parts").is_dir():
            merge(self.path)
        self.info = read_info(self.path)
        try:
            self.scenario_text = (self.path / "scenario.yaml").read_bytes().decode("utf-8")
            file = str(self.path / "scenario.yaml")
            self.scenario: Scenario = loads(self.scenario_text, file, host=None)
        except (OSError, UnicodeDecodeError) as error:
            raise RunDirError(f"{self.path / 'scenario.yaml'}: cannot be read: {error}") from None
        except ScenarioError as error:
            raise RunDirError(f"does not load any more: {str(error).splitlines()[0]}") from None

    @cached_property
    def events(self) -> pd.DataFrame:
        """Rows of ``events.parquet``."""
        return tables.read(self.path / "events.parquet", "events")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Rows of ``samples.parquet``."""
        return tables.read(self.path / "samples.parquet", "samples")

    @cached_property
    def system(self) -> pd.DataFrame:
        """Rows of ``system.parquet``."""
        return tables.read(self.path / "system.parquet", "system")


def merge(path: Path) -> None:
    """Merge ``parts/`` into the three tables and remove it; lost parts become problems."""
    info = read_info(path)
    parts = path / "parts"
    problems: list[str] = []
    for name in _TABLES:
        problems += tables.merge_parts(parts, path / f"{name}.parquet", name)
    if problems:
        info = replace(info, problems=[*info.problems, *problems])
        write_json(path / "run.json", asdict(info))
    shutil.rmtree(parts)


def read_info(path: Path) -> RunInfo:
    """Read ``run.json``; raise RunDirError for what is no run, or of a newer version."""
    if not path.is_dir():
        raise RunDirError(f"{path}: no such directory")
    file = path / "run.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunDirError(f"{path}: not a run directory: it has no run.json") from None
    except (OSError, ValueError) as error:
        raise RunDirError(f"{file}: cannot be read: {error}") from None
    version = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise RunDirError(f"{file}: not a run directory: run.json has no schema version")
    if version > SCHEMA_VERSION:
        raise RunDirError(
            f"{file}: written by a newer version (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); update remote-render"
        )
    known = {item.name for item in fields(RunInfo)}
    try:
        info = RunInfo(**{key: value for key, value in data.items() if key in known})
    except TypeError as error:
        raise RunDirError(f"{file}: incomplete: {error}") from None
    if info.kind not in get_args(Kind):
        raise RunDirError(f"{file}: unknown kind of run '{info.kind}'")
    return info


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that a reader never sees half a file."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text so that a reader never sees half a file; raise RunDirError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise RunDirError(f"{path}: cannot be written: {error.strerror}") from None
