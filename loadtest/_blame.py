"""Names the part of a system that a missed gate points to, from what each part used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

FULL: Final = 0.85
"""A core, or the machine, that is used to this share has nothing left when it is needed."""
LATE_S: Final = 0.1
"""An event loop that is late by so much delays whatever it passes on."""
ENCODER_FULL: Final = 0.5
"""Share of the time between two frames that encoding one may take."""

GENERATOR: Final = "load generator"
OTHERS: Final = "other processes on this machine"
_OF_SYSTEM: Final = ("worker", "signaling", "orchestrator", "store")


@dataclass(frozen=True, slots=True)
class Use:
    """One process of the system over a step: cores used and the worst lag of its event loop."""

    node: str
    role: str
    cpu: float
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A step of a capacity search as seen from outside its viewers.

    ``waiting`` sessions were in the queue; ``encode_s`` is the slowest worker's
    mean time to encode a frame, which are ``frame_s`` apart at most. ``shared``:
    the system and the generator run on one machine, of so many ``cores``.
    """

    cores: float
    uses: Sequence[Use] = ()
    generator_cpu: float = 0.0
    generator_lag_s: float = 0.0
    machine_cpu: float = 0.0
    """Cores in use by whatever runs on this machine."""
    waiting: int = 0
    encode_s: float = 0.0
    frame_s: float = 1 / 30
    shared: bool = True


def blame(metric: str, seen: Evidence) -> str:
    """Name what a missed limit on ``metric`` points to; "" where nothing stands out.

    In this order: the queue, for who had to wait; a generator that was full
    itself, or late where nobody can see who else was busy; a machine that was
    full, with its largest user; a process that filled its core; an encoder too
    slow for the frame rate; a late event loop.
    """
    if metric.startswith("pool."):
        return "pool"
    if seen.waiting > 0 and metric.startswith("session."):
        return "pool"
    late = not (seen.uses and seen.shared) and seen.generator_lag_s >= LATE_S
    if late or seen.generator_cpu >= FULL * seen.cores:
        return GENERATOR
    used = _by_role(seen.uses)
    ours = sum(used.values()) + seen.generator_cpu
    if seen.shared and max(ours, seen.machine_cpu) >= FULL * seen.cores:
        if seen.machine_cpu > 2 * ours or not used:
            return OTHERS
        return f"{max(used, key=lambda role: used[role])} CPU"
    full = [use for use in seen.uses if use.role in _OF_SYSTEM and use.cpu >= FULL]
    if full:
        return f"{max(full, key=lambda use: use.cpu).role} CPU"
    if seen.encode_s >= ENCODER_FULL * seen.frame_s:
        return "encoder"
    lagging = [use for use in seen.uses if use.lag_s >= LATE_S]
    if lagging:
        return f"{max(lagging, key=lambda use: use.lag_s).role} event loop"
    return ""


def _by_role(uses: Iterable[Use]) -> dict[str, float]:
    found: dict[str, float] = {}
    for use in uses:
        if use.role in _OF_SYSTEM:
            found[use.role] = found.get(use.role, 0.0) + use.cpu
    return found
