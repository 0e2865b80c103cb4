"""Where replications are simulated makes no difference, and what is missing is told."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scenarios.loader import load, loads
from sim import scale
from sim.cli import group
from sim.from_scenario import Case
from sim.run import Replication, replicate

TEXT = """\
version: 1
name: spread
load:
  model: open
  session: {dist: exponential, mean: 3min}
  patience: 1min
  stages: [{name: hold, for: 20min, rate: 3/min}]
pool: {boot: 40s, max_workers: 20, policy: {kind: buffer, warm: 1}}
"""


def same(one: Replication, other: Replication) -> bool:
    return (
        one.number == other.number
        and np.array_equal(one.wait_us, other.wait_us)
        and np.array_equal(one.outcome, other.outcome)
        and np.array_equal(one.pools[0].areas, other.pools[0].areas)
    )


def test_little_work_stays_here_and_comes_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "WORTH_S", math.inf)
    case = Case(loads(TEXT, host="simulated"))
    here = [replicate(case, number) for number in range(4)]
    found = list(scale.replications(TEXT, case, 4, "fast", "auto", None))
    assert len(found) == 4
    assert all(map(same, here, found))


def test_a_scenario_travels_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("t,len\n0,30\n5,7\n")
    (tmp_path / "boots.csv").write_text("s\n12\n")
    text = (
        "version: 1\nname: traced\n"
        "load: {model: open, arrivals: {trace: trace.csv, time: t, session: len}}\n"
        "pool: {boot: {dist: empirical, file: boots.csv, column: s}, max_workers: 2,\n"
        "  policy: {kind: buffer, warm: 0, interval: 0s}}\n"
    )
    file = tmp_path / "traced.yaml"
    file.write_text(text)
    parcel = scale.Parcel.of(load(file, host="simulated"), text)
    for path in tmp_path.iterdir():
        path.unlink()
    assert scale._one(parcel, 0, "fast").wait_us.tolist() == [12_000_000, 12_000_000]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "dask"], "--backend dask needs --cluster, the address of its scheduler"),
        (["--cluster", "tcp://127.0.0.1:1"], "--cluster goes with --backend dask or ray"),
        (
            ["--backend", "dask", "--cluster", "tcp://127.0.0.1:1"],
            "the package 'distributed' is missing: pip install 'distributed'",
        ),
        (
            ["--backend", "ray", "--cluster", "127.0.0.1:1"],
            "the package 'ray' is missing: pip install 'ray'",
        ),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("distributed", "ray"):
        monkeypatch.setitem(sys.modules, package, None)
    file = tmp_path / "s.yaml"
    file.write_text(TEXT)
    out = tmp_path / "run"
    result = CliRunner().invoke(group, ["run", str(file), "--run-dir", str(out), *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists(), "nothing is left of a run that was not made"
