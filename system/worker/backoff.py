"""Owns the waits between attempts to reach signaling. Pure."""

from __future__ import annotations

import random

BASE_S = 0.1
CAP_S = 3.0


def full_jitter_s(attempt: int, rng: random.Random) -> float:
    """Wait before attempt 1, 2, ...: uniform from zero to a doubling, capped limit.

    The whole range is random, not a part of it: workers that lost signaling
    together must not come back together.
    """
    return rng.uniform(0.0, min(CAP_S, BASE_S * 2.0 ** min(attempt, 16)))
