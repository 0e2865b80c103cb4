"""Lays the figures of two runs side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from reports.assess import Assessment
from reports.marks import NONE
from reports.workload import workload
from scenarios.quantities import render
from system.protocol.metrics import METRICS, Per

_OF_SAMPLES = ("p50", "p95")

CAUTION = "One run each: the intervals know no noise between runs; a regression gate does."


@dataclass(frozen=True)
class Line:
    """A figure of two runs; ``change`` is a ratio less 1, None where there is none.

    ``apart``: their intervals do not meet, in the direction that is better or worse.
    """

    metric: str
    stat: str
    unit: str
    first: float
    second: float
    change: float | None
    apart: str

    @property
    def cells(self) -> list[str]:
        change = NONE if self.change is None else f"{self.change:+.1%}"
        values = [render(value, self.unit) for value in (self.first, self.second)]
        return [f"{self.metric} {self.stat}", *values, change, self.apart]

    def plain(self) -> dict[str, Any]:
        """As an object for JSON; what falls among samples that never came is null."""
        first, second = (v if math.isfinite(v) else None for v in (self.first, self.second))
        return {
            "metric": self.metric,
            "stat": self.stat,
            "unit": self.unit,
            "first": first,
            "second": second,
            "change": self.change,
            "apart": self.apart or None,
        }


def compare(first: Assessment, second: Assessment) -> list[Line]:
    """Compare every metric that both runs have."""
    lines = []
    for name, mine in first.stats.items():
        other = second.stats.get(name)
        if other is None:
            continue
        averaged = mine.unit == "ratio" or METRICS[name].per is Per.TIME
        for stat in ("mean",) if averaged else _OF_SAMPLES:
            values = mine.values[stat], other.values[stat]
            sound = all(math.isfinite(value) for value in values) and values[0] != 0
            change = values[1] / values[0] - 1 if sound else None
            ends = mine.ci95.get(stat), other.ci95.get(stat)
            lines.append(Line(name, stat, mine.unit, *values, change, _apart(name, *ends)))
    return lines


def differences(first: Assessment, second: Assessment) -> list[str]:
    """Say in sentences what else is different, so that figures may differ for that."""
    one, other = first.run.info, second.run.info
    found = []
    if one.kind != other.kind:
        found.append(f"one is {one.kind}, the other {other.kind}")
    if workload(first.run.scenario_text) != workload(second.run.scenario_text):
        found.append("they ran different scenarios")
    if one.fingerprint != other.fingerprint:
        found.append("they ran on different machines")
    if one.git.get("sha") != other.git.get("sha"):
        shas = [str(info.git.get("sha") or "unknown")[:10] for info in (one, other)]
        found.append(f"their source differs ({shas[0]}, {shas[1]})")
    for assessment in (first, second):
        if any(not check.ok for check in assessment.checks):
            found.append(f"{assessment.run.path.name} is not valid")
    return found


def _apart(name: str, one: tuple[float, float] | None, other: tuple[float, float] | None) -> str:
    if one is None or other is None or (one[0] <= other[1] and other[0] <= one[1]):
        return ""
    higher = other[0] > one[1]
    return "worse" if higher is METRICS[name].lower_is_better else "better"
