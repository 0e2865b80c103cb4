"""The planner: its answer, what it says when nothing holds, and that it beats nobody by luck."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_sim_cli import SMALL

from scenarios.loader import loads
from scenarios.model import Scenario
from sim.cli import group
from sim.plan import search as searching
from sim.plan import spread
from sim.plan.answer import conclude
from sim.plan.evaluate import Candidate, Evaluator
from sim.plan.search import FRESH_DAY, search
from sim.plan.space import candidates
from sim.plan.wording import as_written, in_words, meaning
from sim.scale import Parcel

pytestmark = pytest.mark.timeout(600)

PLAN = """
plan:
  policies:
    - {kind: buffer, warm: {from: 1, to: 12}}
    - {kind: fixed, size: [10, 20, 26, 32]}
    - {kind: two-tier, warm: [2, 4], stopped: [4]}
"""


def scenario(text: str = SMALL + PLAN, seed: int = 4) -> Scenario:
    return loads(text.replace("seed: 4", f"seed: {seed}"), host="simulated")


def quiet(done: int, expected: int) -> None:
    """Progress that nobody watches."""


def test_a_plan_is_within_one_percent_of_exhaustive_search() -> None:
    planned = scenario()
    found = search(planned, 60.0, quiet)
    assert found.best is not None
    exhaustive = Evaluator(planned, 5_000_000)
    costs = {}
    for one in candidates(exhaustive):
        exhaustive.look(one, 60)
        if exhaustive.keeps(one):
            costs[in_words(one.policy)] = one.cost.mean
    assert costs[in_words(found.best.policy)] <= 1.01 * min(costs.values())


def test_an_answer_comes_from_days_that_the_search_has_not_seen(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + PLAN)
    run = ["plan", str(file), "--json", "-", "--run-dir", str(tmp_path / "plan")]
    result = CliRunner().invoke(group, run)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["policy"]["kind"] in {"buffer", "two-tier"}
    assert answer["cost"]["ci95"][0] < answer["cost"]["mean"] < answer["cost"]["ci95"][1]
    assert [gate["verdict"] for gate in answer["gates"]] == ["PASS", "PASS"]
    assert {"kind", "policy", "cost", "gates"} <= set(answer["alternatives"][0])
    assert {one["of"] for one in answer["sensitivity"]} == {
        "boot time",
        "arrivals",
        "session length",
    }
    assert answer["answer"].startswith("The cheapest policy that keeps")
    plots = {path.name for path in (tmp_path / "plan/plots").iterdir()}
    assert plots == {"frontier.svg", "sensitivity.svg", "staffing.svg"}
    again = Candidate(
        next(
            one.policy
            for one in candidates(Evaluator(scenario()))
            if as_written(one.policy) == answer["policy"]
        ),
        0,
    )
    fresh = Evaluator(scenario(), FRESH_DAY)
    fresh.look(again, 30)
    assert again.cost.mean == answer["cost"]["mean"]


def test_where_nothing_holds_the_plan_says_which_limit_binds() -> None:
    found = search(scenario(SMALL.replace("max_workers: 60", "max_workers: 12")), 30.0, quiet)
    answer = conclude(scenario(SMALL.replace("max_workers: 60", "max_workers: 12")), found)
    assert found.best is None
    assert answer.sentence.startswith("No policy keeps pool.wait_time p95 <= 2 s (gate wait)")
    assert "quota max_workers 12 binds" in answer.sentence


def test_an_interrupt_gives_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "_confirm", interrupted)
    found = search(scenario(), 60.0, quiet)
    answer = conclude(scenario(), found)
    assert found.best is not None
    assert "the best so far, not confirmed" in answer.sentence
    assert answer.as_json()["interrupted"] is True


def test_ctrl_c_prints_the_best_so_far_as_one_document(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After every candidate has been seen on three days, at whatever comes next."""
    look = Evaluator.look

    def interrupted(self: Evaluator, candidate: Candidate, days: int) -> None:
        if days > 3:
            raise KeyboardInterrupt
        look(self, candidate, days)

    monkeypatch.setattr(Evaluator, "look", interrupted)
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + PLAN)
    result = CliRunner().invoke(group, ["plan", str(file), "--json", "-"])
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert answer["interrupted"] is True
    assert answer["policy"]["kind"] in {"buffer", "two-tier"}
    assert answer["alternatives"] == []
    assert "interrupted: the best so far, not confirmed" in answer["answer"]


def test_the_answer_says_what_the_policy_does_and_which_kinds_do_not_hold() -> None:
    found = search(scenario(SMALL + PLAN.replace("[10, 20, 26, 32]", "[14]")), 60.0, quiet)
    answer = conclude(scenario(), found)
    assert found.best is not None
    assert "ready beyond those in use" in answer.sentence
    assert "days that the search had not seen show with 99 % confidence" in answer.sentence
    (line,) = answer.others
    assert line.startswith("fixed: none keeps the gates; fixed size 14, interval 10s comes nearest")
    assert line in answer.as_text()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{kind: fixed, size: 3}", "run 3 workers, always"),
        ("{kind: buffer, warm: 1, max: 9}", "keep 1 worker ready beyond those in use, never more"),
        ("{kind: buffer, warm: 20%, min: 4}", "keep 20% of those in use ready beyond those in use"),
        ("{kind: target, utilisation: 80%}", "80% of their slots"),
        ("{kind: predictive, method: ewma, headroom: 2}", "and 2 workers more"),
        ("{kind: predictive, method: mtginf}", "from the arrival rates that this scenario says"),
        ("{kind: per-request, idle: 90min}", "after 90min without work"),
        ("{kind: buffer, warm: 2, scale_in_delay: 5min}", "when it was not needed for 5min"),
        ('{kind: schedule, steps: [{at: "08:00", warm: 2}]}', "2 workers from 08:00"),
    ],
)
def test_a_policy_is_told_in_plain_words(policy: str, words: str) -> None:
    text = SMALL.replace("{kind: buffer, warm: 6, interval: 10s}", policy)
    assert words in meaning(scenario(text).pool.policy)


def test_without_policies_candidates_lie_around_the_load() -> None:
    found = candidates(Evaluator(scenario(SMALL)))
    assert {one.kind for one in found} >= {
        "fixed",
        "buffer",
        "buffer share",
        "target",
        "predictive ewma",
        "predictive holt-winters",
        "predictive mtginf",
        "two-tier",
    }
    assert len({in_words(one.policy) for one in found}) == len(found)


def test_the_objective_is_workers_where_nothing_has_a_price() -> None:
    free = SMALL.replace("  price: {running: 1 USD/h, stopped: 0.01 USD/h}\n", "")
    assert Evaluator(scenario(free)).unit == "workers"


def test_candidates_look_the_same_from_another_process() -> None:
    """What another process does with a parcel, done here."""
    text = SMALL + PLAN
    here = Evaluator(scenario(text), FRESH_DAY)
    one = candidates(here)[0]
    here.look(one, 3)
    parcel = Parcel.of(scenario(text), text)
    values, costs = spread._look(parcel, FRESH_DAY, [(one.policy, 1, 3)])[0]
    assert costs == one.costs[1:]
    assert [list(day) for day in values] == [list(day) for day in one.values[1:]]


def test_a_cluster_without_its_backend_is_told(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL + PLAN)
    result = CliRunner().invoke(group, ["plan", str(file), "--cluster", "tcp://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "--cluster goes with --backend dask or ray" in result.stderr
