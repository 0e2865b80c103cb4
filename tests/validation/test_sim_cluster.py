"""Replications on a real Dask cluster of two processes: the same as here, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from distributed import LocalCluster

from sim import scale
from sim.cli import group

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]

TEXT = """\
version: 1
name: spread
load:
  model: open
  arrivals: {trace: trace.csv, time: t}
  session: {dist: lognormal, mean: 3min, cv: 1.1}
  patience: {dist: exponential, mean: 1min}
pool:
  boot: {dist: weibull, shape: 1.5, scale: 60s}
  boot_failure: 5%
  max_workers: 12
  price: {running: 1 USD/h}
  policy: {kind: buffer, warm: 2, interval: 10s}
sim: {replications: 12}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    made = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    )
    with made:
        yield made


def simulate(file: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        group, ["run", str(file), "--run-dir", str(out), "--json", "-", *arguments]
    )


def test_a_cluster_makes_the_same_run_as_this_machine(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    file = tmp_path / "spread.yaml"
    file.write_text(TEXT)
    (tmp_path / "trace.csv").write_text("t\n" + "\n".join(str(17 * k) for k in range(300)))
    address = str(cluster.scheduler_address)
    there = simulate(file, tmp_path / "dask", "--backend", "dask", "--cluster", address)
    assert there.exit_code == 0, there.output
    for backend in ("loky", "serial"):
        here = simulate(file, tmp_path / backend, "--backend", backend)
        assert json.loads(here.stdout)["metrics"] == json.loads(there.stdout)["metrics"]
        for table in ("events", "system"):
            same = (tmp_path / name / f"{table}.parquet" for name in ("dask", backend))
            assert len({path.read_bytes() for path in same}) == 1


def test_much_work_goes_to_all_cores_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spread.yaml"
    file.write_text(TEXT)
    (tmp_path / "trace.csv").write_text("t\n" + "\n".join(str(17 * k) for k in range(300)))
    monkeypatch.setattr(scale, "WORTH_S", 0.0)
    by_itself = simulate(file, tmp_path / "auto")
    here = simulate(file, tmp_path / "serial", "--backend", "serial")
    assert json.loads(here.stdout)["metrics"] == json.loads(by_itself.stdout)["metrics"]


PLAN = """
gates: [{id: wait, metric: pool.wait_time, stat: mean, "<=": 20s}]
plan: {policies: [{kind: buffer, warm: {from: 1, to: 8}}, {kind: fixed, size: [6, 9, 12]}]}
"""


def test_a_plan_is_the_same_wherever_its_candidates_are_raced(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(TEXT + PLAN)
    (tmp_path / "trace.csv").write_text("t\n" + "\n".join(str(17 * k) for k in range(300)))
    address = str(cluster.scheduler_address)
    ways = (["serial"], ["loky"], ["dask", "--cluster", address])
    found = []
    for way in ways:
        result = CliRunner().invoke(
            group, ["plan", str(file), "--budget", "2min", "--json", "-", "--backend", *way]
        )
        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
        found.append({key: answer[key] for key in ("policy", "cost", "gates", "alternatives")})
    assert found[0] == found[1] == found[2]


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "spread.yaml"
    stages = "stages: [{name: hold, for: 1min, rate: 1/s}]"
    file.write_text(TEXT.replace("arrivals: {trace: trace.csv, time: t}", stages))
    result = simulate(file, tmp_path / "run", "--backend", "dask", "--cluster", "tcp://127.0.0.1:9")
    assert result.exit_code == 2
    assert "tcp://127.0.0.1:9 cannot be reached" in result.stderr
    assert "Traceback" not in result.output
