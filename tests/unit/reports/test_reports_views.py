"""Other views of runs: traces, comparisons, GitHub, and what the page says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic_run import SCENARIO, event

from reports.assess import assess
from reports.cli import group
from reports.github import append_summary, workflow_commands
from reports.highlights import failures
from reports.html import command
from reports.joins import join_phases
from reports.marks import bar, moment
from reports.rundir import RunReader
from reports.runinfo import Aborted, RunInfo
from reports.sessions import worst_sessions
from reports.verdict import Exit
from system.protocol.metrics import JOIN_PHASES

Maker = Callable[..., Path]


# --- traces ----------------------------------------------------------------------


def _trace(path: Path, session: str) -> dict[str, list[dict[str, object]]]:
    result = CliRunner().invoke(group, ["trace", str(path), session])
    assert result.exit_code == 0, result.output
    by_kind: dict[str, list[dict[str, object]]] = {}
    for one in json.loads(result.stdout)["traceEvents"]:
        by_kind.setdefault(str(one["ph"]), []).append(one)
    return by_kind


def test_a_trace_has_the_join_its_inputs_and_its_seconds(failed_run: Path) -> None:
    found = _trace(failed_run, "s-004")
    spans = {one["name"]: one for one in found["X"] if one["pid"] == 1}
    assert set(spans) == {"join", *JOIN_PHASES}
    phases = [spans[name] for name in JOIN_PHASES]
    for before, after in pairwise(phases):
        assert abs(before["ts"] + before["dur"] - after["ts"]) <= 2  # type: ignore[operator]
    assert sum(one["dur"] for one in phases) == pytest.approx(spans["join"]["dur"], abs=9)  # type: ignore[misc]
    assert len(found["b"]) == len(found["e"]) > 10
    assert all(one["ts"] < two["ts"] for one, two in zip(found["b"], found["e"], strict=True))  # type: ignore[operator]
    assert {one["name"] for one in found["C"]} == {"frames", "bytes", "packets lost", "rtt ms"}
    assert [one["name"] for one in found["X"] if one["pid"] == 2] == ["warmup", "ramp", "hold"]


def test_the_trace_of_a_failed_join_says_so(failed_run: Path) -> None:
    found = _trace(failed_run, "s-007")
    assert [one["name"] for one in found["X"] if one["pid"] == 1] == ["join, never completed"]
    failed = next(one for one in found["i"] if one["name"] == "failed")
    assert failed["args"] == {"reason": "ice_failed"}


def test_a_trace_may_go_to_a_file(failed_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    result = CliRunner().invoke(group, ["trace", str(failed_run), "s-004", "-o", str(file)])
    assert result.exit_code == 0
    assert json.loads(file.read_text())["otherData"]["session"] == "s-004"


def test_a_session_that_is_not_there_is_told_with_its_neighbour(failed_run: Path) -> None:
    result = CliRunner().invoke(group, ["trace", str(failed_run), "s-04"])
    assert result.exit_code == 2
    assert "has no session 's-04', did you mean 's-0" in result.stderr


# --- comparisons --------------------------------------------------------------------


def test_two_runs_are_laid_side_by_side(failed_run: Path, make_run: Maker) -> None:
    other = make_run("other", scenario=SCENARIO.replace("rate: 5/s", "rate: 6/s"), loop_lag_s=1.0)
    result = CliRunner().invoke(group, ["compare", str(failed_run), str(other)])
    assert result.exit_code == 0
    assert "note: they ran different scenarios" in result.stdout
    assert "note: other is not valid" in result.stdout
    line = next(one for one in result.stdout.splitlines() if one.startswith("input.to_frame p50"))
    assert line.split()[2:6] == ["60.1", "ms", "60.5", "ms"] or "%" in line
    assert result.stdout.splitlines()[-1].startswith("One run each")


def test_a_comparison_is_one_json_document(failed_run: Path) -> None:
    result = CliRunner().invoke(group, ["compare", str(failed_run), str(failed_run), "--json", "-"])
    data = json.loads(result.stdout)
    assert data["differences"] == []
    join = next(one for one in data["figures"] if one["metric"] == "session.join_time")
    assert (join["stat"], join["change"], join["apart"]) == ("p50", 0.0, None)
    late = next(one for one in data["figures"] if one["stat"] == "p95")
    assert (late["first"], late["change"]) == (None, None)


# --- GitHub ---------------------------------------------------------------------------


def test_outside_of_github_nothing_is_said(failed_run: Path) -> None:
    assessment = assess(RunReader(failed_run))
    assert workflow_commands(assessment, {}) == []
    append_summary(assessment, {})


def test_github_gets_a_summary_and_an_annotation_per_failed_gate(
    failed_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = CliRunner().invoke(group, ["gate", str(failed_run), "--json", "-"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "FAIL"
    lines = result.stderr.splitlines()
    assert lines[0] == "::error title=FAIL%3A synthetic::2 gates of 4 failed: join, errors"
    assert [line.split("::")[1] for line in lines[1:]] == [
        "error title=gate join",
        "error title=gate errors",
    ]
    assert "7.69 %25 > 0 %25" in lines[2]
    assert file.read_text().startswith("before\n# FAIL: synthetic\n")


# --- sessions and failures ---------------------------------------------------------------


def test_failures_are_grouped_with_when_they_were_first_and_last_seen(make_run: Maker) -> None:
    extra = [event(t, f"x{t}", "hold", "session.interrupted", 1.0, code="worker_lost")
             for t in (20.0, 31.5, 25.0)]  # fmt: skip
    extra += [event(t, "x20.0", "hold", "session.error", None, code="busy") for t in (21.0, 22.0)]
    found = failures(assess(RunReader(make_run(failed=(7,), extra_events=extra))))
    assert [(one.what, one.reason, one.count) for one in found] == [
        ("interrupted", "worker_lost", 3),
        ("refused", "busy", 2),
        ("failed", "ice_failed", 1),
    ]
    assert found[0].between_s == (20.0, 31.5)


def test_the_worst_sessions_have_their_own_timelines(failed_run: Path) -> None:
    found = worst_sessions(assess(RunReader(failed_run)))
    assert len(found) == 10
    assert (found[0].session, found[0].outcome, found[0].timeline) == ("s-007", "failed", "")
    drawn = [one for one in found if one.timeline]
    assert len(drawn) >= 8
    assert 'role="img" aria-label="frames per second over' in drawn[0].timeline
    assert drawn[0].latency_s is not None
    assert 0.05 < drawn[0].latency_s < 0.3


def test_a_run_that_a_gate_ended_fails_and_is_not_invalid_for_it(make_run: Maker) -> None:
    """Sessions due after its end are missed by nobody."""
    path = make_run(skip_sessions=(11, 12, 13, 14))
    data = json.loads((path / "run.json").read_text())
    assert assess(RunReader(path)).verdict.code is Exit.INVALID
    aborted = Aborted("i2f", 28.0, "input.to_frame p95 300 ms > 250 ms")
    data["aborted"] = aborted.__dict__
    (path / "run.json").write_text(json.dumps(data))
    assessment = assess(RunReader(path))
    assert assessment.verdict.code is Exit.FAIL
    assert assessment.gates[1].reason.startswith("ended the run at 28 s: ")


# --- small things that are read --------------------------------------------------


def test_the_command_that_repeats_a_run_makes_a_directory_of_its_own() -> None:
    info = RunInfo(
        kind="measured",
        name="demo",
        scenario_sha256="",
        seed=1,
        started_at="",
        argv=["/venv/bin/locust", "--run-dir", "runs/a", "--scenario", "a b.yaml", "--run-dir=c"],
        git={"sha": "0123abc", "dirty": True},
    )
    checkout, run = command(info).splitlines()
    assert checkout == "git checkout 0123abc  # and what was not committed"
    assert run == "locust --scenario 'a b.yaml'"


@pytest.mark.parametrize(
    ("at_s", "told"),
    [(0.0, "0 s"), (42.31, "42.3 s"), (299.0, "299 s"), (300.0, "5:00 min"), (3600.0, "1:00:00 h")],
)
def test_times_of_a_long_run_are_told_as_a_clock_does(at_s: float, told: str) -> None:
    assert moment(at_s) == told


def test_joins_are_laid_out_in_order_of_arrival(make_run: Maker) -> None:
    rows = [event(20.0 - n, f"v{n}", "hold", "session.join_time", 0.5) for n in range(12)]
    rows += [event(20.0 - n, f"v{n}", "hold", "session.join.ws", 0.5) for n in range(12)]
    run = make_run(with_rows=False, extra_events=rows)
    table = join_phases(assess(RunReader(run)))
    assert list(table.index) == [f"v{n}" for n in reversed(range(12))]


def test_a_mark_at_the_end_of_a_bar_is_whole(failed_run: Path) -> None:
    for result in assess(RunReader(failed_run)).gates:
        for place in re.findall(r'<circle cx="([0-9.]+)"', bar(result)):
            assert 4.0 <= float(place) <= 146.0
