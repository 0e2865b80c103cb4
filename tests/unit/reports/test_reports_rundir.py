"""Writing, merging and reading run directories; every unfit one is told in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import SCENARIO, event, process, second

from reports import tables
from reports.errors import RunDirError
from reports.rundir import RunReader, RunWriter, new_run_dir, run_id
from scenarios.errors import ScenarioError


def test_a_run_is_named_after_its_start_and_its_scenario() -> None:
    assert run_id("demo", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "20260102-030405-demo"


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    assert new_run_dir("a", tmp_path / "runs").is_dir()


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert new_run_dir("a", tmp_path) == tmp_path / "a"


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunDirError, match=r"is not empty; name another directory"):
        new_run_dir("a", tmp_path)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(RunDirError, match="cannot be made"):
        new_run_dir("a", tmp_path)


def test_a_run_is_read_without_the_files_that_its_scenario_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "s.yaml"
    text = (
        "version: 1\nname: s\n"
        "load: {model: open, arrivals: {trace: day.csv, time: at, session: length}}\n"
    )
    (tmp_path / "day.csv").write_text("at,length\n0,5\n3,7\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    RunWriter(tmp_path / "run", text, argv=["locust", "--scenario", str(scenario)]).finish()
    (tmp_path / "day.csv").unlink()
    (span,) = RunReader(tmp_path / "run").spans
    assert (span.name, span.end_s) == ("trace", 10.0)


def test_parts_of_several_processes_are_merged_in_order_of_time(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO)
    writer.write_rows("events", "helper-0", [event(3.0, "a", "hold", "input.lost", 0.0)])
    writer.write_rows("events", "helper-1", [event(1.0, "b", "hold", "input.lost", 1.0)])
    writer.write_rows("samples", "helper-0", [second(2.0, "a")])
    writer.write_rows("system", "helper-0", [process(0.0, "helper")])
    writer.finish()
    run = RunReader(tmp_path)
    assert run.events["session_id"].tolist() == ["b", "a"]
    assert list(run.events.columns) == list(tables.COLUMNS["events"])
    assert run.samples["frames_received"].tolist() == [20]
    assert run.system["ready"].isna().all()
    assert not (tmp_path / "parts").exists()
    assert run.info.problems == []


def test_the_scenario_is_kept_to_the_byte(tmp_path: Path) -> None:
    text = SCENARIO + "# a remark, caf\u00e9\r\n"
    RunWriter(tmp_path, text).finish()
    assert (tmp_path / "scenario.yaml").read_bytes() == text.encode()
    assert RunReader(tmp_path).scenario.name == "synthetic"


def test_a_bad_scenario_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="`load` is missing"):
        RunWriter(tmp_path, "version: 1\nname: a\n")


def test_a_part_that_was_cut_off_makes_the_run_suspect_not_unreadable(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO)
    writer.write_rows("events", "helper-0", [event(3.0, "a", "hold", "input.lost", 0.0)] * 100)
    whole = (writer.parts / "events-helper-0.parquet").read_bytes()
    (writer.parts / "events-helper-1.parquet").write_bytes(whole[: len(whole) // 2])
    writer.finish()
    assert len(RunReader(tmp_path).events) == 100
    assert "events-helper-1.parquet is unreadable" in writer.info.problems[0]


def test_a_run_that_was_never_finished_is_merged_by_its_reader(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO)
    writer.write_rows("samples", "helper-0", [second(2.0, "a")])
    assert len(RunReader(tmp_path).samples) == 1


def test_updates_are_kept(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO, argv=["locust", "--token", "hunter2"])
    writer.update(renderer="tinydisplay")
    writer.add_problem("helper-0 died")
    writer.finish()
    info = RunReader(tmp_path).info
    assert (info.renderer, info.problems) == ("tinydisplay", ["helper-0 died"])
    assert info.argv == ["locust", "--token", "***"]
    assert info.machine["cores"] >= 1
    assert info.versions["pyarrow"]
    assert info.seed == 42


def test_a_host_with_credentials_is_named_without_them(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO, target="wss://me:pw@staging.example/ws?token=abc")
    assert writer.info.target == "wss://***@staging.example/ws?token=***"
    assert writer.info.shows_pool is False


def _edit(path: Path, **changes: Any) -> None:
    data = json.loads((path / "run.json").read_text())
    data.update(changes)
    (path / "run.json").write_text(json.dumps(data))


def _truncate(path: Path, file: str) -> None:
    whole = (path / file).read_bytes()
    (path / file).write_bytes(whole[: len(whole) // 2])


def _read_all(path: Path) -> int:
    run = RunReader(path)
    return len(run.events) + len(run.samples) + len(run.system)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda p: (p / "run.json").unlink(), "not a run directory: it has no run.json"),
        (lambda p: (p / "run.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "run.json").write_text("[]"), "has no schema version"),
        (lambda p: (p / "run.json").write_text('{"schema": 1}'), "missing required field `kind`"),
        (lambda p: _edit(p, schema=99), "written by a newer version"),
        (lambda p: _edit(p, kind="dreamt"), "Invalid enum value 'dreamt'"),
        (lambda p: (p / "events.parquet").unlink(), "no such file"),
        (lambda p: _truncate(p, "events.parquet"), "not readable as Parquet"),
        (lambda p: (p / "samples.parquet").write_bytes(b""), "not readable as Parquet"),
        (lambda p: (p / "scenario.yaml").unlink(), "scenario.yaml: cannot be read"),
        (lambda p: (p / "scenario.yaml").write_text("version: 9"), "does not load any more"),
    ],
)
def test_an_unfit_directory_is_told_in_one_line(
    make_run: Callable[..., Path], spoil: Callable[[Path], object], told: str
) -> None:
    path = make_run(with_rows=False)
    spoil(path)
    with pytest.raises(RunDirError, match=told) as caught:
        _read_all(path)
    assert "\n" not in str(caught.value)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="no such directory"):
        RunReader(tmp_path / "nowhere")


def test_a_table_of_another_make_is_told_by_its_column(make_run: Callable[..., Path]) -> None:
    path = make_run(with_rows=False)
    (path / "events.parquet").write_bytes((path / "system.parquet").read_bytes())
    with pytest.raises(RunDirError, match="column 'source' is missing"):
        _ = RunReader(path).events
