"""What is unfit ends in one line and exit code 2, and nothing is overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from synthetic_run import SCENARIO, event, process, second

from reports import tables
from reports.assess import assess
from reports.cli import group
from reports.rundir import FILES, UNFINISHED, RunReader, RunWriter
from reports.verdict import Exit

Maker = Callable[..., Path]


def _edit(path: Path, **changes: object) -> None:
    data = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**data, **changes}))


def _retype(path: Path, column: str) -> None:
    tables.write_rows(path / "samples.parquet", "samples", [second(20.0, "a")])
    table = pq.read_table(path / "samples.parquet")
    place = table.column_names.index(column)
    texts = pa.array(["many"] * table.num_rows)
    pq.write_table(table.set_column(place, column, texts), path / "samples.parquet")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _contents(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "newer": (lambda p: _edit(p, schema=99), "written by a newer version (schema 99"),
    "older": (lambda p: _edit(p, schema=0), "written by an older version (schema 0"),
    "no schema": (lambda p: _edit(p, schema="1"), "run.json has no schema version"),
    "foreign": (lambda p: (p / "run.json").write_text('{"a": 1}'), "not a run directory"),
    "text for a number": (lambda p: _edit(p, seed="x"), "Expected `int`, got `str`"),
    "NaN in run.json": (lambda p: _edit(p, seed=float("nan")), "NaN is not JSON"),
    "nested": (lambda p: (p / "run.json").write_text("[" * 100_000), "cannot be read"),
    "cut": (lambda p: _cut(p / "events.parquet"), "not readable as Parquet"),
    "of another type": (lambda p: _retype(p, "frames_received"), "not readable as Parquet"),
    "not UTF-8": (lambda p: (p / "scenario.yaml").write_bytes(b"\xff\xfe"), "cannot be read"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_an_unfit_run_is_one_line_and_left_alone(make_run: Maker, name: str) -> None:
    spoil, told = SPOILED[name]
    path = make_run(with_rows=False, extra_events=[event(20.0, "a", "hold", "pool.wait", 0.0)])
    spoil(path)
    before = _contents(path)
    for command in ("build", "gate"):
        result = CliRunner().invoke(group, [command, str(path)])
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1
        assert told in result.stderr
    assert _contents(path) == before


def test_a_run_in_progress_is_read_and_left_alone(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, SCENARIO)
    writer.write_rows("samples", "helper-0", [second(t, "a") for t in range(20, 30)])
    writer.write_rows("system", "helper-0", [process(t, "helper") for t in range(40)])
    before = _contents(tmp_path)
    assessment = assess(RunReader(tmp_path))
    assert assessment.verdict.code is Exit.INVALID
    assert UNFINISHED in assessment.verdict.reason
    assert assessment.stats["video.fps"].n == 10
    assert CliRunner().invoke(group, ["build", str(tmp_path)]).exit_code == 4
    after = _contents(tmp_path)
    assert {name: after[name] for name in before} == before
    writer.finish()
    assert UNFINISHED not in assess(RunReader(tmp_path)).verdict.reason


def test_a_process_that_does_not_know_its_use_makes_the_run_invalid(make_run: Maker) -> None:
    assessment = assess(RunReader(make_run(helper_cpu=float("nan"))))
    assert assessment.verdict.code is Exit.INVALID
    assert "use of its cores is not known" in assessment.verdict.reason


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_makes_the_run_unfit(make_run: Maker, value: float) -> None:
    extra = [event(20.0, "x", "hold", "session.join_time", value)]
    path = make_run(extra_events=extra)
    before = _contents(path)
    result = CliRunner().invoke(group, ["build", str(path)])
    assert (result.exit_code, result.stdout) == (2, "")
    told = "events.parquet: 1 values of column value are no numbers\n"
    assert result.stderr.endswith(told)
    assert _contents(path) == before


def test_a_run_without_a_single_row_is_no_run(make_run: Maker) -> None:
    path = make_run(with_rows=False)
    before = _contents(path)
    for command in (["build"], ["gate"], ["baseline", "accept"], ["compare", str(make_run("b"))]):
        result = CliRunner().invoke(group, [*command, str(path)])
        assert result.exit_code == 2, command
        assert result.stderr == f"error: {path}: has no rows: nothing was recorded\n"
    assert _contents(path) == before


def test_a_page_that_cannot_be_written_is_told(make_run: Maker) -> None:
    path = make_run()
    (path / "plots").write_text("in the way")
    result = CliRunner().invoke(group, ["build", str(path)])
    assert result.exit_code == 2
    assert "plots: cannot be made" in result.stderr


def test_a_run_keeps_its_trace_and_without_it_the_stages_that_were_noted(tmp_path: Path) -> None:
    trace = tmp_path / "away" / "trace.csv"
    trace.parent.mkdir()
    trace.write_text("t,s\n0,5\n10,5\n")
    text = (
        "version: 1\nname: traced\nload:\n  model: open\n"
        "  arrivals: {trace: trace.csv, time: t, session: s}\n"
    )
    (tmp_path / "run").mkdir()
    argv = ["locust", "--scenario", str(trace.with_name("x.yaml"))]
    writer = RunWriter(tmp_path / "run", text, argv=argv)
    writer.write_rows("system", "x", [process(1.0, "helper")])
    writer.finish()
    assert RunReader(tmp_path / "run").spans[-1].end_s == 15.0
    trace.unlink()
    assert RunReader(tmp_path / "run").spans[-1].end_s == 15.0
    shutil.rmtree(tmp_path / "run" / FILES)
    assert RunReader(tmp_path / "run").spans[-1].end_s == 15.0
    _edit(tmp_path / "run", stages=[])
    result = CliRunner().invoke(group, ["gate", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "trace.csv" in result.stderr
