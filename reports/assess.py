"""Everything that is concluded from the rows of a run, computed once, written by others."""

from __future__ import annotations

from dataclasses import dataclass

from reports import gates, statistics, validity
from reports.gates import GateResult
from reports.measure import Samples, measure
from reports.rundir import RunReader
from reports.statistics import Stats
from reports.validity import Check
from reports.verdict import Verdict, decide
from scenarios import schedule
from scenarios.schedule import StageSpan


@dataclass(frozen=True)
class Assessment:
    """A run, its samples, and what follows from them."""

    run: RunReader
    spans: list[StageSpan]
    samples: dict[str, Samples]
    stats: dict[str, Stats]
    gates: list[GateResult]
    checks: list[Check]
    verdict: Verdict


def assess(run: RunReader) -> Assessment:
    """Assess a run; raises RunDirError where its files are unfit."""
    spans = schedule.stages(run.scenario)
    samples = measure(run)
    gated = {
        gate.metric: [other.stat for other in run.scenario.gates if other.metric == gate.metric]
        for gate in run.scenario.gates
    }
    stats: dict[str, Stats] = {}
    for name, found in samples.items():
        summary = statistics.summarise(found.during(spans), run.info.seed, gated.get(name, []))
        if summary is not None:
            stats[name] = summary
    results = gates.evaluate(run.scenario.gates, samples, spans, run.info)
    checks = validity.judge(run, samples, results)
    verdict = decide(
        [(result.gate.id, result.verdict) for result in results],
        [check.reason for check in checks if not check.ok],
    )
    return Assessment(run, spans, samples, stats, results, checks, verdict)
