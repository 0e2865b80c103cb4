"""Exit codes of a load test and which of several wins."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """What the process's exit code says."""

    PASS = 0
    GATE_FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    INTERNAL = 5


_PRECEDENCE = (
    Exit.USAGE,
    Exit.INTERNAL,
    Exit.INVALID,
    Exit.GATE_FAILED,
    Exit.INCONCLUSIVE,
    Exit.PASS,
)
"""Highest first. An internal error outranks every verdict on what was measured around it."""


def worst(codes: Iterable[int]) -> Exit:
    """The code that outranks the others; PASS where there is none."""
    return min((Exit(code) for code in codes), key=_PRECEDENCE.index, default=Exit.PASS)


class Refusal(Exception):
    """The load test cannot start, and the user can mend it; the text has one line per reason."""

    code = Exit.USAGE
