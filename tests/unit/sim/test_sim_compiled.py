"""What ``sim.fast.compiled`` takes for granted of numba, which is not in its documentation.

``_nrt=False`` compiles a function without reference counting. Should numba drop
or change it, these fail by name, and ``lean`` can be ``compiled``: slower, the
same results.
"""

from __future__ import annotations

import numba
import numpy as np
import pytest

from sim.fast.compiled import compiled, lean

pytestmark = pytest.mark.timeout(300)


def _total(numbers: np.ndarray) -> float:
    total = 0.0
    for index in range(len(numbers)):
        total += numbers[index]
    return total


def test_numba_still_knows_the_option() -> None:
    target = numba.njit(_nrt=False)(_total)
    assert target.targetoptions["_nrt"] is False


def test_a_lean_function_counts_no_references() -> None:
    numbers = np.arange(10.0)

    def _counts(source: np.ndarray) -> float:
        taken = source[2:]
        return taken[0]

    def counts(nrt: bool) -> bool:
        function = numba.njit(_nrt=nrt)(_counts)
        assert function(numbers) == 2.0
        (text,) = function.inspect_llvm().values()
        return "NRT_incref" in text or "NRT_decref" in text

    assert counts(True)
    assert not counts(False)


def test_a_lean_function_does_what_a_compiled_one_does() -> None:
    numbers = np.arange(1000.0)
    assert lean(_total)(numbers) == compiled(_total)(numbers) == 499_500.0
