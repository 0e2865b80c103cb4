"""Baselines: figures of accepted runs, kept as small files that are committed.

``DIR/<scenario>/<fingerprint>/<run id>.json``, one file per accepted run. DIR is
``baselines`` beside the scenario file unless named; the fingerprint is the
machine's, so that runs of different machines never meet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reports.errors import RunDirError
from reports.rundir import RunReader
from reports.runinfo import RunInfo, read_json, write_json
from reports.samples import Samples
from reports.statistics import point_statistics
from reports.workload import workload
from scenarios.gates import Gate
from scenarios.schedule import StageSpan

SCHEMA = 1
KEPT = 20
"""The newest that count; older ones stay in their files."""

SPREAD = ("session.join_time", "input.to_frame")
SHARES = tuple(round(0.025 * step, 3) for step in range(41))
_DIGITS = 6


@dataclass(frozen=True)
class Baseline:
    """Figures of one accepted run.

    ``stats`` are by stage ("": all measured ones), metric and statistic;
    ``spread`` are the quantiles at SHARES. Null is what falls among samples
    that never came.
    """

    run: str
    scenario: str
    workload: str
    fingerprint: str
    kind: str
    started_at: str
    git: dict[str, Any]
    stats: dict[str, dict[str, dict[str, float | None]]]
    spread: dict[str, list[float | None]] = field(default_factory=dict)
    schema: int = SCHEMA

    def of(self, gate: Gate) -> float | None:
        """The gate's statistic in that run; None where it has none."""
        return self.figure(gate.metric, gate.stat, gate.during or "")

    def figure(self, metric: str, stat: str, stage: str = "") -> float | None:
        """A statistic; infinite where it fell among samples that never came."""
        found = self.stats.get(stage, {}).get(metric)
        if found is None or stat not in found:
            return None
        value = found[stat]
        return math.inf if value is None else value


@dataclass(frozen=True)
class History:
    """The baselines that a run is compared with, oldest first, and a word on those left out."""

    runs: tuple[Baseline, ...] = ()
    left_out: str = ""

    def center(self, metric: str, stat: str) -> float | None:
        """The geometric mean of a figure; None without one, or where one is 0 or infinite."""
        found = [run.figure(metric, stat) for run in self.runs]
        known = [value for value in found if value is not None and 0 < value < math.inf]
        if not known or len(known) < len(found):
            return None
        return math.exp(sum(map(math.log, known)) / len(known))


def directory(info: RunInfo, given: Path | None = None) -> Path:
    """Find where the baselines of a run's scenario and machine are kept."""
    if given is None:
        beside = Path(info.scenario_file).parent if info.scenario_file else Path()
        given = beside / "baselines"
    return given / info.name / re.sub(r"[^\w.-]", "_", info.fingerprint)


def read(run: RunReader, given: Path | None = None) -> History:
    """Read the baselines that ``run`` can be compared with; raise RunDirError for a broken one."""
    found = [_read_one(file) for file in sorted(directory(run.info, given).glob("*.json"))]
    if not found:
        return History()
    wanted = workload(run.scenario_text)
    same = [one for one in found if one.workload == wanted and one.kind == run.info.kind]
    others = len(found) - len(same)
    left_out = ""
    if others:
        are = "1 is" if others == 1 else f"{others} are"
        left_out = f"{are} of another version of the scenario"
    mine = [one for one in same if one.started_at != run.info.started_at]
    mine.sort(key=lambda one: one.started_at)
    return History(tuple(mine[-KEPT:]), left_out)


def of(run: RunReader, samples: Mapping[str, Samples], spans: Sequence[StageSpan]) -> Baseline:
    """Sum up a run as a baseline."""
    stages = {gate.during for gate in run.scenario.gates} | {None}
    stats: dict[str, dict[str, dict[str, float | None]]] = {}
    for stage in sorted(stages, key=lambda name: name or ""):
        kept = {name: found.during(spans, stage) for name, found in samples.items()}
        stats[stage or ""] = {
            name: {stat: _rounded(value) for stat, value in point_statistics(found).items()}
            for name, found in kept.items()
            if len(found.values)
        }
    return Baseline(
        run=run.path.resolve().name,
        scenario=run.info.name,
        workload=workload(run.scenario_text),
        fingerprint=run.info.fingerprint,
        kind=run.info.kind,
        started_at=run.info.started_at,
        git=run.info.git,
        stats=stats,
        spread={name: quantiles(samples[name].during(spans)) for name in SPREAD if name in samples},
    )


def quantiles(samples: Samples) -> list[float | None]:
    """Sum up a distribution by its quantiles at SHARES; null among samples that never came."""
    values = np.sort(samples.values)
    if not len(values):
        return []
    places = [max(math.ceil(share * len(values)) - 1, 0) for share in SHARES]
    return [_rounded(float(values[place])) for place in places]


def accept(baseline: Baseline, where: Path, *, replace: bool = False) -> Path:
    """Write a baseline; ``replace`` removes the ones before it. Raises RunDirError."""
    file = where / f"{baseline.run}.json"
    if file.exists() and _read_one(file).started_at != baseline.started_at:
        raise RunDirError(f"{file}: is another run of the same name; rename the run's directory")
    earlier = [other for other in where.glob("*.json") if other != file] if replace else []
    try:
        where.mkdir(parents=True, exist_ok=True)
        write_json(file, asdict(baseline))
        for other in earlier:
            other.unlink()
    except OSError as error:
        raise RunDirError(f"{where}: cannot be changed: {error.strerror}") from None
    return file


def _read_one(file: Path) -> Baseline:
    data = read_json(file)
    version = data.get("schema") if isinstance(data, dict) else None
    if version != SCHEMA:
        raise RunDirError(f"{file}: not a baseline of this version (schema {version})")
    try:
        return msgspec.convert(data, Baseline)
    except msgspec.ValidationError as error:
        raise RunDirError(f"{file}: not a baseline: {error}") from None


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
