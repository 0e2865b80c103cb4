"""Fit to one run, predict another load, register that, score it: on runs of a known system.

The whole loop on a real stack is in tests/load.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from test_sim_calibrate import CONNECT_S, REAL_START_S, rows

from reports.assess import assess
from reports.build import build
from reports.rundir import RunReader, RunWriter, new_run_dir
from scenarios.loader import loads
from sim import fit as fits
from sim import rows as simulated_rows
from sim.cli import group
from sim.from_scenario import Case
from sim.run import replicate

MEASURED = """\
version: 1
name: measured
load:
  model: open
  session: 9s
  patience: {dist: exponential, mean: 9s}
  stages: [{name: hold, for: 600s, rate: 1/s}]
pool:
  boot: {dist: exponential, mean: 9s}
  max_workers: 40
  price: {running: 1 USD/h}
  policy: {kind: buffer, warm: 2, interval: 0s}
"""
TRUTH = {
    "load": {
        "session": {"dist": "exponential", "mean": "20s"},
        "patience": {"dist": "exponential", "mean": "12s"},
    },
    "pool": {"boot": {"dist": "lognormal", "median": "30s", "p95": "57.92s"}},
}
"""What test_sim_calibrate draws its rows from."""
OTHER_LOAD = [
    {"name": "calm", "for": "300s", "rate": "0.2/s"},
    {"name": "rush", "for": "900s", "rate": "0.7/s", "to": "1.1/s"},
]


def gates(within: str) -> list[dict[str, str]]:
    return [
        {"id": name, "metric": metric, "stat": "mean", "agrees_with": "sim", "within": within}
        for name, metric in (("busy", "pool.workers.busy"), ("waits", "pool.wait_time"))
    ]


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The scenario of the second run: what the first has shown, under another load."""
    monkeypatch.setattr(fits, "RESAMPLES", 20)
    writer = RunWriter(new_run_dir("first", tmp_path), MEASURED)
    writer.write_rows("events", "n", rows(11, 600))
    writer.finish()
    out = tmp_path / "fitted.yaml"
    result = CliRunner().invoke(group, ["fit", str(writer.path), "-o", str(out)])
    assert result.exit_code == 0, result.output
    found = yaml.safe_load(out.read_text())
    found["load"]["stages"] = OTHER_LOAD
    found["sim"] |= {"replications": 30}
    found["sim"]["adds"].pop("scrub")  # the system of this test scrubs in no time
    return found


def measured(scenario: dict, tmp_path: Path, truth: dict) -> Path:
    """A run of ``scenario`` as a system behaves that really is ``truth``, with its prediction."""
    text = yaml.safe_dump(scenario, sort_keys=False)
    file = tmp_path / "second.yaml"
    file.write_text(text)
    writer = RunWriter(new_run_dir("second", tmp_path), text)
    model = str(writer.path / "model")
    CliRunner().invoke(group, ["run", str(file), "--run-dir", model, "--json", "-"])
    writer.register_prediction()
    real = {key: {**scenario[key], **truth.get(key, {})} for key in ("load", "pool")}
    adds = {"adds": {"boot": f"{REAL_START_S}s", "session": f"{CONNECT_S}s"}}
    system = {**scenario, **real, "sim": adds, "gates": []}
    case = Case(loads(yaml.safe_dump(system, sort_keys=False), host="simulated"))
    simulated_rows.write(writer, case, [replicate(case, 1000)])
    writer.finish()
    return writer.path


def test_a_model_fitted_to_one_run_agrees_with_a_run_of_another_load(
    second: dict, tmp_path: Path
) -> None:
    path = measured({**second, "gates": gates("60%")}, tmp_path, TRUTH)
    found = assess(RunReader(path))
    verdicts = {result.gate.id: result.verdict for result in found.gates}
    assert verdicts == {"busy": "PASS", "waits": "PASS"}, [r.reason for r in found.gates]
    assert all("chance alone makes up to ±" in result.reason for result in found.gates)
    build(path)
    page = (path / "report.html").read_text()
    assert "<h2>Model and measurement</h2>" in page
    written = json.loads((path / "gates.json").read_text())
    assert [gate["verdict"] for gate in written] == ["PASS", "PASS"]


def test_a_system_that_has_changed_since_the_fit_does_not_agree(
    second: dict, tmp_path: Path
) -> None:
    """Boots take four times as long as when the model was fitted."""
    slower = {**TRUTH, "pool": {"boot": {"dist": "lognormal", "median": "120s", "p95": "232s"}}}
    path = measured({**second, "gates": gates("60%")}, tmp_path, slower)
    verdicts = {result.gate.id: result.verdict for result in assess(RunReader(path)).gates}
    assert verdicts["waits"] == "FAIL"
