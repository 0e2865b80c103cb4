"""The machine-readable results: ``summary.json``, ``gates.json``, validity of ``run.json``."""

from __future__ import annotations

import math
from typing import Any

from reports.assess import Assessment
from reports.statistics import ALWAYS, Stats
from system.protocol.metrics import CENSORED_BY


def summary(assessment: Assessment) -> dict[str, Any]:
    """Build ``summary.json``.

    Numbers are in the metric's unit; null is a statistic that falls among
    censored samples. Metrics that can be censored say how many were; joins and
    inputs, which count from when they were due, say what it was ``from_start``.
    """
    built: dict[str, Any] = {
        "name": assessment.run.info.name,
        "kind": assessment.run.info.kind,
        "verdict": assessment.verdict.word,
        "metrics": {
            name: _metric(name, stats, assessment.from_start.get(name))
            for name, stats in assessment.stats.items()
        },
    }
    if assessment.capacity is not None:
        built["capacity"] = assessment.capacity.summary()
    return built


def gate_list(assessment: Assessment) -> list[dict[str, Any]]:
    """Build ``gates.json``."""
    return [
        {
            "id": result.gate.id,
            "metric": result.gate.metric,
            "stat": result.gate.stat,
            "verdict": result.verdict.value,
            "value": _number(result.value),
            "limit": _number(result.limit),
            "ci95": None if result.ci95 is None else [_number(end) for end in result.ci95],
            "reason": result.reason,
        }
        for result in assessment.gates
    ]


def validity(assessment: Assessment) -> dict[str, Any]:
    """Build the ``validity`` of ``run.json``."""
    return {
        "valid": all(check.ok for check in assessment.checks),
        "checks": [
            {
                "id": check.id,
                "text": check.text,
                "ok": check.ok,
                "value": _number(check.value),
                "limit": check.limit,
                "unit": check.unit,
            }
            for check in assessment.checks
        ],
    }


def _metric(name: str, stats: Stats, began: dict[str, float] | None) -> dict[str, Any]:
    built: dict[str, Any] = {"n": stats.n, "unit": stats.unit}
    if name in CENSORED_BY:
        built["censored"] = stats.censored
    built.update({stat: _number(value) for stat, value in stats.values.items()})
    if began is not None:
        built["from_start"] = {stat: _number(began[stat]) for stat in ALWAYS}
    built["ci95"] = {
        stat: [_number(low), _number(high)] for stat, (low, high) in stats.ci95.items()
    } or None
    return built


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
