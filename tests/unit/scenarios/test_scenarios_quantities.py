"""Quantities and distributions."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from scenarios import quantities
from scenarios.distributions import AnyDistribution, Distribution
from scenarios.quantities import QuantityError

_ADAPTER: TypeAdapter[AnyDistribution] = TypeAdapter(Distribution)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("20us", quantities.DURATION, 20e-6),
        ("20ms", quantities.DURATION, 0.02),
        ("1.5s", quantities.DURATION, 1.5),
        (" 10 min ", quantities.DURATION, 600.0),
        ("2h", quantities.DURATION, 7200.0),
        ("1d", quantities.DURATION, 86400.0),
        ("+.5s", quantities.DURATION, 0.5),
        ("1e3ms", quantities.DURATION, 1.0),
        ("6/min", quantities.RATE, 0.1),
        ("36/h", quantities.RATE, 0.01),
        ("0.5%", quantities.SHARE, 0.005),
        ("2.5Mbps", quantities.BITRATE, 2_500_000.0),
        ("1.006 USD/h", quantities.PRICE, 1.006),
    ],
)
def test_a_quantity_is_parsed_exactly(text: str, kind: quantities.Kind, value: float) -> None:
    assert quantities.parse(text, kind) == value


@pytest.mark.parametrize(
    "given",
    ["", "s", "nan s", "inf s", "1e9999s", "--1s", "-0.1s", "1 0s", "1s s", "0x1s", 3, 2.5, -1,
     math.nan, math.inf, True, None, [], "1S", "٣s", "1e999s"],
)  # fmt: skip
def test_no_duration_is_made_of(given: object) -> None:
    with pytest.raises(QuantityError):
        quantities.parse(given, quantities.DURATION)


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (0.0, "s", "0 s"), (2.0, "s", "2 s"), (0.0314, "s", "31.4 ms"), (2e-5, "s", "20 µs"),
        (4000.0, "s", "4000 s"), (0.954, "ratio", "95.4 %"), (1.0, "ratio", "100 %"),
        (1_234_000.0, "bit/s", "1.23 Mbps"), (900.0, "bit/s", "0.9 kbps"), (29.97, "1/s", "30/s"),
        (3.0, "count", "3"), (1.006, "USD/h", "1.01 USD/h"), (math.inf, "s", "∞"),
        (math.nan, "s", "–"), (0.99965, "s", "1 s"), (9.997e-4, "s", "1 ms"),
        (999.7, "s", "1000 s"), (999_960.0, "bit/s", "1 Mbps"), (999.7, "count", "1000"),
    ],
)  # fmt: skip
def test_a_number_is_written_as_a_person_would(value: float, base: str, text: str) -> None:
    assert quantities.render(value, base) == text


@pytest.mark.parametrize(
    ("spec", "mean"),
    [
        ("30s", 30.0),
        ({"dist": "deterministic", "mean": "3s"}, 3.0),
        ({"dist": "exponential", "mean": "3s"}, 3.0),
        ({"dist": "lognormal", "mean": "60s", "cv": 1.2}, 60.0),
        (
            {"dist": "lognormal", "median": "45s", "p95": "90s"},
            45.0 * math.exp((math.log(2) / 1.6448536269514722) ** 2 / 2),
        ),
        ({"dist": "weibull", "shape": 1.0, "scale": "10s"}, 10.0),
    ],
)
def test_a_distribution_has_the_mean_it_says_and_samples_around_it(spec: Any, mean: float) -> None:
    distribution = _ADAPTER.validate_python(spec)
    assert distribution.mean == pytest.approx(mean)
    rng = random.Random(1)
    samples = [distribution.sample(rng) for _ in range(20_000)]
    assert statistics.mean(samples) == pytest.approx(mean, rel=0.05)
    assert min(samples) >= 0


def test_a_lognormal_has_the_percentiles_it_says() -> None:
    distribution = _ADAPTER.validate_python({"dist": "lognormal", "median": "45s", "p95": "90s"})
    rng = random.Random(2)
    samples = sorted(distribution.sample(rng) for _ in range(20_000))
    assert samples[10_000] == pytest.approx(45, rel=0.03)
    assert samples[19_000] == pytest.approx(90, rel=0.05)


def test_a_lognormal_has_the_coefficient_of_variation_it_says() -> None:
    distribution = _ADAPTER.validate_python({"dist": "lognormal", "mean": "60s", "cv": 0.5})
    rng = random.Random(3)
    samples = [distribution.sample(rng) for _ in range(20_000)]
    assert statistics.stdev(samples) / statistics.mean(samples) == pytest.approx(0.5, rel=0.05)


def test_a_boolean_is_no_distribution() -> None:
    with pytest.raises(ValidationError):
        _ADAPTER.validate_python(True)
