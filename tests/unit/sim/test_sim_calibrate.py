"""Calibrating a scenario by the rows of measured runs; and what cannot be fitted to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from reports.rundir import RunWriter, new_run_dir
from scenarios.cli import group as scenario_group
from scenarios.loader import load
from sim import fit as fits
from sim.cli import group
from sim.from_scenario import Case
from sim.run import replicate

SCENARIO = """\
version: 1
name: measured
load:
  model: open
  arrivals: {process: poisson}
  session: 9s
  patience: {dist: exponential, mean: 9s}
  stages: [{name: hold, for: 600s, rate: 1/s}]
pool:
  boot: {dist: exponential, mean: 9s}
  scrub: 1s
  max_workers: 40
  policy: {kind: buffer, warm: 2, interval: 0s}
sim: {replications: 2, start: "08:00"}
"""
REAL_START_S, CONNECT_S, LATE_SCRUB_S = 1.5, 0.25, 0.4


def duration(event: str, seconds: float, ended: bool, t_s: float = 1.0, **attrs: Any) -> dict:
    """A row as measured runs have it."""
    if not ended:
        attrs = {**attrs, "censored": True, "after_s": seconds}
    return {
        "t_us": round(t_s * 1e6),
        "source": "client",
        "node": "n",
        "session_id": "s",
        "stage": "hold",
        "event": event,
        "value": seconds if ended else None,
        "unit": "s",
        "attrs": json.dumps(attrs),
    }


def rows(seed: int, count: int = 300) -> list[dict[str, Any]]:
    """Stays of 20 s in the mean, patience of 12 s, boots of 30 s drawn; each third cut off."""
    rng = np.random.default_rng(seed)
    found = []
    for stay, cut in zip(rng.exponential(20.0, count), rng.exponential(40.0, count), strict=True):
        held = {"held_s": stay + CONNECT_S} if stay <= cut else {}
        found.append(duration("session.length", min(stay, cut), stay <= cut, **held))
    for left, served in zip(
        rng.exponential(12.0, count), rng.exponential(24.0, count), strict=True
    ):
        found.append(duration("session.patience", min(left, served), left <= served))
    for drawn, cut in zip(
        rng.lognormal(np.log(30.0), 0.4, count), rng.exponential(70.0, count), strict=True
    ):
        whole = drawn + REAL_START_S
        why = {} if whole <= cut else {"why": "still going on"}
        found.append(duration("worker.boot", min(whole, cut), whole <= cut, drawn_s=drawn, **why))
    found.append(duration("worker.boot", 500.0, True, t_s=-3.0))
    for drawn in rng.exponential(8.0, 80):
        found.append(duration("worker.start", drawn + 0.5, True, drawn_s=drawn))
    found += [duration("worker.scrub", 1.0 + LATE_SCRUB_S, True) for _ in range(5)]
    return found


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "RESAMPLES", 40)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, events: list[dict[str, Any]], **more: Any) -> Path:
        text = more.pop("text", SCENARIO)
        writer = RunWriter(new_run_dir(name, tmp_path), text, **more)
        writer.write_rows("events", "n", events)
        writer.finish()
        return writer.path

    return make


def sim(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_several_runs_become_a_scenario_that_is_checked_and_simulated(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "fitted.yaml"
    result = sim("fit", run("a", rows(1)), run("b", rows(2)), "-o", out, "--json", "-")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {name: one["n"] for name, one in found["fitted"].items()} == {
        "session": 600,
        "patience": 600,
        "boot": 600,
        "start": 160,
    }
    assert found["fitted"]["boot"]["written"]["dist"] == "lognormal"
    for name, mean_s in (("session", 20.0), ("patience", 12.0), ("boot", 32.5), ("start", 8.0)):
        assert found["fitted"][name]["mean_s"] == pytest.approx(mean_s, rel=0.1)
        assert found["fitted"][name]["fits"]
    assert all(found["fitted"][name]["censored"] > 100 for name in ("session", "patience", "boot"))
    expected = {"boot": REAL_START_S, "start": 0.5, "session": CONNECT_S, "scrub": LATE_SCRUB_S}
    assert found["adds_s"] == pytest.approx(expected, rel=1e-6)
    assert CliRunner().invoke(scenario_group, ["check", str(out)]).exit_code == 0
    fitted = load(out, host="simulated")
    assert fitted.name == "measured-fitted"
    assert fitted.pool.boot.mean == pytest.approx(found["fitted"]["boot"]["mean_s"], rel=1e-3)
    assert (fitted.pool.scrub.mean, fitted.sim.start_s) == (1.0, 8 * 3600)
    done = sim("run", out, "--run-dir", tmp_path / "sim", "--json", "-")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["kind"] == "simulated"


def test_what_the_system_adds_lengthens_simulated_boots_sessions_and_scrubs(
    tmp_path: Path,
) -> None:
    """Two who come 1 s apart to one worker: the second waits for the first, and for what is added.

    The first waits for a boot of 9 s and 1.5 s; it stays 9 s and 0.25 s; a scrub
    takes 1 s and 0.4 s. From second 0, when both were asked for, that is 21.15 s.
    """
    (tmp_path / "trace.csv").write_text("t\n0\n0\n")
    file = tmp_path / "adds.yaml"
    file.write_text(
        "version: 1\nname: adds\n"
        "load: {model: open, arrivals: {trace: trace.csv, time: t}, session: 9s,\n"
        "  stages: [{name: hold, for: 60s}]}\n"
        "pool: {initial: 0, boot: 9s, scrub: 1s, max_workers: 1,\n"
        "  policy: {kind: buffer, warm: 0, interval: 0s}}\n"
        "sim: {adds: {boot: 1.5s, session: 250ms, scrub: 400ms}}\n"
    )
    case = Case(load(file, host="simulated"))
    for engine in ("fast", "simpy"):
        found = replicate(case, 0, engine)
        assert found.wait_us.tolist() == [10_500_000, 21_150_000]
        assert found.join_us.tolist() == [10_750_000, 21_400_000], "and to connect"


def test_failed_boots_become_a_chance_of_failure(run: Callable[..., Path], tmp_path: Path) -> None:
    failed = [
        duration("worker.boot", 4.0, False, why="exited with status 3", drawn_s=30.0)
        for _ in range(20)
    ]
    out = tmp_path / "f.yaml"
    assert sim("fit", run("a", rows(3) + failed), "-o", out).exit_code == 0
    decided = 20 + sum(r["event"] == "worker.boot" and r["value"] is not None for r in rows(3)) - 1
    assert load(out, host=None).pool.boot_failure == pytest.approx(20 / decided, rel=1e-3)


def test_boots_of_a_real_provider_are_fitted_whole(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    events = [row for row in rows(4) if row["event"] != "worker.boot"]
    events += [duration("worker.boot", 100.0 + index % 7, True) for index in range(60)]
    out = tmp_path / "f.yaml"
    assert sim("fit", run("a", events), "-o", out).exit_code == 0
    found = load(out, host=None)
    assert found.pool.boot.mean == pytest.approx(103.0, rel=0.01)
    assert found.sim.adds.boot_s == 0


def without(event: str, seed: int = 5) -> list[dict[str, Any]]:
    return [row for row in rows(seed) if row["event"] != event]


def test_what_was_not_seen_can_be_kept(run: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "f.yaml"
    result = sim("fit", run("a", without("worker.boot")), "-o", out, "--keep", "boot")
    assert result.exit_code == 0, result.output
    assert "boot: not fitted: kept as it was, as asked" in result.output
    assert "of them cut off; the shape is off by" in result.output
    assert load(out, host=None).pool.boot.mean == 9.0


CLOSED = "load: {model: capacity, from: 1, step: 1, hold: 5s, max: 3}\n"
SEARCH = f"version: 1\nname: search\n{CLOSED}" + (
    'gates: [{id: join, metric: session.join_time, stat: p95, "<=": 2s}]\n'
)
BAD: dict[str, tuple[Callable[[], list[dict[str, Any]]], dict[str, Any], str]] = {
    "an empty run": (list, {}, "is empty: it has no events"),
    "a simulated run": (lambda: rows(1), {"kind": "simulated"}, "is a simulated run"),
    "no boots": (lambda: without("worker.boot"), {}, "no worker was launched after the beginning"),
    "no joins": (lambda: without("session.length"), {}, "nobody joined"),
    "another host": (
        lambda: without("worker.boot"),
        {"target": "wss://staging.example"},
        "does not show its pool",
    ),
    "too few boots": (
        lambda: [*without("worker.boot"), duration("worker.boot", 3.0, True)],
        {},
        "boot: 1 of 1 were seen to their end; 5 are needed; fit several runs together",
    ),
    "a capacity search": (lambda: rows(1), {"text": SEARCH}, "is a capacity search"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_fitted_to_is_one_line_and_writes_nothing(
    name: str, run: Callable[..., Path], tmp_path: Path
) -> None:
    events, more, words = BAD[name]
    out = tmp_path / "f.yaml"
    result = sim("fit", run("a", events(), **more), "-o", out)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


def test_a_run_does_not_count_twice(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run("a", rows(9))
    result = sim("fit", path, path.parent / "." / path.name, "-o", tmp_path / "f.yaml")
    assert result.exit_code == 2
    assert "named twice" in result.stderr


def test_a_directory_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    result = sim("fit", tmp_path, "-o", tmp_path / "f.yaml")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "not a run directory" in result.stderr


def test_a_file_is_replaced_only_by_force(run: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "f.yaml"
    out.write_text("precious")
    path = run("a", rows(6))
    result = sim("fit", path, "-o", out)
    assert result.exit_code == 2
    assert "exists; name another file, or --force" in result.stderr
    assert out.read_text() == "precious"
    assert sim("fit", path, "-o", out, "--force").exit_code == 0
    assert out.read_text() != "precious"


def test_a_place_that_cannot_be_written_is_one_line(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    result = sim("fit", run("a", rows(7)), "-o", tmp_path / "no" / "f.yaml")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "cannot be written" in result.stderr


def test_a_trace_that_the_scenario_names_comes_along(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "trace.csv").write_text("t,len\n0,5\n1,6\n")
    file = tmp_path / "traced.yaml"
    arrivals = "arrivals: {trace: trace.csv, time: t, session: len}"
    text = SCENARIO.replace("arrivals: {process: poisson}", arrivals)
    text = text.replace("  session: 9s\n", "").replace(", rate: 1/s", "")
    file.write_text(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = run("a", rows(8), text=text, argv=["--scenario", str(file)])
    assert sim("fit", path, "-o", elsewhere / "f.yaml").exit_code == 0
    found = Case(load(elsewhere / "f.yaml", host="simulated"))
    assert found.crowd(0).session_us.tolist() == [5_000_000, 6_000_000]
