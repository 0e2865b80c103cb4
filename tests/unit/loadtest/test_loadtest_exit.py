"""Which exit code wins."""

from __future__ import annotations

from itertools import combinations

import pytest

from loadtest._exit import Exit, worst

ORDER = [Exit.USAGE, Exit.INTERNAL, Exit.INVALID, Exit.GATE_FAILED, Exit.INCONCLUSIVE, Exit.PASS]


@pytest.mark.parametrize(("high", "low"), list(combinations(ORDER, 2)))
def test_the_higher_precedence_wins_in_either_order(high: Exit, low: Exit) -> None:
    assert worst([high, low]) is worst([low, high]) is high


def test_nothing_said_is_a_pass() -> None:
    assert worst([]) is Exit.PASS


def test_the_numbers_are_the_contract() -> None:
    assert [int(code) for code in (Exit.PASS, Exit.GATE_FAILED, Exit.USAGE)] == [0, 1, 2]
    assert [int(code) for code in (Exit.INCONCLUSIVE, Exit.INVALID, Exit.INTERNAL)] == [3, 4, 5]
