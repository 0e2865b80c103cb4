"""The commands: what they write and print, and one clear error for what cannot be simulated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scenarios.loader import load
from sim.cli import group
from sim.from_scenario import Case
from sim.run import replicate

pytestmark = pytest.mark.timeout(600)

SMALL = """
version: 1
name: small
seed: 4
load:
  model: open
  session: {dist: exponential, mean: 5min}
  patience: {dist: exponential, mean: 60s}
  stages:
    - {name: quiet, for: 30min, rate: 1/min, measure: false}
    - {name: busy, for: 60min, rate: 3/min}
pool:
  boot: {dist: lognormal, median: 45s, p95: 90s}
  start: 5s
  max_workers: 60
  price: {running: 1 USD/h, stopped: 0.01 USD/h}
  policy: {kind: buffer, warm: 6, interval: 10s}
sim: {replications: 6}
gates:
  - {id: wait, metric: pool.wait_time, stat: p95, "<=": 2s}
  - {id: lost, metric: session.abandoned, stat: mean, "<=": 1%}
  - {id: fps, metric: video.fps, stat: mean, ">=": 20/s}
"""


def sim(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def test_a_run_writes_a_run_directory_and_prints_its_summary(small: Path, tmp_path: Path) -> None:
    result = sim("run", small, "--run-dir", tmp_path / "run", "--json", "-")
    summary = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert summary["kind"] == "simulated"
    assert summary["verdict"] == "PASS"
    wait = summary["metrics"]["pool.wait_time"]
    assert wait["ci95"]["mean"][0] <= wait["mean"] <= wait["ci95"]["mean"][1]
    workers = summary["metrics"]["pool.workers.busy"]["mean"]
    assert 13 < workers < 17
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "events.parquet", "summary.json", "gates.json", "report.html"} <= written
    gates = {gate["id"]: gate for gate in json.loads((tmp_path / "run/gates.json").read_text())}
    assert gates["fps"]["verdict"] == "SKIPPED"


def test_both_engines_and_all_backends_write_the_same_figures(small: Path, tmp_path: Path) -> None:
    found = []
    for index, more in enumerate(([], ["--engine", "simpy"], ["--backend", "loky"])):
        path = tmp_path / f"run{index}"
        result = sim("run", small, "--replications", 2, "--run-dir", path, "--json", "-", *more)
        found.append(json.loads(result.stdout)["metrics"])
    assert found[0] == found[1] == found[2]


def test_pool_rows_add_up_to_the_simulated_areas(small: Path, tmp_path: Path) -> None:
    result = sim("run", small, "--replications", 1, "--run-dir", tmp_path / "run", "--json", "-")
    metrics = json.loads(result.stdout)["metrics"]
    case = Case(load(small, host="simulated"))
    areas = replicate(case, 0).pools[0].areas
    measured = case.edges_us[:-1] >= 1800 * 1_000_000
    for index, state in enumerate(("ready", "booting", "busy", "stopped")):
        exact = areas[measured, index].sum() / (3600 * 1_000_000)
        assert metrics[f"pool.workers.{state}"]["mean"] == pytest.approx(exact, abs=1e-6)
    assert metrics["pool.wait"]["ci95"] is None


def test_a_failed_gate_is_exit_code_one(small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL.replace("warm: 6", "warm: 0"))
    assert sim("run", small, "--run-dir", tmp_path / "run").exit_code == 1


def test_a_kill_of_a_worker_falls_back_to_simpy_and_says_so(small: Path, tmp_path: Path) -> None:
    small.write_text(f"{SMALL}faults:\n  - {{at: 45min, kind: worker_kill, target: busy}}\n")
    result = sim("run", small, "--run-dir", tmp_path / "run", "--replications", 2, "--json", "-")
    assert "killing chosen workers: simulated with simpy" in result.stderr
    assert json.loads(result.stdout)["metrics"]["session.interrupted"]["mean"] > 0


def test_several_pools_share_the_arrivals_and_overflow(small: Path, tmp_path: Path) -> None:
    pools = SMALL.replace(
        "pool:\n",
        "pool:\n  - {name: near, share: 100%, max_workers: 8, "
        "policy: {kind: fixed, size: 8}}\n  - name: far\n    route: overflow\n",
    )
    head, _, tail = pools.partition("    route: overflow\n")
    block, _, rest = tail.partition("sim:")
    small.write_text(f"{head}    route: overflow\n{block.replace('  ', '    ')}sim:{rest}")
    result = sim("run", small, "--run-dir", tmp_path / "run", "--replications", 2, "--json", "-")
    assert "overflow" in result.stderr
    assert json.loads(result.stdout)["metrics"]["session.abandoned"]["mean"] < 0.02


def test_a_scenario_is_laid_beside_another_one_on_the_same_days(tmp_path: Path) -> None:
    """The document's design against ours, as the library has them."""
    library = Path(__file__).parents[3] / "scenarios/seed-semantics.yaml"
    result = sim("run", library, "--replications", 3, "--run-dir", tmp_path / "run", "--json", "-")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    beside = document["against"]
    assert beside["name"] == "seed-semantics-ours"
    blocked = beside["metrics"]["session.abandoned"]
    assert blocked["here"] == pytest.approx(document["metrics"]["session.abandoned"]["mean"], 0.01)
    assert blocked["here"] > 0.9
    assert blocked["there"] < 0.02
    assert blocked["ci95"][1] < 0
    assert json.loads((tmp_path / "run/against.json").read_text()) == beside


def test_a_scenario_to_compare_with_that_is_not_there_is_one_error(
    small: Path, tmp_path: Path
) -> None:
    small.write_text(SMALL.replace("sim: {", "sim: {against: nowhere.yaml, "))
    result = sim("run", small, "--run-dir", tmp_path / "run")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "small.yaml:18:16: sim.against: nowhere.yaml: no such file or directory" in result.stderr


BAD = {
    "rate of zero": ("rate: 3/min", "rate: 0/min", "rate: 1/min", "rate: 0/min"),
    "warm above max": ("warm: 6", "warm: 99"),
    "initial above max": ("max_workers: 60", "max_workers: 60\n  initial: 61"),
    "negative length": ("mean: 5min", "mean: -5min"),
    "impossible share": ("max_workers: 60", "max_workers: 60\n  boot_failure: 120%"),
    "loss that never scales": ("{dist: exponential, mean: 60s}", "0s", "warm: 6", "warm: 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_simulated_is_told_on_stderr(name: str, small: Path, tmp_path: Path) -> None:
    text = SMALL
    changes = BAD[name]
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    small.write_text(text)
    result = sim("run", small, "--run-dir", tmp_path / "run")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0,5\n10,-3\n", "length"),
        ("0,5\nx,3\n", "time"),
        ("0,5\n10,\n", "length"),
    ],
)
def test_a_trace_that_makes_no_sense_is_one_error(
    rows: str, words: str, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "trace.csv").write_text(f"time,length\n{rows}")
    small.write_text(TRACE)
    result = sim("run", small, "--run-dir", tmp_path / "run")
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


TRACE = """
version: 1
name: traced
load:
  model: open
  arrivals: {trace: trace.csv, time: time, session: length}
pool: {policy: {kind: fixed, size: 1}}
sim: {replications: 1}
"""


def test_an_unsorted_trace_with_gaps_and_ties_is_sorted_stably(small: Path, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("time,length\n100,10\n0,30\n0,5\n5000,1\n")
    small.write_text(TRACE)
    found = replicate(Case(load(small, host="simulated")), 0)
    assert found.wait_us.tolist() == [0, 30_000_000, 0, 0]


def test_the_clock_of_a_budget_needs_a_unit(small: Path) -> None:
    result = sim("plan", small, "--budget", "5")
    assert result.exit_code == 2
    assert "--budget" in result.stderr
