"""``run.json``: what a run was, apart from its rows; and how files of a run are written."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from reports.errors import RunDirError
from system.protocol.records import SCHEMA_VERSION

Kind = Literal["measured", "simulated"]


@dataclass(frozen=True)
class Aborted:
    """A gate that ended the run early: its id, when (seconds of the run), and why."""

    gate: str
    at_s: float
    reason: str


@dataclass(frozen=True)
class RunInfo:
    """``run.json``.

    ``target`` is ``embedded`` or the host that was driven; ``shows_pool`` says
    whether pool rows can be expected of it. ``scenario_file`` is the file as it
    was named, ``stages`` (name, start, end, measured) are kept for a scenario
    whose trace is out of reach when the report is built. ``problems`` are
    one-line reasons why the generator itself cannot be trusted (a helper that
    died, a part that was lost): any makes the run invalid. ``prediction_sha256``
    is of ``model/summary.json`` as it was before the load began. ``validity``
    is filled by the report.
    """

    kind: Kind
    name: str
    scenario_sha256: str
    seed: int
    started_at: str
    target: str = "embedded"
    shows_pool: bool = True
    scenario_file: str | None = None
    stages: list[tuple[str, float, float, bool]] = field(default_factory=list)
    renderer: str = "unknown"
    encoder: str = "unknown"
    argv: list[str] = field(default_factory=list)
    git: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    aborted: Aborted | None = None
    prediction_sha256: str | None = None
    validity: dict[str, Any] | None = None
    schema: int = SCHEMA_VERSION

    @property
    def fingerprint(self) -> str:
        """The digest of the machine; baselines compare only runs where it is equal."""
        return str(self.machine.get("id", "unknown"))


def read_info(path: Path) -> RunInfo:
    """Read ``run.json``; raise RunDirError for what is no run, or of another version."""
    if not path.is_dir():
        raise RunDirError(f"{path}: no such directory")
    file = path / "run.json"
    if not file.exists():
        raise RunDirError(f"{path}: not a run directory: it has no run.json")
    data = read_json(file)
    version = data.get("schema") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise RunDirError(f"{file}: not a run directory: run.json has no schema version")
    if version != SCHEMA_VERSION:
        than = "a newer" if version > SCHEMA_VERSION else "an older"
        raise RunDirError(
            f"{file}: written by {than} version (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); {'update' if version > SCHEMA_VERSION else 'read it with that'} "
            "remote-render"
        )
    try:
        return msgspec.convert(data, RunInfo)
    except msgspec.ValidationError as error:
        raise RunDirError(f"{file}: not as it should be: {error}") from None


def read_json(file: Path) -> Any:
    """Read a JSON file; raise RunDirError where it is missing, cut off or no JSON."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)
    except FileNotFoundError:
        raise RunDirError(f"{file}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirError(f"{file}: cannot be read: {str(error).splitlines()[0]}") from None


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
