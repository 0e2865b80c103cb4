"""How much faster the compiled engine is than simpy: medians of one run."""

from __future__ import annotations

import statistics

import pytest

from sim import bench

USERS = 2000


def median_s(engine: str, users: int, times: int) -> float:
    return statistics.median(bench.measure(engine, users).engine_s for _ in range(times))


@pytest.mark.timeout(600)
def test_the_fast_engine_against_simpy(benchmark) -> None:
    fast_s = benchmark.pedantic(median_s, args=("fast", USERS, 5), rounds=1)
    callbacks_s = median_s("callbacks", USERS, 3)
    processes_s = median_s("processes", USERS, 3)
    benchmark.extra_info["ratio to callbacks"] = callbacks_s / fast_s
    benchmark.extra_info["ratio to processes"] = processes_s / fast_s
    assert callbacks_s / fast_s >= 20
    assert processes_s / fast_s >= 100


@pytest.mark.timeout(600)
def test_a_day_of_a_hundred_thousand_users(benchmark) -> None:
    timing = benchmark.pedantic(bench.measure, args=("fast", 100_000), rounds=1)
    benchmark.extra_info["with draws, s"] = timing.with_draws_s
    assert timing.with_draws_s < 6.0
