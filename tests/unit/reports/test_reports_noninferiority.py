"""The test behind regression gates: by hand, and how often it errs over thousands of trials."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports import student
from reports.noninferiority import (
    CANDIDATES_MAX,
    difference,
    log_margin,
    paired,
    verdict_of,
    worse,
)
from reports.verdict import GateVerdict

NOISE = 0.05
MARGIN = log_margin(0.10, lower_is_better=True)
TRIALS = 20_000


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [
        (0.95, 1, 6.314),
        (0.95, 4, 2.132),
        (0.95, 9, 1.833),
        (0.975, 4, 2.776),
        (0.975, 19, 2.093),
        (0.975, 100_000, 1.960),
    ],
)
def test_quantiles_of_student_are_those_of_the_tables(
    probability: float, freedom: int, expected: float
) -> None:
    assert student.quantile(probability, freedom) == pytest.approx(expected, abs=0.001)


def test_a_difference_by_hand() -> None:
    """Variance pooled over 5 and 1 runs: 0.025 / 4; half = 2.132 * sqrt(0.00625 * 1.2)."""
    baseline = np.array([0.0, 0.1, -0.1, 0.05, -0.05])
    found = difference(baseline, np.array([0.2]))
    assert float(found.mean) == pytest.approx(0.2)
    assert float(found.half) == pytest.approx(2.132 * math.sqrt(0.00625 * 1.2), rel=1e-3)


def test_pairs_cancel_what_both_runs_had_in_common() -> None:
    drift = np.linspace(0.0, 2.0, 6)
    apart = np.array([0.01, -0.01, 0.0, 0.005, -0.005, 0.0])
    found = paired(drift, drift + 0.2 + apart)
    assert float(found.mean) == pytest.approx(0.2)
    assert verdict_of(found, MARGIN) is GateVerdict.FAIL
    assert verdict_of(difference(drift, drift + 0.2 + apart), MARGIN) is GateVerdict.INCONCLUSIVE


def test_runs_without_any_noise_are_decided_by_their_ratio() -> None:
    same = np.zeros(5)
    assert verdict_of(difference(same, np.array([0.09])), MARGIN) is GateVerdict.PASS
    assert verdict_of(difference(same, np.array([0.11])), MARGIN) is GateVerdict.FAIL


def test_a_margin_is_up_for_what_should_be_low_and_down_for_what_should_be_high() -> None:
    assert log_margin(0.1, lower_is_better=True) == pytest.approx(math.log(1.1))
    assert log_margin(0.1, lower_is_better=False) == pytest.approx(-math.log(0.9))
    assert log_margin(2.0, lower_is_better=False) == math.inf


def _outcomes(change: float) -> dict[GateVerdict, float]:
    """Shares of verdicts of the gate as it is used: one more candidate while it is undecided."""
    rng = np.random.default_rng(20261)
    baseline = np.log(1.0 + rng.normal(0.0, NOISE, (TRIALS, 10)))
    candidates = np.log((1.0 + change) * (1.0 + rng.normal(0.0, NOISE, (TRIALS, CANDIDATES_MAX))))
    decided = np.zeros(TRIALS)
    for count in range(1, CANDIDATES_MAX + 1):
        now = worse(difference(baseline, candidates[:, :count]), MARGIN)
        decided = np.where(decided == 0, now, decided)
    return {
        GateVerdict.FAIL: float(np.mean(decided > 0)),
        GateVerdict.PASS: float(np.mean(decided < 0)),
        GateVerdict.INCONCLUSIVE: float(np.mean(decided == 0)),
    }


def test_without_a_change_the_gate_alarms_in_less_than_one_of_a_hundred() -> None:
    found = _outcomes(0.0)
    assert found[GateVerdict.FAIL] <= 0.01
    assert found[GateVerdict.PASS] >= 0.90


def test_a_change_of_twenty_per_cent_is_found_nine_times_of_ten() -> None:
    found = _outcomes(0.20)
    assert found[GateVerdict.FAIL] >= 0.89
    assert found[GateVerdict.PASS] <= 0.01


def test_a_gain_is_never_an_alarm() -> None:
    assert _outcomes(-0.20)[GateVerdict.FAIL] == 0.0
