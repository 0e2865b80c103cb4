"""The worker pools of a scenario: times, limits and faults of a provider, price, policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from scenarios.distributions import Deterministic, Distribution
from scenarios.fields import (
    Chance,
    Label,
    Place,
    PositivePerSecond,
    PositiveSeconds,
    Ratio,
    Seconds,
    Strict,
    UsdPerHour,
    problems,
)
from scenarios.policies import Fixed, PerRequest, Policy, TwoTier, singles

DEFAULT = "default"


class Price(Strict):
    """Price of one worker, USD per hour."""

    running: UsdPerHour = 0.0
    stopped: UsdPerHour = 0.0


class LaunchBucket(Strict):
    """A provider's limit on launches: tokens, of which ``burst`` can be saved up."""

    burst: int = Field(ge=1)
    refill_per_s: PositivePerSecond = Field(alias="refill")


class Spot(Strict):
    """The provider takes each worker back at ``kill_rate``, and says so ``notice`` before."""

    kill_rate_per_s: PositivePerSecond = Field(alias="kill_rate")
    notice_s: Seconds = Field(default=120.0, alias="notice")


class Orphans(Strict):
    """Sessions whose viewer is gone without a word: their slot is held until the lease ends."""

    share: Annotated[Ratio, Field(gt=0)]
    lease_s: PositiveSeconds = Field(alias="lease")


class Outage(Strict):
    """The provider has no capacity: it launches and starts nothing, from ``at`` on."""

    at_s: Seconds = Field(alias="at")
    for_s: PositiveSeconds = Field(alias="for")


def overlaps(outages: Sequence[Outage]) -> Iterator[tuple[Place, str]]:
    """Yield the outages that begin before the one before them has ended."""
    for index in range(1, len(outages)):
        before = outages[index - 1]
        if outages[index].at_s < before.at_s + before.for_s:
            yield ("outages", index, "at"), "begins before the outage before it has ended"


_NOW = Deterministic.model_construct(mean_s=0.0)


class Pool(Strict):
    """One pool of workers.

    ``start`` is from stopped. ``mtbf`` is the mean time between failures of a
    worker. ``share`` is of the arrivals; ``route: overflow`` takes those whom
    their own pool cannot serve at once. What a system without good manners
    does: ``release: false`` never gives a slot back, not even of a session
    that was ended, ``reap`` ends every session of that age. ``orphans`` hold
    their slots for a while after their end.
    """

    name: Label = DEFAULT
    region: Label | None = None
    gpu: Label | None = None
    share: Annotated[Ratio, Field(gt=0)] | None = None
    route: Literal["overflow"] | None = None
    initial: int | None = Field(default=None, ge=0)
    slots_per_worker: int = Field(default=1, ge=1, le=64)
    reuse: bool = True
    release: bool = True
    reap_s: PositiveSeconds | None = Field(default=None, alias="reap")
    orphans: Orphans | None = None
    boot: Distribution = _NOW
    start: Distribution = _NOW
    scrub: Distribution = _NOW
    max_workers: int | None = Field(default=None, ge=1)
    launch_bucket: LaunchBucket | None = None
    boot_failure: Chance = 0.0
    mtbf_s: PositiveSeconds | None = Field(default=None, alias="mtbf")
    spot: Spot | None = None
    outages: Annotated[tuple[Outage, ...], Field(strict=False)] = ()
    price: Price = Price()
    policy: Policy
    _start_of_day_s: float = PrivateAttr(default=0.0)

    @model_validator(mode="after")
    def _sound(self) -> Pool:
        found = [
            *self._above_quota(),
            *overlaps(self.outages),
            *self._unreleased(),
            *self._not_per_request(),
            *self._never_scales(),
        ]
        if found:
            raise problems(found)
        return self

    def _above_quota(self) -> Iterator[tuple[Place, str]]:
        quota = self.max_workers
        if quota is None:
            return
        if self.initial is not None and self.initial > quota:
            yield ("initial",), f"{self.initial} is above max_workers {quota}"
        for place, policy in singles(self.policy):
            for below, workers in [*policy.sizes(), (("min",), policy.min)]:
                if workers > quota:
                    yield ("policy", *place, *below), f"{workers} is above max_workers {quota}"

    def _never_scales(self) -> Iterator[tuple[Place, str]]:
        parts = [policy for _, policy in singles(self.policy)]
        if all(isinstance(part, Fixed) and part.size == part.min == 0 for part in parts):
            yield ("policy",), "a pool of fixed size 0 never has a worker"
        caps = [part.max for part in parts if part.max is not None]
        if self.initial is not None and len(caps) == len(parts) and self.initial > max(caps):
            yield ("initial",), f"{self.initial} is above the policy's max {max(caps)}"

    def _not_per_request(self) -> Iterator[tuple[Place, str]]:
        """A session waits for its own worker: nobody would launch another one later."""
        if isinstance(self.policy, PerRequest):
            for key, used in (
                ("boot_failure", self.boot_failure > 0),
                ("launch_bucket", self.launch_bucket is not None),
                ("outages", bool(self.outages)),
            ):
                if used:
                    yield (key,), "does not go with a per-request policy"

    def _unreleased(self) -> Iterator[tuple[Place, str]]:
        if self.orphans is not None and not self.release:
            yield ("orphans",), "with `release: false` no slot comes back, whatever the lease"

    def begin_at(self, start_of_day_s: float) -> None:
        """Note the time of day of second 0, which some policies look at."""
        self._start_of_day_s = start_of_day_s

    @property
    def at_start(self) -> int:
        """Workers that are ready when the run begins."""
        if self.initial is not None:
            return self.initial
        rest = self.policy.rest(self._start_of_day_s)
        return rest if self.max_workers is None else min(rest, self.max_workers)

    @property
    def stopped_at_start(self) -> int:
        """Workers that are stopped when the run begins."""
        parts = [policy for _, policy in singles(self.policy)]
        return max((part.stopped for part in parts if isinstance(part, TwoTier)), default=0)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return value
    raise ValueError("must be a mapping, or a list of them")


Pools: TypeAlias = Annotated[
    tuple[Pool, ...],
    Field(strict=False, min_length=1),
    BeforeValidator(_listed, json_schema_input_type=Pool | list[Pool]),
]
"""One mapping is a pool named ``default``."""


def routing_problems(pools: Sequence[Pool]) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with several pools together."""
    names: set[str] = set()
    for index, pool in enumerate(pools):
        if pool.name in names:
            yield (index, "name"), f"pool '{pool.name}' is there twice"
        names.add(pool.name)
        if pool.share is not None and pool.route is not None:
            yield (index, "route"), "a pool takes either `share` or `route`"
    if len(pools) == 1:
        if pools[0].route is not None:
            yield (0, "route"), "the only pool has nothing to take over"
        elif pools[0].share not in (None, 1.0):
            yield (0, "share"), "the only pool takes 100%"
        return
    without = [
        index for index, pool in enumerate(pools) if pool.share is None and pool.route is None
    ]
    for index in without:
        yield (index,), f"pool '{pools[index].name}' needs a `share` or `route: overflow`"
    total = sum(pool.share or 0.0 for pool in pools)
    if not without and abs(total - 1.0) > 1e-9:
        yield (), f"the shares of the pools sum to {total * 100:g}%, not to 100%"
