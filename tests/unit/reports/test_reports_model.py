"""Predictions: registered before the load, or of no use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import SCENARIO, Synthetic, event, synthesise

from reports import highlights
from reports.assess import Assessment, assess
from reports.build import build
from reports.errors import RunDirError
from reports.html import html
from reports.markdown import markdown
from reports.rundir import RunReader, RunWriter, new_run_dir
from reports.verdict import GateVerdict

GATES = """\
  - {id: model, metric: pool.wait_time, stat: mean, agrees_with: sim, within: 20%}
  - {id: later, metric: pool.wait_time, stat: mean, agrees_with: sim, within: 20%, during: hold}
"""
TEXT = SCENARIO + GATES


def _waits(value: float, node: str = "x", stage: str = "hold") -> list[dict[str, Any]]:
    return [
        {**event(20.0 + k, f"s{k}", stage, "pool.wait_time", value + 0.01 * k), "node": node}
        for k in range(5)
    ]


@pytest.fixture
def predicted(tmp_path: Path) -> Callable[..., Path]:
    """Make a run of waits around 2 s, whose model predicts ``wait_s``."""

    def make(wait_s: float = 2.1, *, register: bool = True, text: str = TEXT) -> Path:
        writer = RunWriter(new_run_dir("run", tmp_path), TEXT)
        rows = [row for day in range(3) for row in _waits(wait_s + 0.02 * day, f"r{day}")]
        knobs = Synthetic(scenario=text, kind="simulated", with_rows=False, extra_events=rows)
        build(synthesise(writer.path, knobs, "model"))
        if register:
            writer.register_prediction()
        writer.write_rows("events", "x", _waits(2.0))
        writer.finish()
        return writer.path

    return make


def _results(path: Path) -> dict[str, tuple[GateVerdict, str]]:
    found = {one.gate.id: (one.verdict, one.reason) for one in assess(RunReader(path)).gates}
    return {name: found[name] for name in ("model", "later")}


def test_a_registered_prediction_is_compared_also_by_stage(
    predicted: Callable[..., Path],
) -> None:
    found = _results(predicted())
    assert [verdict for verdict, _ in found.values()] == [GateVerdict.PASS] * 2
    assert "2.02 s measured, 2.14 s predicted (-5.6%)" in found["model"][1]


def test_a_prediction_too_far_off_fails(predicted: Callable[..., Path]) -> None:
    assert _results(predicted(5.0))["model"][0] is GateVerdict.FAIL


def test_a_prediction_that_was_not_registered_or_changed_since_fails(
    predicted: Callable[..., Path],
) -> None:
    path = predicted(register=False)
    assert "was not registered before the load began" in _results(path)["model"][1]
    writer = RunWriter.__new__(RunWriter)
    writer.path, writer.info = path, RunReader(path).info
    writer.register_prediction()
    assert _results(path)["model"][0] is GateVerdict.PASS
    (path / "model" / "summary.json").write_text('{"metrics": {"pool.wait_time": {"mean": 2}}}')
    assert "or was changed since" in _results(path)["model"][1]


def test_a_prediction_of_another_scenario_fails(predicted: Callable[..., Path]) -> None:
    path = predicted(text=TEXT.replace("rate: 5/s", "rate: 9/s"))
    assert _results(path)["model"][1] == "the prediction is of another scenario"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda p: (p / "summary.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "summary.json").write_text('{"metrics": {"x": NaN}}'), "NaN is not JSON"),
        (lambda p: (p / "summary.json").write_text('{"metrics": []}'), "has no metrics"),
        (lambda p: (p / "run.json").unlink(), "not a run directory"),
    ],
)
def test_a_broken_prediction_fails_its_gate_and_not_the_report(
    predicted: Callable[..., Path], spoil: Callable[[Path], object], told: str
) -> None:
    path = predicted()
    spoil(path / "model")
    verdict, reason = _results(path)["model"]
    assert verdict is GateVerdict.FAIL
    assert told in reason


def test_without_a_model_nothing_can_be_registered(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="to register"):
        RunWriter(tmp_path, SCENARIO).register_prediction()


def _page(assessment: Assessment) -> str:
    return html(assessment, [])


def test_model_and_measurement_stand_side_by_side(predicted: Callable[..., Path]) -> None:
    path = predicted()
    assessment = assess(RunReader(path))
    page = _page(assessment)
    assert "<h2>Model and measurement</h2>" in page
    assert "2.14 s (2.09 s to 2.19 s)" in page
    assert "±4.6%" in page
    assert '<td class="num bad">-5.6%</td>' in page
    assert "| pool.wait_time mean | 2.02 s" in markdown(assessment)
    summary = json.loads((path / "model" / "summary.json").read_text())
    assert summary["kind"] == "simulated"


def test_one_of_many_runs_of_the_model_itself_is_rarely_beyond_chance(
    predicted: Callable[..., Path],
) -> None:
    """Three replications whose means are 2.12, 2.14 and 2.16: sd 0.02, t = 4.303, n = 3."""
    assessment = assess(RunReader(predicted()))
    model = assessment.model
    assert model is not None
    expected = 4.303 * 0.02 * (1 + 1 / 3) ** 0.5
    assert model.chance("pool.wait_time", "mean") == pytest.approx(expected, rel=1e-3)
    later = next(gate for gate in assessment.run.scenario.gates if gate.id == "later")
    assert model.chance_of(later) == pytest.approx(expected, rel=1e-3)
    assert model.chance("video.fps", "mean") is None


def test_what_is_not_there_on_either_side_is_no_comparison(predicted: Callable[..., Path]) -> None:
    assessment = assess(RunReader(predicted()))
    lines = [(line.metric, line.stat) for line in highlights.against_model(assessment)]
    assert ("pool.wait_time", "p95") in lines
    assert not any(stat != "mean" for metric, stat in lines if metric.startswith("pool.workers"))
