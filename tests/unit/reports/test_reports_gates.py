"""Every kind of gate on figures given by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from reports.evidence import Evidence, GateResult
from reports.gates import evaluate
from reports.runinfo import Aborted, RunInfo
from reports.samples import Samples
from reports.statistics import summarise
from reports.verdict import GateVerdict
from scenarios.gates import Gate
from scenarios.schedule import StageSpan
from system.protocol.metrics import METRICS

SPANS = [StageSpan("warmup", 0, 10, False), StageSpan("ramp", 10, 20, True),
         StageSpan("hold", 20, 60, True)]  # fmt: skip
INFO = RunInfo(kind="measured", name="x", scenario_sha256="", seed=1, started_at="2026-03-01")


def gate(**keys: Any) -> Gate:
    given = {"id": "g", "metric": "session.join_time", "stat": "p95", **keys}
    return Gate.model_validate(given)


def samples(
    values: Sequence[float], name: str = "session.join_time", *, at_s: float = 30.0
) -> Samples:
    count = len(values)
    stage = next(k for k, span in enumerate(SPANS) if span.start_s <= at_s < span.end_s)
    return Samples(METRICS[name], np.array(values, dtype=np.float64), np.arange(count),
                   np.full(count, at_s), np.full(count, stage, dtype=np.int64))  # fmt: skip


def judge(wanted: Gate, found: Samples | None, **evidence: Any) -> GateResult:
    every = {} if found is None else {found.metric.name: found}
    stats = {
        name: summary
        for name, one in every.items()
        if (summary := summarise(one.during(SPANS), 1, [wanted.stat]))
    }
    given = {"info": INFO, "samples": every, "spans": SPANS, "stats": stats, **evidence}
    (result,) = evaluate([wanted], Evidence(**given))
    return result


@dataclass
class Run:
    """Figures of a run, the same for every gate."""

    started_at: str
    value: float | None

    def of(self, gate: Gate) -> float | None:
        return self.value


def runs(values: Sequence[float | None], *, first_day: int = 1, step: int = 1) -> list[Run]:
    return [Run(f"2026-01-{first_day + step * k:02d}", v) for k, v in enumerate(values)]


STEADY = [1.00, 1.03, 0.97, 1.02, 0.98, 1.01, 0.99, 1.04, 0.96, 1.0]


# --- limits ---------------------------------------------------------------------


def test_a_strict_gate_asks_for_the_whole_interval() -> None:
    found = samples([1.0] * 50 + [1.9] * 50)
    plain = judge(gate(stat="mean", **{"<=": "1.5s"}), found)
    strict = judge(gate(stat="mean", strict=True, **{"<=": "1.5s"}), found)
    assert plain.verdict is GateVerdict.PASS
    assert plain.ci95 is not None
    assert plain.ci95[1] > 1.5
    assert strict.verdict is GateVerdict.FAIL
    assert "strict, and the interval is 1.36 s to 1.54 s" in strict.reason
    roomy = judge(gate(stat="mean", strict=True, **{"<=": "1.6s"}), found)
    assert roomy.verdict is GateVerdict.PASS


def test_a_strict_gate_without_an_interval_fails_but_for_extremes() -> None:
    alone = samples([1.0])
    assert judge(gate(strict=True, **{"<=": "2s"}), alone).reason.endswith("there is no interval")
    extreme = gate(stat="max", strict=True, **{"<=": "2s"})
    assert judge(extreme, alone).verdict is GateVerdict.PASS


def test_a_gate_during_a_stage_looks_at_that_stage_only() -> None:
    early, late = samples([9.0] * 5, at_s=15.0), samples([1.0] * 5, at_s=30.0)
    both = Samples(early.metric, *(np.concatenate([getattr(early, f), getattr(late, f)])
                   for f in ("values", "sessions", "t_s", "stages")))  # fmt: skip
    assert judge(gate(**{"<=": "2s"}), both).verdict is GateVerdict.FAIL
    assert judge(gate(during="hold", **{"<=": "2s"}), both).value == 1.0


def test_the_gate_that_ended_the_run_fails_whatever_its_figure_says() -> None:
    info = replace(INFO, aborted=Aborted("g", 31.0, "p95 3 s > 2 s"))
    result = judge(gate(abort={}, **{"<=": "2s"}), samples([1.0]), info=info)
    assert (result.verdict, result.reason) == (
        GateVerdict.FAIL,
        "ended the run at 31 s: p95 3 s > 2 s",
    )


# --- regressions ------------------------------------------------------------------

DRIFT = gate(regression={"margin": "10%"})


def _drift(candidates: Sequence[float | None], base: Sequence[float | None] = STEADY) -> GateResult:
    return judge(
        DRIFT,
        samples([1.0]),
        candidates=runs(candidates, first_day=20),
        baselines=runs(base),
        left_out="2 are of another version of the scenario",
    )


def test_a_run_like_its_baseline_passes_and_says_by_how_much() -> None:
    result = _drift([1.01])
    assert result.verdict is GateVerdict.PASS
    assert result.value == pytest.approx(1.01)
    assert result.limit == pytest.approx(1.1, rel=0.01)
    assert result.ci95 is not None
    assert result.ci95[0] < 1.01 < result.ci95[1] < result.limit
    assert "1.01 s in 1 run, 1 s in 10 baseline runs: +1.0%" in result.reason
    assert "+10% allowed" in result.reason


def test_a_run_that_is_much_slower_fails() -> None:
    assert _drift([1.25]).verdict is GateVerdict.FAIL


def test_an_undecided_run_asks_for_more_and_more_decide() -> None:
    alone = _drift([1.15])
    assert alone.verdict is GateVerdict.INCONCLUSIVE
    assert alone.reason.startswith("undecided: ")
    assert alone.reason.endswith("add a run, up to 5")
    assert _drift([1.15, 1.17, 1.18, 1.19]).verdict is GateVerdict.FAIL
    assert _drift([1.06, 1.02, 1.03, 1.01]).verdict is GateVerdict.PASS


def test_the_first_decision_stands() -> None:
    assert _drift([1.0, 9.0, 9.0]).verdict is GateVerdict.PASS


def test_five_undecided_runs_are_the_end() -> None:
    result = _drift([1.0, 1.2, 1.01, 1.19, 1.1])
    if result.verdict is GateVerdict.INCONCLUSIVE:
        assert "add a run" not in result.reason
    spread = _drift([1.1, 1.1, 1.1, 1.1, 1.1])
    assert spread.verdict is GateVerdict.INCONCLUSIVE
    assert "add a run" not in spread.reason


def test_what_should_be_high_may_not_sink() -> None:
    fps = gate(metric="video.fps", stat="p50", regression={"margin": "10%"})
    found = samples([30.0], "video.fps")
    base = [30 * value for value in STEADY]
    for value, verdict in ((29.5, "PASS"), (36.0, "PASS"), (22.0, "FAIL")):
        result = judge(fps, found, candidates=[Run("2026-02", value)], baselines=runs(base))
        assert result.verdict == verdict
        assert result.limit == pytest.approx(27.0, rel=0.01)
    assert "-10% allowed" in result.reason


def test_too_few_baselines_are_inconclusive_and_told() -> None:
    result = _drift([1.0], STEADY[:4])
    assert result.verdict is GateVerdict.INCONCLUSIVE
    assert result.reason == (
        "4 baseline runs of this scenario and machine, 5 are needed and 10 are better; "
        "2 are of another version of the scenario"
    )


@pytest.mark.parametrize(
    ("candidates", "base", "verdict"),
    [
        ([0.0], [0.0] * 5, GateVerdict.PASS),
        ([0.1], [0.0] * 5, GateVerdict.INCONCLUSIVE),
        ([0.0], STEADY, GateVerdict.INCONCLUSIVE),
        ([1.0], [*STEADY, math.inf], GateVerdict.INCONCLUSIVE),
        ([math.inf], STEADY, GateVerdict.FAIL),
        ([1.0, None], STEADY, GateVerdict.INCONCLUSIVE),
        ([1.0], [*STEADY, None], GateVerdict.PASS),
    ],
)
def test_figures_without_a_logarithm(
    candidates: list[float | None], base: list[float | None], verdict: GateVerdict
) -> None:
    assert _drift(candidates, base).verdict is verdict


# --- two builds in turns -----------------------------------------------------------

TURNS = gate(regression={"margin": "10%"}, mode="ab")


def _turns(mine: list[Run], others: list[Run]) -> GateResult:
    return judge(TURNS, samples([1.0]), candidates=mine, against=others, baselines=runs(STEADY))


def test_two_builds_that_took_turns_are_compared_in_pairs() -> None:
    drift = [1.0, 1.3, 1.7, 2.2, 3.0]
    others = runs(drift, first_day=1, step=2)
    for change, verdict in ((1.01, GateVerdict.PASS), (1.3, GateVerdict.FAIL)):
        wobble = [1.0, 1.01, 0.99, 1.0, 1.0]
        values = [change * a * b for a, b in zip(drift, wobble, strict=True)]
        mine = runs(values, first_day=2, step=2)
        assert _turns(mine, others).verdict is verdict


def test_builds_that_did_not_take_turns_are_not_compared() -> None:
    early, late = runs(STEADY[:5], first_day=1), runs(STEADY[:5], first_day=11)
    result = _turns(late, early)
    assert result.verdict is GateVerdict.INCONCLUSIVE
    assert "did not take turns" in result.reason


def test_one_run_alone_cannot_decide_a_gate_of_two_builds() -> None:
    result = _turns(runs([1.0]), [])
    assert result.verdict is GateVerdict.INCONCLUSIVE
    assert "1 run of this build and 0 of the other" in result.reason


# --- agreement with a model -----------------------------------------------------------


@dataclass
class Said:
    """A prediction."""

    value: float | None = None
    problem: str = field(default="")
    chance: float | None = None

    def of(self, gate: Gate) -> float | None:
        return self.value

    def chance_of(self, gate: Gate) -> float | None:
        return self.chance


MODEL = gate(metric="pool.wait_time", stat="mean", agrees_with="sim", within="20%")


@pytest.mark.parametrize(
    ("prediction", "verdict", "told"),
    [
        (Said(9.0), "PASS", "10 s measured, 9 s predicted (+11.1%); 20% allowed, n = 2"),
        (Said(8.0), "FAIL", "(+25.0%)"),
        (Said(13.0), "FAIL", "(-23.1%)"),
        (Said(0.0), "FAIL", "0 s predicted; 20% allowed"),
        (Said(None), "FAIL", "the model has no pool.wait_time mean"),
        (Said(10.0, "it was not registered"), "FAIL", "it was not registered"),
        (None, "FAIL", "no prediction was registered"),
    ],
)
def test_a_run_agrees_with_what_was_predicted_or_not(
    prediction: Said | None, verdict: str, told: str
) -> None:
    result = judge(MODEL, samples([8.0, 12.0], "pool.wait_time"), prediction=prediction)
    assert result.verdict == verdict
    assert told in result.reason


@pytest.mark.parametrize(
    ("chance", "told"),
    [
        (0.9, "n = 2; chance alone makes up to ±10% in one run"),
        (4.5, "±50% in one run, more than is allowed: a longer run would say more"),
    ],
)
def test_agreement_stands_beside_what_chance_makes(chance: float, told: str) -> None:
    found = judge(
        MODEL, samples([8.0, 12.0], "pool.wait_time"), prediction=Said(9.0, chance=chance)
    )
    assert found.verdict is GateVerdict.PASS
    assert found.reason.endswith(told)


def test_nothing_measured_where_nothing_was_predicted_agrees() -> None:
    found = samples([0.0, 0.0], "pool.wait_time")
    assert judge(MODEL, found, prediction=Said(0.0)).verdict is GateVerdict.PASS


def test_a_simulation_is_not_compared_with_itself() -> None:
    info = replace(INFO, kind="simulated")
    result = judge(MODEL, samples([1.0], "pool.wait_time"), info=info)
    assert result.verdict is GateVerdict.SKIPPED


# --- applicability ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["limit", "regression"])
def test_what_applies_and_has_no_data_fails(kind: str) -> None:
    rule = {"<=": "1s"} if kind == "limit" else {"regression": {"margin": "10%"}}
    assert judge(gate(**rule), None).verdict is GateVerdict.FAIL


def test_what_a_simulation_does_not_have_is_skipped() -> None:
    fps = gate(metric="video.fps", **{">=": "30/s"})
    result = judge(fps, None, info=replace(INFO, kind="simulated"))
    assert result.reason == "video.fps does not exist in a simulation"
    hidden = gate(metric="pool.wait", stat="mean", **{"<=": "1%"})
    result = judge(hidden, None, info=replace(INFO, shows_pool=False))
    assert result.verdict is GateVerdict.SKIPPED
