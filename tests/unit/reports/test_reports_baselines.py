"""Baselines: accepted, found again by scenario and machine, refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest
from click.testing import CliRunner, Result
from synthetic_run import SCENARIO, Synthetic, synthesise

from reports import baselines
from reports.assess import Assessment, assess
from reports.cli import group
from reports.distributions import spread
from reports.errors import RunDirError
from reports.highlights import key_figures
from reports.rundir import RunReader
from reports.runinfo import RunInfo
from reports.svg import style
from reports.verdict import Exit

Maker = Callable[..., Path]

DRIFT = SCENARIO + "  - {id: drift, metric: input.to_frame, stat: p95, regression: {margin: 10%}}\n"


def _edit(path: Path, **changes: object) -> None:
    data = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**data, **changes}))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven runs of one scenario, ``r0`` to ``r6``, a day apart; not to be changed."""
    base = tmp_path_factory.mktemp("day")
    for number in range(7):
        path = synthesise(base, Synthetic(scenario=DRIFT, seed=number), f"r{number}")
        _edit(path, started_at=f"2026-01-{number + 1:02d}T00:00:00+00:00")
    return base


@pytest.fixture(scope="module")
def kept(day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baselines of the first five of them."""
    where = tmp_path_factory.mktemp("kept")
    for number in range(5):
        result = _accept(day / f"r{number}", where)
        assert result.exit_code == 0, result.output
    return where


def _accept(run: Path, where: Path, *more: str) -> Result:
    return CliRunner().invoke(
        group, ["baseline", "accept", str(run), "--baselines", str(where), *more]
    )


def _assess(path: Path, where: Path) -> Assessment:
    return assess(RunReader(path), baseline_dir=where)


def test_a_baseline_lies_beside_the_scenario_by_name_and_machine() -> None:
    info = RunInfo(
        kind="measured", name="demo", scenario_sha256="", seed=1, started_at="",
        scenario_file="scenarios/demo.yaml", machine={"id": "abc/../x"},
    )  # fmt: skip
    assert baselines.directory(info) == Path("scenarios/baselines/demo/abc_.._x")
    assert baselines.directory(info, Path("b")) == Path("b/demo/abc_.._x")


def test_an_accepted_run_is_read_back_with_its_figures(day: Path, kept: Path) -> None:
    run = RunReader(day / "r5")
    found = baselines.read(run, kept)
    assert [one.run for one in found.runs] == ["r0", "r1", "r2", "r3", "r4"]
    own = _assess(day / "r0", kept)
    assert found.runs[0].figure("input.to_frame", "p95") == pytest.approx(
        own.stats["input.to_frame"].values["p95"], rel=1e-5
    )
    assert len(found.runs[0].spread["input.to_frame"]) == len(baselines.SHARES)
    sizes = [file.stat().st_size for file in kept.rglob("*.json")]
    assert len(sizes) == 5
    assert max(sizes) < 12_000


def test_a_run_is_compared_with_its_baselines(day: Path, kept: Path) -> None:
    assessment = _assess(day / "r5", kept)
    drift = next(one for one in assessment.gates if one.gate.id == "drift")
    assert "in 5 baseline runs" in drift.reason
    assert assessment.verdict.code is Exit.PASS


def test_without_baselines_it_is_inconclusive(day: Path, tmp_path: Path) -> None:
    assert _assess(day / "r5", tmp_path).verdict.code is Exit.INCONCLUSIVE


def test_a_run_is_no_baseline_of_itself(day: Path, kept: Path) -> None:
    drift = _assess(day / "r0", kept).gates[-1]
    assert "4 baseline runs" in drift.reason


def test_runs_of_another_version_of_the_scenario_do_not_count(kept: Path, make_run: Maker) -> None:
    path = make_run(scenario=DRIFT.replace("rate: 5/s", "rate: 6/s"))
    history = baselines.read(RunReader(path), kept)
    assert history.runs == ()
    assert history.left_out == "5 are of another version of the scenario"


def test_a_changed_gate_leaves_the_baselines_as_they_are(kept: Path, make_run: Maker) -> None:
    path = make_run(scenario=DRIFT.replace("250ms", "300ms"))
    assert len(baselines.read(RunReader(path), kept).runs) == 5


def test_candidates_are_judged_together(day: Path, kept: Path) -> None:
    runs = [str(day / "r5"), str(day / "r6")]
    result = CliRunner().invoke(group, ["gate", *runs, "--baselines", str(kept), "--json", "-"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["verdict"] == "PASS"
    assert [Path(one["run"]).name for one in data["runs"]] == ["r5", "r6"]
    reasons = {one["gates"][-1]["reason"] for one in data["runs"]}
    assert len(reasons) == 1


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["r5", "r5"], "a run is named twice"),
        (["r0", "r1", "r2", "r3", "r4", "r5"], "more than 5 would decide by chance"),
    ],
)
def test_candidates_that_cannot_be_judged_are_refused(
    day: Path, names: list[str], told: str
) -> None:
    result = CliRunner().invoke(group, ["gate", *(str(day / name) for name in names)])
    assert result.exit_code == 2
    assert told in result.stderr


def test_runs_of_two_scenarios_are_not_judged_together(day: Path, make_run: Maker) -> None:
    other = make_run(scenario=DRIFT.replace("rate: 5/s", "rate: 6/s"))
    result = CliRunner().invoke(group, ["gate", str(day / "r5"), str(other)])
    assert result.exit_code == 2
    assert "is of another scenario than" in result.stderr


def test_github_is_told_once_of_runs_that_were_judged_together(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = CliRunner().invoke(group, ["gate", str(day / "r4"), str(day / "r5")])
    assert len(set(result.stderr.splitlines())) == len(result.stderr.splitlines()) > 0
    assert summary.read_text().count("## Gates") == 1


def test_two_builds_that_took_turns_are_gated(day: Path, tmp_path: Path) -> None:
    """Each of five runs is compared with itself: no change, so it passes."""
    runs = []
    for number in range(10):
        path = tmp_path / f"t{number}"
        shutil.copytree(day / f"r{number // 2}", path)
        text = DRIFT.replace("margin: 10%}}", "margin: 10%}, mode: ab}")
        (path / "scenario.yaml").write_text(text)
        _edit(path, started_at=f"2026-02-{number + 1:02d}T00:00:00+00:00")
        runs.append(str(path))
    against = [word for run in runs[1::2] for word in ("--against", run)]
    result = CliRunner().invoke(group, ["gate", *runs[::2], *against])
    assert result.exit_code == 0, result.output
    assert "5 runs" in result.stdout


def test_a_bad_run_is_not_accepted(make_run: Maker, tmp_path: Path) -> None:
    for knobs, code in (({"udp_drops": 3}, 4), ({"failed": (7,)}, 1)):
        result = _accept(make_run(f"bad-{code}", **knobs), tmp_path / "kept")
        assert result.exit_code == code
        assert "not accepted" in result.stderr
    assert not (tmp_path / "kept").exists()


def test_a_new_level_replaces_the_old_one(day: Path, tmp_path: Path) -> None:
    for name in ("r0", "r1"):
        _accept(day / name, tmp_path)
    result = _accept(day / "r2", tmp_path, "--replace")
    assert result.exit_code == 0
    assert [file.name for file in tmp_path.rglob("*.json")] == ["r2.json"]


def test_accepting_twice_is_once(day: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert _accept(day / "r0", tmp_path).exit_code == 0
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_another_run_of_the_same_name_does_not_overwrite(
    day: Path, make_run: Maker, tmp_path: Path
) -> None:
    where = tmp_path / "kept"
    _accept(day / "r0", where)
    before = {file: file.read_bytes() for file in where.rglob("*.json")}
    result = _accept(make_run("r0", scenario=DRIFT), where)
    assert result.exit_code == 2
    assert "another run of the same name" in result.stderr
    assert {file: file.read_bytes() for file in where.rglob("*.json")} == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ('{"schema": 9}', "not a baseline of this version"),
        ('{"schema": 1}', "not a baseline: Object missing required field"),
        ("NaN", "NaN is not JSON"),
    ],
)
def test_a_broken_baseline_is_told_in_one_line(
    day: Path, tmp_path: Path, text: str, told: str
) -> None:
    run = RunReader(day / "r5")
    where = baselines.directory(run.info, tmp_path)
    where.mkdir(parents=True)
    (where / "x.json").write_text(text)
    with pytest.raises(RunDirError, match=told) as caught:
        baselines.read(run, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_report_shows_the_change_and_the_earlier_distributions(day: Path, kept: Path) -> None:
    assessment = _assess(day / "r6", kept)
    assert all("against 5 baseline runs" in one.delta for one in key_figures(assessment))
    with mpl.rc_context(style()):
        drawn = spread(assessment)
    assert drawn is not None
    assert "5 baseline runs" in drawn.svg
    assert "beside the baseline" in drawn.alt
