"""Products of a run directory: files, their contents, and the commands that make them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from large_run import large_run
from synthetic_run import SCENARIO, event

from reports import cli
from reports.assess import assess
from reports.build import build
from reports.cli import group
from reports.html import BYTES_MAX, html
from reports.junit import junit
from reports.markdown import markdown
from reports.rundir import RunReader
from reports.svg import Plot
from reports.verdict import Exit
from system.protocol.metrics import STATISTICS

A_ROW = [event(20.0, "a", "hold", "pool.wait", 0.0)]
Maker = Callable[..., Path]


class _Page(HTMLParser):
    """Collects ids, references and tags that would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset"):
                self.references.append(value or "")


def test_every_product_is_written(failed_run: Path) -> None:
    names = {str(f.relative_to(failed_run)) for f in failed_run.rglob("*") if f.is_file()}
    assert names == {
        "run.json",
        "scenario.yaml",
        "events.parquet",
        "samples.parquet",
        "system.parquet",
        "summary.json",
        "gates.json",
        "junit.xml",
        "report.md",
        "report.html",
        "plots/heatmap.svg",
        "plots/timeline.svg",
        "plots/joins.svg",
        "plots/spread.svg",
    }


def test_building_twice_gives_the_same_files(failed_run: Path) -> None:
    first = {file: file.read_bytes() for file in failed_run.rglob("*") if file.is_file()}
    assert build(failed_run).code is Exit.FAIL
    assert first == {file: file.read_bytes() for file in failed_run.rglob("*") if file.is_file()}


def test_the_summary_has_the_keys_of_the_contract(failed_run: Path) -> None:
    summary = json.loads((failed_run / "summary.json").read_text())
    assert list(summary) == ["name", "kind", "verdict", "metrics"]
    assert (summary["name"], summary["kind"], summary["verdict"]) == (
        "synthetic",
        "measured",
        "FAIL",
    )
    join = summary["metrics"]["session.join_time"]
    assert set(join) == {"n", "unit", "censored", "ci95", "from_start", *STATISTICS}
    assert join["from_start"]["p50"] == pytest.approx(join["p50"] - 0.001)
    assert (join["n"], join["censored"], join["unit"]) == (13, 1, "s")
    assert join["p95"] is None
    assert join["ci95"]["p95"][1] is None
    assert 0.2 < join["p50"] < 0.4
    assert summary["metrics"]["input.to_frame"]["from_start"]["p50"] > 0
    fps = summary["metrics"]["video.fps"]
    assert set(fps) == {"n", "unit", "ci95", *STATISTICS}
    assert fps["ci95"]["mean"][0] < fps["mean"] < fps["ci95"]["mean"][1]


def test_the_gate_list_has_the_keys_of_the_contract(failed_run: Path) -> None:
    gates = json.loads((failed_run / "gates.json").read_text())
    keys = ["id", "metric", "stat", "verdict", "value", "limit", "ci95", "reason"]
    assert all(list(gate) == keys for gate in gates)
    assert [gate["verdict"] for gate in gates] == ["FAIL", "PASS", "PASS", "FAIL"]
    assert gates[0]["value"] is None
    assert gates[0]["limit"] == 2.0
    assert gates[1]["ci95"][0] <= gates[1]["value"] <= gates[1]["ci95"][1]


def test_validity_is_written_into_the_run(failed_run: Path) -> None:
    validity = json.loads((failed_run / "run.json").read_text())["validity"]
    assert validity["valid"] is True
    lag = next(check for check in validity["checks"] if check["id"] == "loop_lag")
    assert (lag["ok"], lag["value"], lag["limit"]) == (True, 0.002, 0.025)


def test_junit_counts_failures_errors_and_skips(make_run: Maker) -> None:
    made = assess(RunReader(make_run(failed=(7,), udp_drops=2)))
    suite = ElementTree.fromstring(junit(made))[0]
    assert suite.attrib == {
        "name": "synthetic",
        "tests": "8",
        "failures": "2",
        "errors": "1",
        "skipped": "0",
    }
    assert len(suite.findall("testcase/failure")) == 2


def test_the_page_says_the_verdict_first_and_loads_nothing(failed_run: Path) -> None:
    text = (failed_run / "report.html").read_text("utf-8")
    assert len(text.encode()) < BYTES_MAX
    page = _Page()
    page.feed(text)
    pictures = [one for one in page.references if one.startswith("data:image/png;base64,")]
    inner = [one for one in page.references if one not in pictures]
    assert len(pictures) == 2
    assert all(reference.startswith("#") for reference in inner)
    assert len(page.ids) == len(set(page.ids))
    assert {reference[1:] for reference in inner} <= set(page.ids)
    assert "url(http" not in text
    assert "@import" not in text
    body = text[text.index("<body>") :]
    words = re.sub(r"<[^>]+>", " ", body).split()
    assert words[:2] == ["FAIL", "synthetic"]
    for part in ("Gates", "Timeline", "Joins by phase", "Distributions", "Worst sessions"):
        assert f"<h2>{part}</h2>" in text
    assert "ice_failed" in text
    assert "locust -f loadtest/ --headless" in text
    assert "/secret/place" not in text
    assert "prefers-color-scheme: dark" in text
    assert text.count('role="img"') >= 3


def test_plots_follow_the_theme_in_the_page_and_stand_alone_as_files(failed_run: Path) -> None:
    page = (failed_run / "report.html").read_text("utf-8")
    assert "var(--c1)" in page
    assert "#0101" not in page
    for file in sorted((failed_run / "plots").iterdir()):
        text = file.read_text("utf-8")
        assert "#0101" not in text
        assert "var(--" not in text
        assert ElementTree.fromstring(text.encode()).tag.endswith("svg")


def test_what_a_user_wrote_is_escaped(make_run: Maker) -> None:
    evil = "<script>alert(1)</script>"
    scenario = SCENARIO.replace("seed: 42", f'seed: 42\ndescription: "{evil}"')
    extra = [event(20.0, evil, "hold", "session.failed", 1.0, reason=evil + "\x00")]
    path = make_run(scenario=scenario, extra_events=extra, with_rows=False)
    build(path)
    assert "<script>" not in (path / "report.html").read_text("utf-8")
    ElementTree.fromstring((path / "junit.xml").read_text("utf-8"))


def test_a_run_without_rows_still_gets_a_page(make_run: Maker) -> None:
    path = make_run(with_rows=False)
    assert build(path).code is Exit.INVALID
    text = (path / "report.html").read_text("utf-8")
    assert "INVALID" in text
    assert "no data" in text
    assert "The run left no rows to plot." in text
    assert json.loads((path / "summary.json").read_text())["metrics"] == {}


def test_a_run_in_which_every_join_failed_gets_a_page(make_run: Maker) -> None:
    path = make_run(failed=tuple(range(20)))
    assert build(path).code is Exit.FAIL
    text = (path / "report.html").read_text("utf-8")
    assert "<h2>Errors</h2>" in text
    assert "∞" in text


def test_a_run_of_many_sessions_stays_small(tmp_path: Path) -> None:
    path = large_run(tmp_path, users=40, seconds=900, inputs=1)
    assert build(path).code is Exit.PASS
    assert (path / "report.html").stat().st_size < 0.9 * BYTES_MAX


def test_plots_that_do_not_fit_are_left_to_their_files(failed_run: Path) -> None:
    assessment = assess(RunReader(failed_run))
    large = Plot("large", "Large", "too much", "<svg>" + "x" * BYTES_MAX + "</svg>")
    small = Plot("small", "Small", "fits", "<svg>fits</svg>")
    page = html(assessment, [large, small])
    assert len(page.encode()) < BYTES_MAX
    assert "<svg>fits</svg>" in page
    assert "left to plots/: 1." in page


def test_the_markdown_has_the_verdict_the_gates_and_the_command(make_run: Maker) -> None:
    text = markdown(assess(RunReader(make_run())))
    assert text.startswith("# PASS: synthetic\n")
    assert "| i2f | input.to_frame p95 | ≤ 250 ms |" in text
    assert "**PASS**" in text
    assert "locust -f loadtest/" in text


def test_the_build_command_exits_with_the_verdict(make_run: Maker) -> None:
    result = CliRunner().invoke(
        group, ["build", str(make_run(with_rows=False, extra_events=A_ROW))]
    )
    assert result.exit_code == 4
    assert result.stdout.startswith("INVALID: ")
    assert "report.html" in result.stdout


def test_the_build_command_prints_one_json_document(make_run: Maker) -> None:
    result = CliRunner().invoke(
        group, ["build", str(make_run(with_rows=False, extra_events=A_ROW)), "--json", "-"]
    )
    assert result.exit_code == 4
    assert json.loads(result.stdout)["verdict"] == "INVALID"


def test_the_gate_command_judges_and_writes_nothing(make_run: Maker) -> None:
    path = make_run(udp_drops=1)
    before = {file: file.read_bytes() for file in path.iterdir()}
    result = CliRunner().invoke(group, ["gate", str(path)])
    assert result.exit_code == 4
    assert result.stdout.splitlines()[-1].startswith("INVALID: ")
    assert "PASS          join:" in result.stdout
    assert before == {file: file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("command", ["build", "gate"])
def test_a_directory_that_is_no_run_is_one_line_and_exit_2(tmp_path: Path, command: str) -> None:
    result = CliRunner().invoke(group, [command, str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error: {tmp_path}: not a run directory: it has no run.json"
    ]
    assert result.stdout == ""


def test_an_internal_error_is_one_line_and_exit_5(
    make_run: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(cli.together, "judge", broken)
    result = CliRunner().invoke(group, ["gate", str(make_run(with_rows=False, extra_events=A_ROW))])
    assert result.exit_code == 5
    assert result.stderr == "internal error: ZeroDivisionError: oops\n"
