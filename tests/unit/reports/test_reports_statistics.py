"""Statistics by hand: percentiles, censoring, time weights, intervals over sessions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from reports.samples import Samples
from reports.statistics import summarise
from system.protocol.metrics import METRICS


def _samples(
    values: list[float],
    sessions: list[int] | None = None,
    name: str = "session.join_time",
    weights: list[float] | None = None,
) -> Samples:
    count = len(values)
    return Samples(
        METRICS[name],
        np.array(values, dtype=np.float64),
        np.array(sessions if sessions is not None else range(count), dtype=np.int64),
        np.zeros(count),
        np.zeros(count, dtype=np.int64),
        None if weights is None else np.array(weights, dtype=np.float64),
    )


def test_percentiles_are_samples_not_interpolations() -> None:
    stats = summarise(_samples([float(k) for k in range(1, 21)]), seed=1)
    assert stats is not None
    assert stats.values["p05"] == 1.0
    assert stats.values["p25"] == 5.0
    assert stats.values["p50"] == 10.0
    assert stats.values["p95"] == 19.0
    assert stats.values["p99"] == 20.0
    assert (stats.values["min"], stats.values["max"]) == (1.0, 20.0)
    assert stats.values["mean"] == 10.5
    assert (stats.n, stats.sessions, stats.censored) == (20, 20, 0)


def test_censored_samples_rank_last_and_stay_out_of_the_mean() -> None:
    """Of ten, two never came: p75 is the eighth sample, p95 the tenth, which is censored."""
    stats = summarise(_samples([*map(float, range(1, 9)), math.inf, math.inf]), seed=1)
    assert stats is not None
    assert stats.values["p50"] == 5.0
    assert stats.values["p75"] == 8.0
    assert stats.values["p95"] == math.inf
    assert stats.values["max"] == math.inf
    assert stats.values["mean"] == 4.5
    assert (stats.n, stats.censored) == (10, 2)


def test_an_interval_may_reach_into_the_censored() -> None:
    stats = summarise(_samples([*map(float, range(1, 9)), math.inf, math.inf]), seed=1)
    assert stats is not None
    low, high = stats.ci95["p50"]
    assert low < 5.0 < high
    assert stats.ci95["p95"][1] == math.inf
    assert math.isfinite(stats.ci95["mean"][1])


def test_when_nothing_came_everything_is_infinite() -> None:
    stats = summarise(_samples([math.inf, math.inf]), seed=1)
    assert stats is not None
    assert set(stats.values.values()) == {math.inf}


def test_one_sample_has_no_interval() -> None:
    stats = summarise(_samples([3.0]), seed=1)
    assert stats is not None
    assert stats.ci95 == {}
    assert stats.values["p01"] == stats.values["p99"] == stats.values["mean"] == 3.0


def test_nothing_has_no_statistics() -> None:
    assert summarise(_samples([]), seed=1) is None


def test_values_count_for_as_long_as_they_held() -> None:
    """Two workers for 9 s, ten for 1 s: mean 2.8, and p95 lies in the last second."""
    stats = summarise(_samples([2.0, 10.0], [0, 0], "pool.workers.ready", [9.0, 1.0]), seed=1)
    assert stats is not None
    assert stats.values["mean"] == pytest.approx(2.8)
    assert stats.values["p75"] == 2.0
    assert stats.values["p95"] == 10.0
    assert stats.ci95 == {}


def test_intervals_are_the_same_for_the_same_seed() -> None:
    samples = _samples([float(k % 7) for k in range(60)], [k // 6 for k in range(60)])
    first, again = summarise(samples, seed=5), summarise(samples, seed=5)
    other = summarise(samples, seed=6)
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.ci95 == again.ci95
    assert first.ci95 != other.ci95


def test_an_interval_resamples_sessions_not_samples() -> None:
    """Ten sessions of 100 equal samples each know no more than ten numbers."""
    rng = np.random.default_rng(1)
    means = rng.normal(10.0, 2.0, 10)
    clustered = summarise(
        _samples(np.repeat(means, 100).tolist(), np.repeat(np.arange(10), 100).tolist()), seed=1
    )
    single = summarise(_samples(means.tolist()), seed=1)
    assert clustered is not None
    assert single is not None
    wide = clustered.ci95["mean"][1] - clustered.ci95["mean"][0]
    assert wide == pytest.approx(single.ci95["mean"][1] - single.ci95["mean"][0], rel=0.2)
    expected = 2 * 1.96 * means.std() / math.sqrt(10)
    assert wide == pytest.approx(expected, rel=0.25)


def test_intervals_of_the_mean_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for trial in range(120):
        rng = np.random.default_rng(trial)
        stats = summarise(_samples(rng.exponential(1.0, 60).tolist()), seed=trial)
        assert stats is not None
        low, high = stats.ci95["mean"]
        covered += low <= 1.0 <= high
    assert covered / 120 > 0.86


def test_a_gated_statistic_gets_an_interval_but_extremes_never() -> None:
    stats = summarise(_samples([float(k) for k in range(50)]), seed=1, intervals=["p05", "max"])
    assert stats is not None
    assert set(stats.ci95) == {"mean", "p05", "p50", "p95"}


def test_a_million_samples_are_summarised_with_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    stats = summarise(
        _samples(rng.exponential(1.0, 300_000).tolist(), rng.integers(0, 500, 300_000).tolist()),
        seed=1,
    )
    assert stats is not None
    assert stats.values["p50"] == pytest.approx(math.log(2), rel=0.02)
    assert stats.ci95["p50"][0] < math.log(2) < stats.ci95["p50"][1]


def _days(values: list[list[float]], name: str = "pool.wait_time") -> Samples:
    flat = _samples([value for day in values for value in day], name=name)
    numbers = np.repeat(np.arange(len(values)), [len(day) for day in values])
    return replace(flat, replications=numbers.astype(np.int64))


def test_replications_are_averaged_with_an_interval_of_student() -> None:
    """Means 1, 2, 3: mean 2, deviation 1, t(2) = 4.303."""
    stats = summarise(_days([[0.5, 1.5], [2.0, 2.0], [2.0, 4.0]]), seed=1)
    assert stats is not None
    assert stats.values["mean"] == 2.0
    half = 4.303 / math.sqrt(3)
    assert stats.ci95["mean"] == pytest.approx((0.0, 2 + half), abs=0.001)
    assert (stats.values["min"], stats.values["max"], stats.n) == (0.5, 4.0, 6)


def test_a_quiet_replication_counts_no_more_than_its_arrivals() -> None:
    """Four arrivals, one waits: a quarter, though half of the replications' means are 1."""
    stats = summarise(_days([[1.0], [0.0, 0.0, 0.0]], "pool.wait"), seed=1)
    assert stats is not None
    assert stats.values["mean"] == 0.25


def test_intervals_over_short_replications_hold_the_truth() -> None:
    """Of n ~ 1 + Poisson(3) arrivals each waits n seconds: E[n²] / E[n] = 19 / 4."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        counts = rng.poisson(3.0, 50) + 1
        stats = summarise(_days([[float(count)] * count for count in counts]), seed=1)
        assert stats is not None
        held += stats.ci95["mean"][0] <= (3 + 16) / 4 <= stats.ci95["mean"][1]
    assert 180 <= held <= 199


def test_the_interval_of_a_share_stays_a_share() -> None:
    stats = summarise(_days([[0.0, 1.0], [1.0, 1.0]], "pool.wait"), seed=1)
    assert stats is not None
    assert stats.ci95["mean"] == (0.0, 1.0)


def test_where_a_replication_has_no_number_they_are_pooled_without_an_interval() -> None:
    days = [[1.0] * 10, [1.0] * 9 + [math.inf]]
    stats = summarise(_days(days), seed=1)
    assert stats is not None
    assert stats.values["p50"] == 1.0
    assert "p50" in stats.ci95
    assert stats.values["p99"] == math.inf
    assert stats.values["p95"] == 1.0
    assert "p95" not in stats.ci95


def test_time_weights_count_within_each_replication() -> None:
    held = replace(
        _days([[2.0, 4.0], [6.0, 8.0]], "pool.workers.ready"), weights_s=np.array([3.0, 1.0, 1, 1])
    )
    stats = summarise(held, seed=1)
    assert stats is not None
    assert stats.values["mean"] == pytest.approx((2.5 + 7.0) / 2)
    assert stats.ci95["mean"][0] < 4.75 < stats.ci95["mean"][1]


def test_intervals_by_ranks_are_those_of_the_samples_themselves() -> None:
    """Of 30,000 samples resamples tell some hundred ranks apart; the plain bootstrap tells all."""
    rng = np.random.default_rng(3)
    sessions = np.repeat(np.arange(100), 300)
    values = rng.lognormal(0, 0.5, 30_000) * np.repeat(rng.lognormal(0, 0.2, 100), 300)
    stats = summarise(_samples(values.tolist(), sessions.tolist()), seed=1)
    assert stats is not None
    table = values.reshape(100, 300)
    drawn = [table[rng.integers(0, 100, 100)].ravel() for _ in range(200)]
    for stat, share in (("p50", 0.5), ("p95", 0.95)):
        plain = np.quantile([np.quantile(one, share) for one in drawn], [0.025, 0.975])
        width = plain[1] - plain[0]
        assert stats.ci95[stat] == pytest.approx(tuple(plain), abs=0.35 * width)
