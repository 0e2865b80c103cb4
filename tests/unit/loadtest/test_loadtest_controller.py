"""A run from order to verdict, with a load generator that only pretends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pyarrow.parquet as pq
import pytest
from pages import Pages

from loadtest import _run, _scrape, _watch
from loadtest._controller import Controller
from loadtest._options import Settings
from loadtest._order import Order
from loadtest._pulse import Pulse
from loadtest._search import Search
from reports.steps import Step
from reports.verdict import Exit
from scenarios.loader import loads
from system.client.errors import HelperGone
from system.client.histogram import LogHistogram
from system.protocol.records import SystemRow

HOST = "ws://127.0.0.1:9"
OPEN = """\
version: 1
name: open
load:
  model: open
  session: 2s
  stages: [{name: hold, for: 100s, rate: 1/s}]
gates: [{id: join, metric: session.join_time, stat: p95, "<=": 2s}]
"""


class FakeSwarms:
    """What a controller asks of the load generator, written down."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.entered: list[str] = []
        self.problems: list[str] = []
        self.error: Exception | None = None
        self.drains = 0

    def prepare(self) -> None:
        if self.error is not None:
            raise self.error

    def hear(self, pulses: Callable[[Pulse], None]) -> None:
        self.pulses = pulses

    def begin(self, order: Order) -> None:
        self.orders.append(order)

    def enter(self, stage: str) -> None:
        self.entered.append(stage)

    def drain(self) -> list[str]:
        self.drains += 1
        return self.problems

    def close(self) -> None:
        pass


class Bench:
    """A controller with its surroundings."""

    def __init__(self, settings: Settings) -> None:
        self.swarms = FakeSwarms()
        self.quits = 0
        self.controller = Controller(
            settings,
            self.swarms,
            distributed=False,
            quit_run=self._quit,
            users_now=lambda: 2,
        )

    def _quit(self) -> None:
        self.quits += 1

    @property
    def rows(self) -> list[SystemRow]:
        """What was written down of the system so far."""
        run = self.controller._run
        return [] if run is None else run.rows

    def begin(self, users: int = 2, run_time_s: float | None = None) -> None:
        self.controller.begin(HOST, users, 1.0, run_time_s)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(
        Settings(
            host=HOST,
            scenario=loads(OPEN),
            scenario_text=OPEN,
            run_dir=tmp_path / "run",
            joins_per_s=4.0,
        )
    )


def run_json(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((path / "run.json").read_text())
    return read


def test_a_run_is_ordered_with_all_that_a_process_needs(bench: Bench, tmp_path: Path) -> None:
    bench.begin()
    (order,) = bench.swarms.orders
    assert (order.url, order.secret, order.joins_per_s) == (HOST, None, 4.0)
    assert order.scenario_text == OPEN
    assert order.parts == tmp_path / "run" / "parts"
    assert not bench.controller.over


def test_a_host_that_shows_its_pool_is_asked_for_it(
    bench: Bench, pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.pages["/metrics"] = (
        'remote_render_process_info{role="orchestrator",node="o-1"} 1\n'
        'process_cpu_seconds_total 3.5\nremote_render_pool_workers{pool="a",state="ready"} 2\n'
    )
    monkeypatch.setattr(_scrape, "LOOK_EVERY_S", 0.1)
    bench.controller.settings = replace(
        bench.controller.settings, metrics=(f"{pages.base}/metrics",)
    )
    bench.begin()
    deadline = time.monotonic() + 20
    while not any(row["role"] == "orchestrator" for row in bench.rows):
        assert time.monotonic() < deadline
        gevent.sleep(0.02)
    bench.controller.finish()
    assert run_json(tmp_path / "run")["shows_pool"] is True
    rows = pq.read_table(tmp_path / "run" / "system.parquet").to_pylist()
    assert {(row["node"], row["ready"]) for row in rows} >= {("pool-default", 2), ("o-1", None)}


def test_a_run_that_is_stopped_early_is_reported_and_cannot_pass(
    bench: Bench, tmp_path: Path
) -> None:
    bench.begin()
    bench.swarms.problems.append("helper helper-0 was lost: exit status -9")
    bench.controller.finish()
    assert bench.controller.exit_code(errors=False, crashed=False) is Exit.INVALID
    problems = run_json(tmp_path / "run")["problems"]
    assert problems == [
        "helper helper-0 was lost: exit status -9",
        "stopped after 0 s of 100 s",
    ]
    assert (tmp_path / "run" / "report.html").is_file()
    assert f"report: {tmp_path}/run/report.html" in bench.controller.block


def test_github_is_told_of_a_run_where_it_asks(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    bench.begin()
    bench.controller.finish()
    assert "stopped after 0 s of 100 s" in (tmp_path / "summary.md").read_text()
    assert "::error title=INVALID%3A open::" in bench.controller.block


def test_to_drain_and_finish_twice_is_to_do_it_once(bench: Bench) -> None:
    bench.begin()
    bench.controller.drain()
    bench.controller.drain()
    bench.controller.finish()
    bench.controller.finish()
    assert bench.swarms.drains == 1
    assert len(bench.controller.codes) == 1


def test_before_any_run_there_is_nothing_to_finish(bench: Bench) -> None:
    bench.controller.drain()
    bench.controller.finish()
    bench.controller.close()
    assert bench.controller.exit_code(errors=False, crashed=False) is None


def test_a_helper_that_does_not_start_is_one_line_and_an_internal_error(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.swarms.error = HelperGone("a helper was not ready within 30 s")
    bench.begin()
    assert capsys.readouterr().err == "error: a helper was not ready within 30 s\n"
    assert bench.quits == 1
    assert bench.controller.over
    assert bench.controller.exit_code(errors=False, crashed=False) is Exit.INTERNAL


def test_a_bug_is_told_in_one_line_too(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.swarms.error = ZeroDivisionError("division by zero")
    bench.begin()
    assert capsys.readouterr().err.startswith("error: ZeroDivisionError: division by zero")
    assert bench.controller.exit_code(errors=False, crashed=False) is Exit.INTERNAL


def test_a_run_directory_in_use_is_a_usage_error(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    bench.begin()
    assert "is not empty" in capsys.readouterr().err
    assert bench.controller.exit_code(errors=False, crashed=False) is Exit.USAGE


def test_a_second_run_of_the_web_ui_gets_a_directory_of_its_own(
    bench: Bench, tmp_path: Path
) -> None:
    bench.begin()
    bench.controller.finish()
    bench.begin()
    bench.controller.drain()
    assert (tmp_path / "run-2" / "run.json").is_file()


def test_a_run_without_a_scenario_leaves_the_one_that_it_turned_out_to_be(tmp_path: Path) -> None:
    bench = Bench(Settings(host=HOST, run_dir=tmp_path / "run"))
    bench.begin(users=2)
    bench.controller.drain()
    scenario = loads((tmp_path / "run" / "scenario.yaml").read_text())
    assert scenario.load.model == "closed"
    assert scenario.load.users == 2
    assert scenario.load.for_s == pytest.approx(1.0, abs=1.0)
    assert run_json(tmp_path / "run")["problems"] == []


ABORTING = OPEN.replace(
    "gates: [",
    'gates: [{id: errors, metric: session.failed, stat: mean, "<=": 10%, abort: {after: 0s}}, ',
)


def failing() -> Pulse:
    """A second in which a session failed."""
    failed = LogHistogram()
    failed.add(1.0)
    return Pulse("locust-0", by_stage={"hold": {"session.failed": failed.to_json()}})


def test_a_gate_that_aborts_ends_the_run_with_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "PERIOD_S", 0.001)
    bench = Bench(
        Settings(
            host=HOST, scenario=loads(ABORTING), scenario_text=ABORTING, run_dir=tmp_path / "run"
        )
    )
    bench.begin()
    gevent.idle()
    assert bench.quits == 0
    bench.swarms.pulses(failing())
    with gevent.Timeout(5):
        while not bench.quits:
            gevent.sleep(0)
    bench.controller.finish()
    told = run_json(tmp_path / "run")
    assert told["aborted"]["gate"] == "errors"
    assert told["problems"] == []
    assert "FAIL         errors: session.failed mean: ended the run at" in bench.controller.block


def test_a_capacity_search_asks_for_users_and_its_steps_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "version: 1\nname: search\nload: {model: capacity, from: 2, step: 2, hold: 1s, max: 6}\n"
        'gates: [{id: join, metric: session.join_time, stat: p95, "<=": 2s}]\n'
    )
    bench = Bench(
        Settings(host=HOST, scenario=loads(text), scenario_text=text, run_dir=tmp_path / "run")
    )
    assert bench.controller.wanted == (0, 1.0)
    bench.begin()
    gevent.idle()
    assert bench.swarms.entered == ["viewers-2"]
    assert bench.controller.wanted == (2, 1.0)
    assert not bench.controller.over
    bench.controller.finish()
    assert run_json(tmp_path / "run")["problems"] == ["stopped before the search had an answer"]


def test_a_search_that_found_the_generators_own_limit_has_no_answer(bench: Bench) -> None:
    bench.begin()
    run = bench.controller._run
    assert run is not None
    broke = Step(6, 0.0, 1.0, held=False, component="load generator")
    run.watch.search = cast(Search, SimpleNamespace(steps=[broke], over=True))
    assert run.problems == ["the load generator was at its own limit with 6 viewers"]


@pytest.mark.parametrize(
    ("planned_s", "elapsed_s", "is_open", "early"),
    [
        (None, 1.0, False, False),
        (40.0, 40.0, True, False),
        (40.0, 39.9, True, True),
        (40.0, 37.0, False, False),
        (40.0, 35.0, False, True),
        (8.0, 6.5, False, False),
        (8.0, 5.5, False, True),
    ],
)
def test_only_a_run_that_missed_some_of_its_plan_ended_early(
    planned_s: float | None, elapsed_s: float, is_open: bool, early: bool
) -> None:
    assert bool(_run.early(planned_s, elapsed_s, is_open=is_open)) is early


@pytest.mark.parametrize(
    ("codes", "errors", "gated", "crashed", "expected"),
    [
        ([], False, False, False, None),
        ([], True, False, False, None),  # Locust's own rule
        ([Exit.PASS], True, True, False, Exit.PASS),  # gates judge failures
        ([Exit.PASS], True, False, False, None),
        ([Exit.PASS], False, False, False, Exit.PASS),
        ([Exit.FAIL, Exit.INVALID], False, True, False, Exit.INVALID),
        ([Exit.PASS], False, True, True, Exit.INTERNAL),
    ],
)
def test_the_exit_code_is_the_verdicts_unless_nothing_was_judged(
    bench: Bench,
    codes: list[Exit],
    errors: bool,
    gated: bool,
    crashed: bool,
    expected: Exit | None,
) -> None:
    bench.controller.codes = codes
    bench.controller.gated = gated
    assert bench.controller.exit_code(errors=errors, crashed=crashed) is expected
