"""The library: every file loads, says what it is for, and runs where it is meant to."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios import schedule
from scenarios.loader import load
from scenarios.pool import Pool
from scenarios.search import search
from scenarios.support import NOT_YET, REFUSED, Host, unsupported

LIBRARY = Path(__file__).parents[3] / "scenarios"
FILES = sorted(LIBRARY.glob("*.yaml"))
MEANT_FOR: dict[str, Host] = {
    "demo": "measured",
    "ci": "measured",
    "compare": "measured",
    "capacity": "measured",
    "steady": "measured",
    "worker-crash": "measured",
    "flash-crowd": "simulated",
    "diurnal-day": "simulated",
    "warm-pool-sizing": "simulated",
    "seed-semantics": "simulated",
    "seed-semantics-ours": "simulated",
}


def test_the_library_is_complete() -> None:
    assert {path.stem for path in FILES} == set(MEANT_FOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_the_library_loads_and_says_what_it_is_for(path: Path) -> None:
    scenario = load(path, host=None)
    assert scenario.name == path.stem
    assert len(scenario.description) > 40
    assert scenario.gates
    assert schedule.arrivals(scenario)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./scenario.schema.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_in_a_file_is_impossible_for_the_host_it_is_meant_for(path: Path) -> None:
    host = MEANT_FOR[path.stem]
    scenario = load(path, host=None)
    for use in unsupported(scenario, host):
        assert REFUSED[host][use.feature] == NOT_YET, use.text


@pytest.mark.parametrize("name", ["demo", "ci", "compare", "steady"])
def test_a_file_that_is_run_today_is_supported_today(name: str) -> None:
    load(LIBRARY / f"{name}.yaml")


def test_the_check_of_every_change_ends_within_90_seconds() -> None:
    scenario = load(LIBRARY / "ci.yaml")
    assert schedule.duration_s(scenario) <= 70
    at_once = max(
        sum(
            other.at_s <= arrival.at_s < other.at_s + other.session_s
            for other in schedule.arrivals(scenario)
        )
        for arrival in schedule.arrivals(scenario)
    )
    assert at_once <= scenario.pool.at_start * scenario.pool.slots_per_worker


def test_the_sizing_question_has_candidates_of_every_kind() -> None:
    plan = search(load(LIBRARY / "warm-pool-sizing.yaml", host=None))
    kinds = {policy.kind for policy in plan.candidates()}
    assert kinds == {"fixed", "buffer", "target", "two-tier", "predictive"}
    assert 50 < len(list(plan.candidates())) < 200


def test_the_simplest_design_neither_queues_nor_releases() -> None:
    scenario = load(LIBRARY / "seed-semantics.yaml", host="simulated")
    assert scenario.is_loss
    assert isinstance(scenario.pool, Pool)
    assert (scenario.pool.release, scenario.pool.reap_s) == (False, 600.0)
