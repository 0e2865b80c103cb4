"""Recorded arrivals and values: read late, sorted stably, refused with the row."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from scenarios import schedule
from scenarios.distributions import Empirical
from scenarios.load import OpenLoad
from scenarios.loader import ScenarioError, load, loads
from scenarios.model import Scenario

TRACE = "{trace: day.csv, time: t, session: s}"
TRACED = """\
version: 1
name: recorded
load:
  model: open
  arrivals: {trace: "%s", time: at, session: length}
"""


def scenario(directory: Path, csv: str, arrivals: str = TRACE, rest: str = "") -> Scenario:
    (directory / "day.csv").write_text(csv, encoding="utf-8")
    file = directory / "a.yaml"
    file.write_text(
        f"version: 1\nname: a\nload:\n  model: open\n  arrivals: {arrivals}\n{rest}",
        encoding="utf-8",
    )
    return load(file, host=None)


def told(found: Scenario) -> str:
    with pytest.raises(ScenarioError) as caught:
        schedule.arrivals(found)
    return str(caught.value).rpartition("/")[2]


def test_a_trace_is_sorted_and_its_first_arrival_is_second_0(tmp_path: Path) -> None:
    found = schedule.arrivals(scenario(tmp_path, "t,s\n103.5,7\n100,5\n101,6\n"))
    assert [(a.index, a.at_s, a.session_s) for a in found] == [
        (0, 0.0, 5.0),
        (1, 1.0, 6.0),
        (2, 3.5, 7.0),
    ]


def test_rows_of_the_same_time_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = schedule.arrivals(scenario(tmp_path, "t,s\n2,1\n1,2\n2,3\n1,4\n"))
    assert [arrival.session_s for arrival in found] == [2.0, 4.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024-11-15 16:57:50", "2024-11-15 16:57:52.5"),
        ("2023-11-16T18:17:03.9799600", "2023-11-16T18:17:06.4799600"),
        ("2024-01-01T00:59:59+01:00", "2024-01-01T00:00:01.5Z"),
        ("2024-02-28T23:59:59", "2024-02-29T00:00:01.5+00:00"),
    ],
)
def test_times_may_be_timestamps(tmp_path: Path, first: str, second: str) -> None:
    found = schedule.arrivals(scenario(tmp_path, f"t,s\n{second},1\n{first},1\n"))
    assert [arrival.at_s for arrival in found] == [0.0, 2.5]


def test_a_filter_says_which_rows_count(tmp_path: Path) -> None:
    arrivals = '{trace: day.csv, time: t, session: run time, filter: "run time > 0.5"}'
    csv = "t,run time\n1,0.5\n2,\n3,nan\n4,1\n5,-3\n"
    found = schedule.arrivals(scenario(tmp_path, csv, arrivals))
    assert [arrival.session_s for arrival in found] == [1.0]


@pytest.mark.parametrize(
    ("op", "kept"),
    [("<", [1]), ("<=", [1, 2]), (">", [3]), (">=", [2, 3]), ("==", [2]), ("!=", [1, 3])],
)
def test_a_filter_compares(tmp_path: Path, op: str, kept: list[float]) -> None:
    arrivals = f'{{trace: day.csv, time: t, session: s, filter: "s {op} 2"}}'
    found = schedule.arrivals(scenario(tmp_path, "t,s\n1,1\n2,2\n3,3\n", arrivals))
    assert [arrival.session_s for arrival in found] == kept


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("t,s\n1,5\n2,-1\n", "day.csv, row 3: s is -1, below 0"),
        ("t,s\n1,5\n2,nan\n", "day.csv, row 3: s is 'nan', which is no number"),
        ("t,s\n1,\n", "day.csv, row 2: s is '', which is no number"),
        ("t,s\n1,inf\n", "day.csv, row 2: s is 'inf', which is no number"),
        ("t,s\n1,long\n", "day.csv, row 2: s is 'long', which is no number"),
        ("t,s\nsoon,1\n", "day.csv, row 2: t is 'soon', which is no timestamp"),
        ("t,s\n1,1\nnan,1\n", "day.csv, row 3: t is 'nan', which is no number of seconds"),
        ("t,s\n1,1\ninf,1\n", "day.csv, row 3: t is 'inf', which is no number of seconds"),
        (
            "t,s\n1,1\n2024-11-15,1\n",
            "day.csv, row 3: t is '2024-11-15', which is no number of seconds",
        ),
        ("t,s\n1\n", "day.csv, row 2: has 1 of 2 cells"),
        ("t\n1\n", "day.csv has no column 's': it has t"),
        ("T,s\n1,1\n", "day.csv has no column 't': it has T, s"),
        ("t,s\n", "day.csv has a header and no rows"),
        ("", "day.csv is empty"),
        ('t,s\n1,"2\n', "day.csv is not CSV: unexpected end of data"),
    ],
)
def test_an_unfit_trace_is_told_with_its_row_and_place(
    tmp_path: Path, csv: str, message: str
) -> None:
    found = scenario(tmp_path, csv)
    assert told(found) == f"a.yaml:5:21: load.arrivals.trace: {message}"


def test_a_filter_that_nothing_passes_or_that_meets_text_is_told(tmp_path: Path) -> None:
    arrivals = '{trace: day.csv, time: t, session: s, filter: "s > 9"}'
    assert told(scenario(tmp_path, "t,s\n1,1\n", arrivals)).endswith(
        "day.csv: no row passes the filter"
    )
    assert told(scenario(tmp_path, "t,s\n1,x\n", arrivals)).endswith(
        "day.csv, row 2: s is 'x', which is no number"
    )


def test_a_file_is_read_late_and_a_missing_one_is_told(tmp_path: Path) -> None:
    found = scenario(tmp_path, "t,s\n1,1\n")
    (tmp_path / "day.csv").unlink()
    assert told(found) == "a.yaml:5:21: load.arrivals.trace: day.csv: no such file or directory"
    with pytest.raises(ScenarioError, match="no such file"):
        found.read_files()


def test_a_trace_that_is_a_directory_or_no_text_is_told(tmp_path: Path) -> None:
    found = scenario(tmp_path, "t,s\n1,1\n")
    (tmp_path / "day.csv").write_bytes(b"t,s\n1,\xff\n")
    assert told(found).endswith("day.csv is not UTF-8 text")
    (tmp_path / "day.csv").unlink()
    (tmp_path / "day.csv").mkdir()
    assert told(found).endswith("day.csv: is a directory")


def test_a_path_counts_from_the_scenario_or_from_a_given_base(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.csv").write_text("t,s\n1,1\n", encoding="utf-8")
    text = (
        "version: 1\nname: a\nload:\n  model: open\n"
        "  arrivals: {trace: data/b.csv, time: t, session: s}\n"
    )
    near = loads(text, str(tmp_path / "a.yaml"), host=None)
    far = loads(text, "elsewhere/a.yaml", host=None, base=tmp_path)
    assert schedule.arrivals(near) == schedule.arrivals(far)


def test_a_trace_without_stages_is_one_that_ends_with_the_last_session(tmp_path: Path) -> None:
    found = scenario(tmp_path, "t,s\n10,20\n15,5\n")
    assert schedule.stages(found) == [("trace", 0.0, 20.0, True)]
    assert schedule.duration_s(found) == 20.0
    assert {arrival.stage for arrival in schedule.arrivals(found)} == {"trace"}


def test_stages_name_stretches_of_a_trace_and_end_it(tmp_path: Path) -> None:
    rest = "  stages: [{name: warmup, for: 2s, measure: false}, {name: hold, for: 3s}]\n"
    found = scenario(tmp_path, "t,s\n0,1\n1,1\n2,1\n4.9,1\n5,1\n", rest=rest)
    assert [arrival.stage for arrival in schedule.arrivals(found)] == [
        "warmup",
        "warmup",
        "hold",
        "hold",
    ]
    assert schedule.duration_s(found) == 5.0


def test_lengths_of_a_trace_may_be_drawn(tmp_path: Path) -> None:
    rest = "  session: {dist: exponential, mean: 10s}\n"
    found = schedule.arrivals(scenario(tmp_path, "t\n1\n2\n", "{trace: day.csv, time: t}", rest))
    assert found[0].session_s != found[1].session_s


def test_the_arrivals_of_a_trace_have_draws_bound_to_their_index(tmp_path: Path) -> None:
    rest = "  patience: {dist: exponential, mean: 10s}\n"
    few = schedule.arrivals(scenario(tmp_path, "t,s\n1,1\n2,1\n", rest=rest))
    more = schedule.arrivals(scenario(tmp_path, "t,s\n1,1\n3,1\n2,1\n", rest=rest))
    assert [a.patience_s for a in few] == [a.patience_s for a in more[:2]]


def test_an_empirical_distribution_draws_the_values_of_its_column(tmp_path: Path) -> None:
    (tmp_path / "boots.csv").write_text("when,ms\n1,2000\n2,1000\n3,6000\n", encoding="utf-8")
    found = loads(
        "version: 1\nname: a\nload:\n  model: open\n"
        "  session: {dist: empirical, file: boots.csv, column: ms, unit: ms}\n"
        "  stages: [{name: hold, for: 9s, rate: 1/s}]\n",
        base=tmp_path,
    )
    assert isinstance(found.load, OpenLoad)
    session = found.load.session
    assert isinstance(session, Empirical)
    assert list(session.values) == [1.0, 2.0, 6.0]
    assert session.mean == 3.0
    rng = random.Random(1)
    drawn = [session.sample(rng) for _ in range(3000)]
    assert set(drawn) == {1.0, 2.0, 6.0}
    assert drawn.count(6.0) == pytest.approx(1000, abs=130)
    assert {arrival.session_s for arrival in schedule.arrivals(found)} <= {1.0, 2.0, 6.0}


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("s\n0\n0\n", "v.csv: no value of s is above 0"),
        ("s\n1\n-2\n", "v.csv, row 3: s is -2, below 0"),
        ("s\n1\nx\n", "v.csv, row 3: s is 'x', which is no number"),
        ("S\n1\n", "v.csv has no column 's': it has S"),
    ],
)
def test_an_unfit_empirical_distribution_is_told(tmp_path: Path, csv: str, message: str) -> None:
    (tmp_path / "v.csv").write_text(csv, encoding="utf-8")
    found = loads(
        "version: 1\nname: a\nload: {model: closed, users: 1, for: 5s}\n"
        "pool: {boot: {dist: empirical, file: v.csv, column: s}, policy: {kind: fixed, size: 1}}\n",
        "a.yaml",
        host=None,
        base=tmp_path,
    )
    with pytest.raises(ScenarioError) as caught:
        found.read_files()
    assert str(caught.value) == f"a.yaml:4:38: pool.boot.file: {message}"


@pytest.mark.parametrize("written", ["day.csv", "../data/day.csv", "ABSOLUTE"])
def test_a_scenario_loads_from_copies_of_its_files_wherever_they_were(
    tmp_path: Path, written: str
) -> None:
    home, kept = tmp_path / "scenarios", tmp_path / "run" / "files"
    named = written.replace("ABSOLUTE", str(tmp_path / "day.csv"))
    file = home / named
    for directory in (home, file.parent):
        directory.mkdir(exist_ok=True)
    file.write_text("at,length\n0,5\n3,7\n")
    text = TRACED % named
    loads(text, str(home / "s.yaml")).keep_files(kept)
    file.unlink()
    scenario = loads(text, "elsewhere.yaml", base=kept)
    assert [arrival.session_s for arrival in schedule.arrivals(scenario)] == [5.0, 7.0]


def test_a_scenario_without_files_keeps_none(tmp_path: Path) -> None:
    text = "version: 1\nname: s\nload: {model: closed, users: 1, for: 5s}\n"
    loads(text).keep_files(tmp_path / "files")
    assert not (tmp_path / "files").exists()
