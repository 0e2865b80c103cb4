"""Everything that is concluded from the rows of a run, computed once, written by others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports import absent, baselines, capacity, gates, measure, statistics, validity
from reports.baselines import History
from reports.capacity import Capacity
from reports.evidence import Evidence, GateResult, RunFigures
from reports.model import Model, read_model
from reports.rundir import RunReader
from reports.samples import Samples
from reports.statistics import Stats
from reports.validity import Check
from reports.verdict import Exit, Verdict, decide
from scenarios.schedule import StageSpan


@dataclass(frozen=True)
class Assessment:
    """A run, its samples, and what follows from them.

    ``from_start`` are the statistics of joins and inputs from when they really began,
    ``absent`` says of metrics without samples why.
    """

    run: RunReader
    spans: list[StageSpan]
    samples: dict[str, Samples]
    stats: dict[str, Stats]
    from_start: dict[str, dict[str, float]]
    gates: list[GateResult]
    checks: list[Check]
    verdict: Verdict
    history: History
    model: Model | None
    capacity: Capacity | None
    absent: dict[str, str]

    @property
    def figures(self) -> RunFigures:
        """The run as one observation among others."""
        return RunFigures(self.run.info.started_at, self.samples, self.spans)


def assess(run: RunReader, *, baseline_dir: Path | None = None) -> Assessment:
    """Assess a run; raises RunDirError where its files are unfit."""
    spans = run.spans
    samples = measure.measure(run)
    asked: dict[str, list[str]] = {}
    for gate in run.scenario.gates:
        asked.setdefault(gate.metric, []).append(gate.stat)
    seed = run.info.seed
    stats = {
        name: found
        for name, every in samples.items()
        if (found := statistics.summarise(every.during(spans), seed, asked.get(name, [])))
    }
    began = {
        name: statistics.point_statistics(every.during(spans))
        for name, every in measure.from_start(run, samples).items()
        if name in stats
    }
    unjudged = Assessment(
        run=run,
        spans=spans,
        samples=samples,
        stats=stats,
        from_start=began,
        gates=[],
        checks=[],
        verdict=decide([], []),
        history=baselines.read(run, baseline_dir),
        model=read_model(run),
        capacity=capacity.conclude(run, samples, spans),
        absent={name: why for name, why in absent.reasons(run).items() if name not in samples},
    )
    return judge(unjudged)


def judge(
    one: Assessment,
    *,
    together: Sequence[Assessment] = (),
    against: Sequence[Assessment] = (),
) -> Assessment:
    """Judge a run by its gates, again where other runs matter as well.

    ``together`` are other runs of the same build, ``against`` runs of the build
    that it is compared with; both only matter to regression gates.
    """
    candidates = [one.figures, *(other.figures for other in together)]
    begun = {run.started_at for run in candidates}
    evidence = Evidence(
        info=one.run.info,
        samples=one.samples,
        spans=one.spans,
        stats=one.stats,
        candidates=candidates,
        baselines=[run for run in one.history.runs if run.started_at not in begun],
        against=[other.figures for other in against],
        prediction=one.model,
        left_out=one.history.left_out,
        absent=one.absent,
    )
    results = gates.evaluate(one.run.scenario.gates, evidence)
    checks = validity.judge(one.run, one.samples, results)
    verdict = decide(
        [(result.gate.id, result.verdict) for result in results],
        [check.reason for check in checks if not check.ok],
    )
    if one.capacity is not None and verdict.code is Exit.PASS:
        verdict = Verdict(verdict.code, one.capacity.sentence)
    return replace(one, gates=results, checks=checks, verdict=verdict)
