"""Statements about chance that take many simulated days to check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exact_cases import KNOWN, misses, run
from simulated import days
from test_sim_cli import SMALL
from test_sim_plan import PLAN, quiet, scenario
from test_sim_truth import warm_pool

from sim.figures import Figure, of_sessions, statistic, watched
from sim.plan.evaluate import Candidate, Evaluator
from sim.plan.search import search

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("engine", ["fast", "simpy"])
def test_the_command_gives_the_exact_answer(name: str, engine: str, tmp_path: Path) -> None:
    """``pool.wait`` to within 4 % of the truth at most, and inside of the interval."""
    known = KNOWN[name]
    times = 2.0 if engine == "fast" else 0.1
    replications = 200 if "@" not in known.text else 20
    metrics = run(known, tmp_path, times, engine, replications)
    assert not misses(metrics, known.truths, 1.7)
    if engine == "fast" and "pool.wait" in known.truths:
        low, high = metrics["pool.wait"]["ci95"]["mean"]
        assert high - low <= 0.08 * known.truths["pool.wait"]


def test_intervals_hold_the_truth_in_93_to_97_percent() -> None:
    """1500 macro-replications of 10 days of the exact warm pool: ± 2 % is 3.5 deviations."""
    model = warm_pool(30)
    found = []
    for first in range(1, 15_001, 500):
        found += [
            (
                statistic("mean", of_sessions("pool.wait", one, watched(model, one))),
                float(one.pools[0].areas[:, 2].sum()) / model.end_us,
            )
            for one in days(model, 500, first=first)
        ]
    for column, truth in ((0, 0.0397338), (1, 4.98001)):
        values = np.array(found)[:, column].reshape(1500, 10)
        share = np.mean([Figure.of(row).covers(truth) for row in values])
        assert 0.93 <= share <= 0.97, (column, share)


def test_what_a_plan_chooses_holds_on_fresh_seeds_in_95_percent_of_plans() -> None:
    held = 0
    for seed in range(40):
        planned = scenario(SMALL + PLAN, seed)
        best = search(planned, 60.0, quiet).best
        assert best is not None
        fresh = Evaluator(planned, 7_000_000)
        again = Candidate(best.policy, 0)
        fresh.look(again, 100)
        held += fresh.keeps(again)
    assert held >= 38
