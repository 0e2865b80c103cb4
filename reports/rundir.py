"""The run directory: written by whatever runs a scenario, read by every report.

A writer claims an empty directory, stores the scenario verbatim and what is
known of the run, lets processes drop Parquet parts into ``parts/``, and merges
them at the end. ``t_us`` 0 is the start of the schedule: stages and arrivals
count from there.

A simulated run of several replications has the rows of all of them: the
``node`` of a row is then ``r<number>``, or begins with ``r<number>/`` (the pool
rows of replication 3 have the node ``r3/pool-default``). Session ids count
within a replication.

A reader changes nothing: a run whose parts were never merged is read from them,
because it may be in progress, and is not trusted.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports import fingerprint, tables
from reports.errors import RunDirError
from reports.runinfo import Kind, RunInfo, read_info, write_json
from reports.samples import Ints
from reports.steps import EVENT as STEP
from reports.steps import read_steps, spans_of
from reports.tables import Columns, TableName
from scenarios import schedule
from scenarios.errors import ScenarioError
from scenarios.load import CapacityLoad
from scenarios.loader import loads
from scenarios.model import Scenario
from scenarios.schedule import StageSpan

FILES = "files"
"""Copies of the files that the scenario names, so that a run can be read without them."""
UNFINISHED = "the run was not finished: it ended without a word, or is still in progress"


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
        """Store scenario and circumstances; raise ScenarioError or RunDirError.

        Files that the scenario names are looked for beside the scenario file
        that ``argv`` names.
        """
        file = _scenario_file(argv)
        base = None if file is None else Path(file).parent
        scenario = loads(scenario_text, str(path / "scenario.yaml"), host=None, base=base)
        self.scenario = scenario
        self.path = path
        self.info = RunInfo(
            kind=kind,
            name=scenario.name,
            scenario_sha256=hashlib.sha256(scenario_text.encode()).hexdigest(),
            seed=scenario.seed,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            target=fingerprint.clean_text(target),
            shows_pool=target == "embedded" or kind == "simulated",
            scenario_file=file,
            stages=[(*span,) for span in schedule.stages(scenario)],
            argv=fingerprint.clean_argv(argv),
            git=fingerprint.source(),
            machine=fingerprint.machine(),
            versions=fingerprint.versions(),
        )
        try:
            self.parts.mkdir(exist_ok=True)
            (path / "scenario.yaml").write_text(scenario_text, encoding="utf-8", newline="")
            scenario.keep_files(path / FILES)
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

    def write_columns(self, name: TableName, node: str, columns: Columns) -> None:
        """Write whole columns as the part ``<name>-<node>.parquet``, for very many rows."""
        tables.write_columns(self.parts / f"{name}-{node}.parquet", name, columns)

    def update(self, **changes: Any) -> None:
        """Change what ``run.json`` says, e.g. ``renderer`` once a worker told it."""
        self.info = replace(self.info, **changes)
        write_json(self.path / "run.json", asdict(self.info))

    def add_problem(self, text: str) -> None:
        """Note why the generator cannot be trusted; the run becomes invalid."""
        self.update(problems=[*self.info.problems, text])

    def register_prediction(self) -> None:
        """Note what ``model/`` predicts; to be called before the load begins.

        Only a prediction that was registered counts for ``agrees_with``. Raises
        RunDirError where there is none.
        """
        found = digest(self.path / "model")
        if found is None:
            raise RunDirError(f"{self.path / 'model'}: has no summary.json to register")
        self.update(prediction_sha256=found)

    def finish(self) -> None:
        """Merge the parts; after this the directory can be read."""
        for name in tables.COLUMNS:
            for problem in tables.merge_parts(self.parts, self.path / f"{name}.parquet", name):
                self.add_problem(problem)
        shutil.rmtree(self.parts)


class RunReader:
    """Reads one run directory; every way in which it may be unfit is a RunDirError."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.info = read_info(self.path)
        file = self.path / "scenario.yaml"
        named = self.info.scenario_file
        kept = self.path / FILES
        beside = None if named is None else Path(named).parent
        try:
            self.scenario_text = file.read_bytes().decode("utf-8")
            self.scenario: Scenario = loads(
                self.scenario_text,
                str(file),
                host=None,
                base=kept if kept.is_dir() else beside,
            )
        except (OSError, UnicodeDecodeError) as error:
            raise RunDirError(f"{file}: cannot be read: {error}") from None
        except ScenarioError as error:
            raise RunDirError(f"does not load any more: {str(error).splitlines()[0]}") from None
        self.unfinished = (self.path / "parts").is_dir()

    @cached_property
    def spans(self) -> list[StageSpan]:
        """The stages of the run on its time axis; of a capacity search those that were begun."""
        if isinstance(self.scenario.load, CapacityLoad):
            steps = read_steps(self.rows(STEP))
            if steps:
                return spans_of(steps)
        try:
            return schedule.stages(self.scenario)
        except ScenarioError as error:
            if not self.info.stages:
                raise RunDirError(str(error).splitlines()[0]) from None
        return [StageSpan(*stage) for stage in self.info.stages]

    @cached_property
    def events(self) -> pd.DataFrame:
        """Rows of ``events.parquet``; columns of text are categories."""
        return self._table("events")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Rows of ``samples.parquet``; columns of text are categories."""
        return self._table("samples")

    @cached_property
    def system(self) -> pd.DataFrame:
        """Rows of ``system.parquet``; columns of text are categories."""
        return self._table("system")

    @cached_property
    def _places(self) -> Mapping[str, Ints]:
        found = self.events.groupby("event", observed=True).indices
        return {str(name): np.asarray(places, np.int64) for name, places in found.items()}

    @property
    def event_names(self) -> list[str]:
        """What happened at least once."""
        return sorted(self._places)

    def rows(self, event: str) -> pd.DataFrame:
        """Rows of ``events`` of one name."""
        return self.events.iloc[self._places.get(event, np.array([], dtype=np.int64))]

    def _table(self, name: TableName) -> pd.DataFrame:
        if self.unfinished:
            return tables.read_parts(self.path / "parts", name)
        return tables.read(self.path / f"{name}.parquet", name)


def digest(model: Path) -> str | None:
    """Digest the prediction of a simulated run; None where there is none."""
    try:
        return hashlib.sha256((model / "summary.json").read_bytes()).hexdigest()
    except OSError:
        return None


def _scenario_file(argv: Sequence[str]) -> str | None:
    """The scenario file that a command line names: its last word that looks like one."""
    words = [word.rpartition("=")[2] for word in argv]
    return next((word for word in reversed(words) if word.endswith((".yaml", ".yml"))), None)
