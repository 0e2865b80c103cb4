"""Golden errors of bad files, good files, the schema and the command group."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from scenarios import document
from scenarios.cli import group
from scenarios.distributions import Deterministic, Exponential, Lognormal, Weibull
from scenarios.load import ClosedLoad, OpenLoad
from scenarios.loader import ScenarioError, load, loads
from scenarios.model import Resolution
from scenarios.policies import Buffer
from scenarios.schema import json_schema

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BAD = sorted((HERE / "bad").glob("*.yaml"))
GOOD = [*sorted((HERE / "good").glob("*.yaml")), *sorted((ROOT / "scenarios").glob("*.yaml"))]


def test_there_are_bad_and_good_files_to_check() -> None:
    assert len(BAD) > 160
    assert len(GOOD) >= 3


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_the_expected_lines(path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(path, host=None)
    told = str(caught.value).replace(f"{path.parent}/", "")
    assert told + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_loads_and_agrees_with_the_schema(path: Path) -> None:
    load(path, host=None).read_files()
    data = document.parse(path.read_text(encoding="utf-8"), path.name).data
    errors = list(Draft202012Validator(json_schema()).iter_errors(data))
    assert not errors, errors[0].message


def test_quantities_arrive_in_base_units() -> None:
    scenario = load(HERE / "good" / "open_full.yaml")
    assert scenario.stream.resolution == Resolution(1280, 720)
    assert scenario.stream.bitrate_bps == 900_000.0
    assert isinstance(scenario.load, OpenLoad)
    assert isinstance(scenario.load.session, Lognormal)
    assert scenario.load.patience == Exponential.model_validate({"mean": "30s"})
    assert scenario.load.input is not None
    assert scenario.load.input.rate_per_s == 10.0
    assert scenario.load.stages[0].rate_per_s == pytest.approx(0.02)
    assert scenario.load.stages[1].end_rate_per_s == 0.1
    assert scenario.load.stages[2].for_s == 3.6
    assert isinstance(scenario.pool.boot, Weibull)
    assert isinstance(scenario.pool.policy, Buffer)
    assert scenario.pool.policy.warm_ratio == 0.2
    assert scenario.pool.policy.warm_workers == 0
    assert scenario.pool.policy.interval_s == 0.0
    assert [gate.limit for gate in scenario.gates] == [2.0, 20.0, 3e6, 30.0, 1.5, 20.0]
    assert [gate.op for gate in scenario.gates] == ["<=", ">=", "<=", ">=", ">=", "<="]


def test_a_bare_duration_is_a_deterministic_distribution() -> None:
    scenario = loads(
        "version: 1\nname: a\nload: {model: closed, users: 1, for: 5s, patience: 0s}\n"
    )
    assert isinstance(scenario.load, ClosedLoad)
    assert isinstance(scenario.load.patience, Deterministic)
    assert scenario.load.patience.mean == 0.0


def test_absent_parts_mean_none() -> None:
    scenario = loads("version: 1\nname: a\nload: {model: closed, users: 1, for: 5s}\n")
    assert scenario.load.patience is None
    assert scenario.load.input is None
    assert scenario.load.receive.frames == 1.0
    assert scenario.pool.scrub.mean == 0.0
    assert scenario.pool.reuse is True
    assert scenario.pool.slots_per_worker == 1
    assert scenario.pool.max_workers is None


def test_the_pool_starts_with_what_the_policy_holds_at_rest() -> None:
    text = (
        "version: 1\nname: a\nload: {model: closed, users: 1, for: 5s}\n"
        "pool: {max_workers: 4, policy: {kind: buffer, warm: 3, min: 2, max: 5}}\n"
    )
    assert loads(text).pool.at_start == 3


def test_a_scenario_cannot_be_changed() -> None:
    scenario = load(ROOT / "scenarios" / "demo.yaml")
    with pytest.raises(ValueError, match="frozen"):
        scenario.seed = 3  # type: ignore[misc]


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere\.yaml: no such file or directory$"):
        load(tmp_path / "nowhere.yaml")


def test_a_directory_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"is a directory$"):
        load(tmp_path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"version: 1\nname: caf\xe9\n")
    with pytest.raises(ScenarioError, match=r":2:10: not UTF-8 text \(byte 20\)$"):
        load(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (ROOT / "scenarios" / "demo.yaml").read_bytes())
    assert load(path).name == "demo"


def test_control_characters_are_refused() -> None:
    with pytest.raises(ScenarioError, match="not valid YAML: character #x0000 is not"):
        loads("version: 1\0")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"# padding\n" * 120_000)
    with pytest.raises(ScenarioError, match="larger than 1 MiB"):
        load(path)


def test_brackets_without_end_do_not_exhaust_the_stack() -> None:
    with pytest.raises(ScenarioError, match="nested too deeply"):
        loads("a: " + "[" * 20_000)


def test_an_alias_of_reasonable_size_is_welcome() -> None:
    scenario = loads(
        "version: 1\nname: a\nload: {model: closed, users: 1, for: &long 5s, session: *long}\n"
    )
    assert scenario.load.session == Deterministic.model_validate({"mean": "5s"})


def test_the_exported_schema_is_current() -> None:
    exported = json.loads((ROOT / "scenarios" / "scenario.schema.json").read_text("utf-8"))
    assert exported == json_schema(), "run: remote-render scenario schema"


def test_the_schema_refuses_a_number_without_unit() -> None:
    data = document.parse((HERE / "bad" / "number_without_unit.yaml").read_text("utf-8"), "x").data
    assert list(Draft202012Validator(json_schema()).iter_errors(data))


def test_check_exits_0_for_sound_files() -> None:
    result = CliRunner().invoke(group, ["check", *map(str, GOOD)])
    assert result.exit_code == 0, result.stderr
    assert "demo.yaml: ok: demo" in result.stdout


def test_check_exits_2_and_lists_the_errors_on_stderr() -> None:
    result = CliRunner().invoke(group, ["check", str(GOOD[0]), str(BAD[0]), "nowhere.yaml"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    assert "ok" in result.stdout


def test_check_notes_who_cannot_run_a_sound_file() -> None:
    files = [str(ROOT / "scenarios" / name) for name in ("ci.yaml", "seed-semantics.yaml")]
    lines = CliRunner().invoke(group, ["check", *files]).stdout.splitlines()
    assert lines[0].endswith("; for a measured run, a run against --host, a simulated run")
    assert lines[1].endswith("; for a simulated run")
    assert "note: not for a measured run, a run against --host: pool key `release`" in lines[2]


def test_check_reads_the_files_that_a_scenario_names(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("t,s\n1,5\n2,-5\n", encoding="utf-8")
    text = (
        "version: 1\nname: a\nload:\n  model: open\n"
        "  arrivals: {trace: day.csv, time: t, session: s}\n"
    )
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(group, ["check", str(tmp_path / "a.yaml")])
    assert result.exit_code == 2
    assert "a.yaml:5:21: load.arrivals.trace: day.csv, row 3: s is -5, below 0" in result.stderr


def test_check_knows_when_a_trace_ends_before_a_fault(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("t,s\n1,5\n2,5\n", encoding="utf-8")
    text = (
        "version: 1\nname: a\nload:\n  model: open\n"
        "  arrivals: {trace: day.csv, time: t, session: s}\n"
        "faults: [{at: 6s, kind: worker_kill}]\n"
    )
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(group, ["check", str(tmp_path / "a.yaml")])
    assert result.exit_code == 2
    assert "faults[0].at: 6 s is not before the end of the run at 6 s" in result.stderr


def test_the_schema_command_prints_json() -> None:
    result = CliRunner().invoke(group, ["schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "Remote Render scenario"
