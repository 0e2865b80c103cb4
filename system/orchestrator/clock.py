"""The orchestrator's clocks, in one place, so that a test or a simulation can set them.

Waiting is the event loop's business: whoever sets the clocks runs a loop that
goes by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Both in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    """For durations, and what policies are told."""
    wall: Callable[[], float] = time.time
    """Unix time: what schedules and forecasts go by."""
