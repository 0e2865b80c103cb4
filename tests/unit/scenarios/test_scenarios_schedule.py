"""Arrivals are right on average, exact where they can be, and bound to index and seed."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest

from scenarios import schedule
from scenarios.errors import ScenarioError
from scenarios.load import OpenLoad
from scenarios.loader import loads
from scenarios.model import Scenario


def _open(
    stages: str,
    process: str = "deterministic",
    seed: int = 1,
    extra: str = "",
    session: str = "10s",
) -> Scenario:
    return loads(
        f"version: 1\nname: a\nseed: {seed}\nload:\n  model: open\n"
        f"  arrivals: {{process: {process}}}\n  session: {session}\n  stages: [{stages}]\n{extra}"
    )


def _closed(extra: str = "") -> Scenario:
    return loads(
        "version: 1\nname: a\nload:\n  model: closed\n  users: 3\n  projects: 2\n"
        f"  session: 4s\n{extra}"
        "  stages: [{name: warmup, for: 5s, measure: false}, {name: hold, for: 5s}]\n"
    )


def test_stages_are_laid_end_to_end() -> None:
    scenario = _open(
        "{name: a, for: 5s, rate: 1/s, measure: false}, {name: b, for: 1min, rate: 1/s}"
    )
    assert schedule.stages(scenario) == [("a", 0.0, 5.0, False), ("b", 5.0, 65.0, True)]
    assert schedule.duration_s(scenario) == 65.0


def test_deterministic_arrivals_are_evenly_spaced() -> None:
    times = [a.at_s for a in schedule.arrivals(_open("{name: a, for: 4s, rate: 0.5/s}"))]
    assert times == [1.0, 3.0]


def test_a_ramp_is_inverted_exactly() -> None:
    scenario = _open("{name: a, for: 10s, rate: 0/s, to: 2/s}")
    times = [arrival.at_s for arrival in schedule.arrivals(scenario)]
    assert times == pytest.approx([math.sqrt(10 * (k + 0.5)) for k in range(10)])


def test_a_falling_ramp_stays_within_its_stage() -> None:
    scenario = _open("{name: a, for: 10s, rate: 2/s, to: 0/s}")
    times = [arrival.at_s for arrival in schedule.arrivals(scenario)]
    assert times == pytest.approx(sorted(10 - math.sqrt(10 * (k + 0.5)) for k in range(10)))


def test_a_stage_without_arrivals_is_skipped() -> None:
    scenario = _open(
        "{name: a, for: 2s, rate: 1/s}, {name: b, for: 5s, rate: 0/s}, "
        "{name: c, for: 2s, rate: 1/s}"
    )
    arrived = [(arrival.at_s, arrival.stage) for arrival in schedule.arrivals(scenario)]
    assert arrived == [(0.5, "a"), (1.5, "a"), (7.5, "c"), (8.5, "c")]


def test_poisson_arrivals_have_the_rate_and_variance_of_a_poisson_process() -> None:
    scenario = _open("{name: a, for: 4000s, rate: 1/s}", "poisson")
    times = [arrival.at_s for arrival in schedule.arrivals(scenario)]
    assert len(times) == pytest.approx(4000, abs=4 * math.sqrt(4000))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(1.0, abs=0.06)


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    text = "{name: a, for: 100s, rate: 1/s}"
    assert schedule.arrivals(_open(text, "poisson")) == schedule.arrivals(_open(text, "poisson"))
    assert schedule.arrivals(_open(text, "poisson")) != schedule.arrivals(
        _open(text, "poisson", seed=2)
    )


def test_draws_are_bound_to_the_index_not_to_the_rate() -> None:
    session = "{dist: exponential, mean: 10s}"
    slow = schedule.arrivals(_open("{name: a, for: 100s, rate: 0.1/s}", session=session))
    fast = schedule.arrivals(_open("{name: a, for: 100s, rate: 1/s}", session=session))
    assert [a.session_s for a in slow] == [a.session_s for a in fast[: len(slow)]]
    assert len({a.session_s for a in fast}) == len(fast)


def test_draws_of_a_day_are_frozen() -> None:
    """A change of these numbers changes every registered prediction and baseline."""
    first = schedule.arrivals(
        _open(
            "{name: a, for: 9s, rate: 1/s}", "poisson", 42, session="{dist: exponential, mean: 10s}"
        )
    )[0]
    assert first.at_s == pytest.approx(0.28271, abs=1e-5)
    assert first.session_s == pytest.approx(7.77071, abs=1e-5)


def test_viewers_are_spread_over_projects_and_tiers() -> None:
    scenario = _open(
        "{name: a, for: 100s, rate: 1/s}",
        extra="  projects: 4\n  receive: {frames: 80%, decode: 20%}\n",
    )
    arrivals = schedule.arrivals(scenario)
    assert {arrival.project_id for arrival in arrivals} == {f"project-{k}" for k in range(4)}
    assert sum(arrival.tier == "decode" for arrival in arrivals) in (19, 20, 21)
    assert len({arrival.user_id for arrival in arrivals}) == 100
    assert len({arrival.input_seed for arrival in arrivals}) == 100


def test_even_ten_viewers_have_their_share_of_decoders() -> None:
    for seed in range(20):
        scenario = _open(
            "{name: a, for: 10s, rate: 1/s}",
            seed=seed,
            extra="  receive: {frames: 80%, decode: 20%}\n",
        )
        tiers = [arrival.tier for arrival in schedule.arrivals(scenario)]
        assert 1 <= tiers.count("decode") <= 3


def test_a_closed_load_starts_all_its_users_at_once() -> None:
    arrivals = schedule.arrivals(_closed())
    assert [arrival.at_s for arrival in arrivals] == [0.0, 0.0, 0.0]
    assert {arrival.stage for arrival in arrivals} == {"warmup"}


def test_a_closed_load_may_spread_the_first_joins() -> None:
    assert [a.at_s for a in schedule.arrivals(_closed("  ramp: 6s\n"))] == [0.0, 2.0, 4.0]


def test_a_user_of_a_closed_load_comes_back_as_the_same_user() -> None:
    scenario = _closed()
    first = schedule.arrivals(scenario)[1]
    second = schedule.next_arrival(scenario, first, 6.0)
    assert second is not None
    assert (second.index, second.at_s, second.stage) == (4, 6.0, "hold")
    assert (second.user_id, second.project_id) == (first.user_id, first.project_id)
    assert second.input_seed != first.input_seed
    assert schedule.next_arrival(scenario, second, 10.0) is None


def test_a_closed_load_of_one_length_has_one_measured_stage() -> None:
    scenario = loads("version: 1\nname: a\nload: {model: closed, users: 2, for: 30s}\n")
    assert schedule.stages(scenario) == [("hold", 0.0, 30.0, True)]
    assert schedule.arrivals(scenario)[0].session_s == math.inf


def test_an_open_load_has_no_next_arrival() -> None:
    scenario = _open("{name: a, for: 10s, rate: 1/s}")
    assert schedule.next_arrival(scenario, schedule.arrivals(scenario)[0], 3.0) is None


def test_an_absurd_number_of_arrivals_is_refused() -> None:
    scenario = _open("{name: a, for: 1000d, rate: 1000/s}")
    assert isinstance(scenario.load, OpenLoad)
    with pytest.raises(ScenarioError, match=r"load\.stages: .* arrivals, over"):
        schedule.arrivals(scenario)


def _capacity() -> Scenario:
    return loads(
        "version: 1\nname: a\nload:\n  model: capacity\n  from: 2\n  step: 2\n  max: 5\n"
        "  hold: 10s\n  session: 4s\n"
        'gates: [{id: join, metric: session.join_time, stat: p95, "<=": 2s}]\n',
        host=None,
    )


def test_each_step_of_a_capacity_search_is_a_stage() -> None:
    assert schedule.stages(_capacity()) == [
        ("viewers-2", 0.0, 10.0, True),
        ("viewers-4", 10.0, 20.0, True),
        ("viewers-5", 20.0, 30.0, True),
    ]


def test_the_new_viewers_of_a_step_come_when_it_begins() -> None:
    arrivals = schedule.arrivals(_capacity())
    assert [arrival.at_s for arrival in arrivals] == [0.0, 0.0, 10.0, 10.0, 20.0]
    assert [arrival.index for arrival in arrivals] == [0, 1, 2, 3, 4]
    assert arrivals[4].stage == "viewers-5"


def test_a_viewer_of_a_capacity_search_comes_back_under_an_index_of_its_own() -> None:
    scenario = _capacity()
    second = schedule.next_arrival(scenario, schedule.arrivals(scenario)[1], 4.0)
    assert second is not None
    assert (second.index, second.user_id, second.stage) == (6, "user-1", "viewers-2")
    assert schedule.next_arrival(scenario, second, 30.0) is None


def test_a_day_of_changing_rates_is_inverted_exactly() -> None:
    scenario = _open(
        "{name: a, for: 10s, rate: 0/s, to: 2/s}, {name: b, for: 10s, rate: 2/s, to: 0/s}"
    )
    times = [arrival.at_s for arrival in schedule.arrivals(scenario)]
    assert len(times) == 20
    assert [20.0 - at_s for at_s in reversed(times)] == pytest.approx(times)
