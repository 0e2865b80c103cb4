"""The simulator's own model: a pool's parameters and a day's draws, in integer microseconds.

Engines know nothing else. Draws are bound to the index of a session or a
launch, so that two policies, and two engines, see the same day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from system.orchestrator.policy import MEMORIES, Numbers

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SECOND_US: Final = 1_000_000
NEVER_US: Final = 1 << 59
"""A time that does not come; sums of a few of them still fit."""

RANK_SERVICE: Final = 0
"""At one time: first session ends, boots, starts and scrubs,"""
RANK_FAILURE: Final = 1
"""then failures, spot notices and kills, idle workers that expire,"""
RANK_RENEGE: Final = 2
"""then sessions that leave,"""
RANK_REFILL: Final = 3
"""then launch tokens and capacity that come back,"""
RANK_RETURN: Final = 4
"""then arrivals: first those who come again,"""
RANK_ARRIVAL: Final = 5
"""then those who are new,"""
RANK_TICK: Final = 6
"""then the policy's tick. Within a rank, what was scheduled first."""

KINDS: Final = tuple(MEMORIES)
"""Kinds of policies; an index into this is what the fast engine knows."""

SERVED: Final = 0
ABANDONED: Final = 1
"""Left after waiting."""
BLOCKED: Final = 2
"""Left at once: no patience, and nobody to serve."""
WAITING: Final = 3
"""Still in the queue at the end."""
ABSENT: Final = 4
"""Never arrived: the day was over."""


class BadModel(ValueError):
    """Parameters that cannot be simulated; the text says which and why."""


@dataclass(frozen=True)
class PolicyPart:
    """One policy: its kind of ``KINDS`` and the parameters it is asked with."""

    kind: str
    parameters: Numbers

    def __post_init__(self) -> None:
        if self.kind not in MEMORIES:
            raise BadModel(f"policy: kind {self.kind!r} is none of {', '.join(KINDS)}")


@dataclass(frozen=True)
class PolicyModel:
    """One policy or several of which the highest wins; ``interval_us`` 0: on every event."""

    parts: tuple[PolicyPart, ...]
    interval_us: int = 0

    def __post_init__(self) -> None:
        if not self.parts:
            raise BadModel("policy: none is given")
        if self.interval_us < 0:
            raise BadModel("policy: interval is negative")


@dataclass(frozen=True)
class Kill:
    """A worker that dies at a given time; ``draw`` in 0..1 picks one of its target."""

    at_us: int
    target: str
    draw: float


class Limits(Protocol):
    """What a provider allows; as PoolModel says, to a pool, or to all in a region."""

    @property
    def max_workers(self) -> int: ...
    @property
    def burst(self) -> int: ...
    @property
    def refill_us(self) -> int: ...
    @property
    def outages_us(self) -> tuple[tuple[int, int], ...]: ...


@dataclass(frozen=True)
class RegionModel:
    """Limits that pools have together, beside each one's own."""

    name: str
    max_workers: int = 1 << 30
    burst: int = 0
    refill_us: int = 0
    outages_us: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class PoolModel:
    """What a pool is. Absent limits are ``NEVER_US`` or 0 as said."""

    policy: PolicyModel
    initial: int = 0
    """Workers ready at the start."""
    stopped: int = 0
    """Workers stopped at the start."""
    slots: int = 1
    reuse: bool = True
    """False: a worker goes when its last session has ended."""
    max_workers: int = 1 << 30
    """Workers that may exist and not be stopped."""
    burst: int = 0
    """Launch tokens that can be saved up; 0: no limit on launches."""
    refill_us: int = 0
    """Time for one token to come back."""
    notice_us: int = 120 * SECOND_US
    """Between a spot notice and the kill."""
    outages_us: tuple[tuple[int, int], ...] = ()
    """From, to: nothing is launched or started."""
    per_request: bool = False
    """Launch a worker for each session that finds none free, and for that session alone."""
    expiry_us: int = NEVER_US
    """A worker that has been idle for so long goes."""
    kills: tuple[Kill, ...] = ()
    region: RegionModel | None = None
    """Where other pools are as well."""
    name: str = "default"

    def __post_init__(self) -> None:
        if self.initial > self.max_workers:
            raise BadModel(
                f"pool: {self.initial} workers at the start are above max_workers "
                f"{self.max_workers}"
            )
        if self.burst > 0 and self.refill_us <= 0:
            raise BadModel("pool: a launch bucket needs a refill rate above 0")
        if not 1 <= self.slots <= 64:
            raise BadModel(f"pool: {self.slots} slots are not between 1 and 64")


@dataclass(frozen=True)
class Day:
    """Everything that chance decides, and when it is watched.

    Arrays by session: ``arrival_us`` ascending; ``hold_us`` the slot is held,
    until the lease ends where the session is orphaned; ``patience_us``;
    ``scrub_us`` after it. By launch: ``boot_us``, ``boot_fails``. By worker,
    those of the start before the launched ones, stopped ones last: ``life_us``
    and ``spot_us`` from ready on. By start from stopped: ``start_us``.

    ``retry_us[s, k]`` is how long session s stays away after it left for the
    k-th time, -1 for good. ``chain`` users: session s is followed by s + chain
    when it is over, and its ``arrival_us`` from index ``chain`` on is not used.
    """

    arrival_us: Ints
    hold_us: Ints
    patience_us: Ints
    scrub_us: Ints
    boot_us: Ints
    boot_fails: Flags
    life_us: Ints
    spot_us: Ints
    start_us: Ints
    begin_us: int
    end_us: int
    edges_us: Ints
    """Ascending, from the first watched moment to ``end_us`` at most: pool states are summed
    between."""
    retry_us: Ints = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    chain: int = 0

    def __post_init__(self) -> None:
        first = self.arrival_us[: self.chain] if self.chain else self.arrival_us
        if len(first) and (np.diff(first) < 0).any():
            raise BadModel("arrivals are not in order of time")
        if len(first) and first[0] < self.begin_us:
            raise BadModel("an arrival comes before the beginning")
        for name in ("hold_us", "patience_us", "scrub_us", "boot_us", "life_us", "start_us"):
            if (getattr(self, name) < 0).any():
                raise BadModel(f"{name} has a negative time")
        if self.end_us <= self.begin_us:
            raise BadModel("the end is not after the beginning")

    @property
    def sessions(self) -> int:
        return len(self.arrival_us)


class NeedsMoreDraws(Exception):
    """A day has too few ``what`` drawn: launches, starts or sessions. Draw more and repeat."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True)
class Outcome:
    """What became of a day under a policy; both engines give the same.

    By session: ``wait_us`` until it was served, left or the end came, over all
    its attempts; ``outcome`` as above; ``at_us`` its first arrival;
    ``interrupted``; ``left`` how often it was turned away or gave up.
    ``areas[b]`` are worker-microseconds ready, booting, busy, stopped between
    two edges; ``states[b]`` the counts just before edge b.
    """

    at_us: Ints
    wait_us: Ints
    outcome: npt.NDArray[np.int8]
    interrupted: Flags
    left: Ints
    areas: Ints
    states: Ints
    launches: int
    decisions: int

    @property
    def arrived(self) -> Flags:
        return np.asarray(self.outcome != ABSENT)
