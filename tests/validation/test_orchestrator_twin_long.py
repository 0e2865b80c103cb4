"""One policy, two hosts, on many more days than the unit tests have."""

from __future__ import annotations

import pytest
import twin_days
from test_orchestrator_twin import COMBINED

pytestmark = pytest.mark.timeout(1800)

DAYS = range(100, 112)


@pytest.mark.parametrize("kind", [*twin_days.TIMELESS, "buffer+target"])
def test_a_policy_on_every_event_does_the_same_on_many_days(kind: str) -> None:
    for seed in DAYS:
        assert twin_days.differences(twin_days.fuzzed(seed, kind)) == [], seed


@pytest.mark.parametrize("interval_s", [5.0, 10.0, 30.0])
@pytest.mark.parametrize("kind", [*twin_days.ON_TICKS, *COMBINED])
def test_a_policy_on_ticks_does_the_same_on_many_days(kind: str, interval_s: float) -> None:
    for seed in DAYS:
        case = twin_days.fuzzed(seed, kind, interval_s=interval_s)
        assert twin_days.differences(case) == [], seed
