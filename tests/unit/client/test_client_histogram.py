"""A histogram's quantiles are within its bucket's width, and merging loses nothing."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.client.histogram import LogHistogram


def histogram(values: list[float], censored: int = 0) -> LogHistogram:
    made = LogHistogram()
    for value in values:
        made.add(value)
    for _ in range(censored):
        made.add_censored()
    return made


@pytest.mark.parametrize("q", [0.01, 0.05, 0.5, 0.95, 0.99])
def test_quantiles_are_within_one_per_cent(q: float) -> None:
    rng = random.Random(1)
    values = sorted(rng.lognormvariate(-3, 1) for _ in range(10_000))
    exact = values[math.ceil(q * len(values)) - 1]
    assert histogram(values).quantile(q) == pytest.approx(exact, rel=0.011)


def test_extremes_and_mean_are_exact() -> None:
    made = histogram([0.2, 0.4, 0.9])
    assert (made.quantile(0.0), made.quantile(1.0)) == (0.2, 0.9)
    assert made.total / made.n == pytest.approx(0.5)


def test_censored_samples_rank_last() -> None:
    made = histogram([0.1] * 94, censored=6)
    assert made.quantile(0.94) == pytest.approx(0.1)
    assert made.quantile(0.95) == math.inf


def test_zeros_are_counted_apart() -> None:
    made = histogram([0.0, 0.0, 0.0, 5.0])
    assert (made.quantile(0.5), made.quantile(1.0)) == (0.0, 5.0)


def test_an_empty_histogram_has_no_quantile_and_survives_json() -> None:
    made = LogHistogram()
    assert math.isnan(made.quantile(0.5))
    assert math.isnan(LogHistogram.from_json(json.loads(json.dumps(made.to_json()))).quantile(0.5))


positive = st.lists(st.floats(min_value=0, max_value=1e6), max_size=50)


@given(positive, positive, st.integers(0, 3))
def test_merging_is_the_same_as_adding_everything_to_one(
    a: list[float], b: list[float], censored: int
) -> None:
    merged = histogram(a, censored)
    merged.merge(LogHistogram.from_json(json.loads(json.dumps(histogram(b).to_json()))))
    whole = histogram(a + b, censored)
    assert merged.counts == whole.counts
    assert (merged.n, merged.zeros, merged.censored) == (whole.n, whole.zeros, whole.censored)
    assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)
    assert merged.total == pytest.approx(whole.total)
