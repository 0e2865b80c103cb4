"""Measure one load, fit the model to it, predict another load, measure that, and score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from locust_run import judged, locust, read_json, read_text

from scenarios.cli import group as scenario_group
from sim.cli import group as sim_group

MEASURED = """\
version: 1
name: calibration
seed: 5
stream: {resolution: 320x180, fps: 10, bitrate: 200kbps}
load:
  model: open
  session: {dist: exponential, mean: 4s}
  patience: {dist: exponential, mean: 3s}
  receive: {frames: 100%}
  stages: [{name: rush, for: 60s, rate: 0.7/s}]
pool:
  initial: 1
  boot: {dist: lognormal, median: 2s, p95: 4s}
  scrub: 300ms
  max_workers: 3
  price: {running: 1 USD/h}
  policy: {kind: buffer, warm: 1, interval: 0s}
gates: [{id: joins, metric: session.failed, stat: mean, "<=": 10%}]
"""
OTHER_LOAD = {
    "stages": [
        {"name": "calm", "for": "20s", "rate": "0.25/s"},
        {"name": "rush", "for": "40s", "rate": "0.6/s"},
    ]
}
AGREES = {"agrees_with": "sim", "stat": "mean"}
GATES = [
    {"id": "busy", "metric": "pool.workers.busy", "within": "50%", **AGREES},
    {"id": "cost", "metric": "pool.cost", "within": "30%", **AGREES},
    {"id": "waited", "metric": "pool.wait", "within": "70%", **AGREES},
    {"id": "wrong", "metric": "pool.cost", "within": "0.01%", **AGREES},
]
"""All but the last as wide as chance makes one run of a minute, or wider."""


def command(group: Any, *arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.mark.timeout(360)
async def test_a_model_fitted_to_one_load_predicts_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    fitted = tmp_path / "fitted.yaml"
    first.write_text(MEASURED)
    done = await locust(
        "--scenario", str(first), "--run-dir", str(tmp_path / "a"), deadline_s=150.0
    )
    assert judged(done, tmp_path / "a", 0), done.output

    replayed = command(sim_group, "replay", tmp_path / "a" / "orchestrator.log")
    assert replayed.exit_code == 0, replayed.output
    found = command(sim_group, "fit", tmp_path / "a", "-o", fitted, "--json", "-")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert {"session", "boot", "patience"} <= said["fitted"].keys()
    low, high = said["fitted"]["session"]["mean_ci95_s"]
    assert low / 1.5 < 4.0 < high * 1.5
    assert said["adds_s"]["boot"] > 0.2, "a worker does not start in no time"
    assert command(scenario_group, "check", fitted).exit_code == 0

    other = yaml.safe_load(fitted.read_text())
    other["seed"] = 8  # of an ordinary day: chance alone makes others up to 60 % busier
    other["load"] |= OTHER_LOAD
    other["sim"] |= {"replications": 100}
    other["gates"] = GATES
    second.write_text(yaml.safe_dump(other, sort_keys=False))
    out = tmp_path / "b"
    done = await locust("--scenario", str(second), "--run-dir", str(out), deadline_s=150.0)
    assert judged(done, out, 1), done.output
    gates = {gate["id"]: gate for gate in read_json(out, "gates.json")}
    verdicts = {name: gate["verdict"] for name, gate in gates.items()}
    assert verdicts == {"busy": "PASS", "cost": "PASS", "waited": "PASS", "wrong": "FAIL"}, gates
    assert "chance alone makes up to ±" in gates["busy"]["reason"]
    assert "more than is allowed" in gates["wrong"]["reason"]
    assert read_json(out, "run.json")["prediction_sha256"]
    page, text = read_text(out, "report.html"), read_text(out, "report.md")
    assert "<h2>Model and measurement</h2>" in page
    assert "| pool.wait_time mean |" in text
    assert "by chance" in page
