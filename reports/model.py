"""``model/`` of a run: what the simulator predicted before the load began."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from reports import measure
from reports.errors import RunDirError
from reports.rundir import RunReader, digest
from reports.runinfo import RunInfo, read_info, read_json
from reports.statistics import summarise
from reports.workload import workload
from scenarios.gates import Gate


@dataclass(frozen=True)
class Model:
    """A prediction: the metrics of its ``summary.json``, or why it does not count."""

    path: Path
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str = ""

    def of(self, gate: Gate) -> float | None:
        """The gate's statistic as predicted; None where it was not."""
        if gate.during is None:
            return self.figure(gate.metric, gate.stat)
        run = self._run
        samples = None if run is None else measure.measure(run).get(gate.metric)
        if run is None or samples is None:
            return None
        found = summarise(samples.during(run.spans, gate.during), run.info.seed)
        return None if found is None else _number(found.values[gate.stat])

    def figure(self, metric: str, stat: str) -> float | None:
        """A statistic over all measured stages; None where there is none."""
        found = self.metrics.get(metric)
        return _number(found.get(stat)) if isinstance(found, Mapping) else None

    def interval(self, metric: str, stat: str) -> tuple[float, float] | None:
        """Its 95 % interval; None where there is none."""
        found = self.metrics.get(metric)
        intervals = found.get("ci95") if isinstance(found, Mapping) else None
        ends = intervals.get(stat) if isinstance(intervals, Mapping) else None
        if not isinstance(ends, list) or len(ends) != 2:
            return None
        low, high = _number(ends[0]), _number(ends[1])
        return None if low is None or high is None else (low, high)

    @cached_property
    def _run(self) -> RunReader | None:
        try:
            return RunReader(self.path)
        except RunDirError:
            return None


def read_model(run: RunReader) -> Model | None:
    """Read ``model/``; None where there is none. A broken one is a model with a problem."""
    path = run.path / "model"
    if not path.is_dir():
        return None
    try:
        summary = read_json(path / "summary.json")
        info = read_info(path)
    except RunDirError as error:
        return Model(path, problem=f"the prediction cannot be read: {error}")
    metrics = summary.get("metrics") if isinstance(summary, dict) else None
    if not isinstance(metrics, dict):
        return Model(path, problem="the prediction has no metrics")
    return Model(path, metrics, _unregistered(path, info, run))


def _unregistered(path: Path, info: RunInfo, run: RunReader) -> str:
    """Say why a prediction was not registered beforehand; empty where it was."""
    if info.kind != "simulated":
        return "model/ is not a simulated run"
    if run.info.prediction_sha256 != digest(path):
        return "the prediction was not registered before the load began, or was changed since"
    try:
        text = (path / "scenario.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "the prediction does not say of which scenario"
    if workload(text) != workload(run.scenario_text):
        return "the prediction is of another scenario"
    return ""


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
