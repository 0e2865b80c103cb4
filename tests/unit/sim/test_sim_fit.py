"""Fits find what was drawn, censored or not, and say how sure they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from sim import fit as fits
from sim.fit import Times, fit, kaplan_meier, quantile
from sim.model import BadModel
from sim.shapes import Kind, most_likely, seconds_text

Draw = Callable[[np.random.Generator, int], np.ndarray]

SHAPES: dict[Kind, tuple[Draw, float]] = {
    "exponential": (lambda rng, n: rng.exponential(60.0, n), 60.0),
    "lognormal": (lambda rng, n: rng.lognormal(3.0, 0.5, n), float(np.exp(3.125))),
    "weibull": (lambda rng, n: 40.0 * rng.weibull(3.0, n), 35.72),
}


def censored(drawn: np.ndarray, limits: np.ndarray) -> Times:
    return Times(np.minimum(drawn, limits), drawn <= limits)


def half_censored(kind: Kind, seed: int, count: int) -> Times:
    """About half of the durations are cut off at a time that has nothing to do with them."""
    draw, mean = SHAPES[kind]
    rng = np.random.default_rng(seed)
    return censored(draw(rng, count), rng.exponential(1.4 * mean, count))


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "RESAMPLES", 20)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("kind", SHAPES)
def test_the_shape_and_the_mean_that_were_drawn_are_found_though_half_is_censored(
    kind: Kind,
) -> None:
    times = half_censored(kind, 1, 4000)
    found = fit(times, "boot")
    assert found.written["dist"] == kind
    assert 0.3 < found.censored / found.n < 0.6
    assert found.mean_s == pytest.approx(SHAPES[kind][1], rel=0.06)
    naive = float(times.seconds[times.ended].mean())
    assert naive < 0.93 * found.mean_s, "without the censored ones it would be far too short"


@pytest.mark.parametrize(
    ("kind", "of_scipy"), [("lognormal", "lognorm"), ("weibull", "weibull_min")]
)
def test_parameters_are_those_of_another_implementation(kind: Kind, of_scipy: str) -> None:
    times = half_censored(kind, 2, 200)
    data = stats.CensoredData.right_censored(times.seconds, ~times.ended)
    shape, _, scale = getattr(stats, of_scipy).fit(data, floc=0)
    (ours,) = most_likely(kind, np.log(times.seconds)[np.newaxis], times.ended[np.newaxis])
    sigma = shape if kind == "lognormal" else 1 / shape
    assert ours.sigma == pytest.approx(sigma, rel=1e-3)
    assert np.exp(ours.mu) == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize("kind", SHAPES)
def test_intervals_of_the_mean_cover_the_truth_as_often_as_they_say(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 fits to 60 durations, 95 % cover it: between 51 and 60, to 5 in 100,000."""
    monkeypatch.setattr(fits, "RESAMPLES", 60)
    monkeypatch.setattr(fits, "KINDS", (kind,))
    covered = fitting = 0
    for seed in range(60):
        found = fit(half_censored(kind, 100 + seed, 60), "patience")
        low, high = found.mean_ci95_s
        covered += low <= SHAPES[kind][1] <= high
        fitting += found.fits
    assert covered >= 51
    assert fitting >= 51, "the right shape is called a misfit in 5 % of all cases only"


def test_what_no_shape_fits_is_told_apart_from_noise() -> None:
    rng = np.random.default_rng(5)
    two = np.concatenate([rng.normal(5.0, 0.5, 150), rng.normal(60.0, 2.0, 150)])
    assert not fit(censored(two, np.full(300, 80.0)), "boot").fits


@pytest.mark.usefixtures("few_resamples")
def test_durations_that_hardly_spread_are_one_duration() -> None:
    rng = np.random.default_rng(6)
    stay = 6.0 + 0.01 * rng.random(30)
    found = fit(Times(stay, np.arange(30) % 5 > 0), "session")
    assert found.written["dist"] == "deterministic"
    assert found.mean_s == pytest.approx(6.005, abs=0.005)
    gone = fit(Times(0.003 * rng.random(30), np.full(30, True)), "patience")
    assert gone.written == {"dist": "deterministic", "mean": "0s"}


def test_kaplan_meier_is_the_textbook_table() -> None:
    """Freireich 1963, 6-MP arm: remission in weeks."""
    weeks = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    ended = np.array([True] * 9 + [False] * 12)
    at, survival = kaplan_meier(Times(np.array(weeks, dtype=np.float64), ended))
    assert at.tolist() == [6, 7, 10, 13, 16, 22, 23]
    expected = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert survival.round(3).tolist() == expected
    assert quantile((at, survival), 0.5) == 23


def test_too_little_to_fit_is_said() -> None:
    with pytest.raises(BadModel, match="boot: 1 of 2 were seen to their end; 5 are needed"):
        fit(Times(np.array([1.0, 2.0]), np.array([True, False])), "boot")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (0.0123456, "0.012346s"), (1234567.0, "1234600s")]
)
def test_durations_are_written_without_an_exponent(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
