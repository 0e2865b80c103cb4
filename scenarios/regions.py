"""Regions of a provider: what the pools in one of them share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from scenarios.fields import Label, Place, Seconds, Strict, did_you_mean, problems
from scenarios.pool import LaunchBucket, Outage, Pool, overlaps

if TYPE_CHECKING:
    from scenarios.model import Scenario


class Region(Strict):
    """Limits that the pools in a region have together, beside each pool's own.

    ``rtt`` is the round trip between a viewer and a worker there; a join takes
    several of them.
    """

    name: Label
    rtt_s: Seconds = Field(default=0.0, alias="rtt")
    max_workers: int | None = Field(default=None, ge=1)
    launch_bucket: LaunchBucket | None = None
    outages: Annotated[tuple[Outage, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _sound(self) -> Region:
        found = list(overlaps(self.outages))
        if found:
            raise problems(found)
        return self


def region_problems(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    """Yield where regions and pools do not fit together; without ``regions`` a name is a label."""
    if not scenario.regions:
        return
    names: list[str] = []
    known = {region.name for region in scenario.regions}
    for index, region in enumerate(scenario.regions):
        if region.name in names:
            yield ("regions", index, "name"), f"region '{region.name}' is there twice"
        names.append(region.name)
        inside = [pool for pool in scenario.pools if pool.region == region.name]
        yield from _full(region, inside, ("regions", index))
        if not inside and all(pool.region in known for pool in scenario.pools):
            yield ("regions", index), f"no pool is in region '{region.name}'"
    for index, pool in enumerate(scenario.pools):
        if pool.region is None:
            yield ("pool", index), f"`region` is missing: one of {', '.join(names)}"
        elif pool.region not in names:
            hint = did_you_mean(pool.region, names) or f": one of {', '.join(names)}"
            yield ("pool", index, "region"), f"'{pool.region}' is not a region{hint}"


def _full(region: Region, inside: Sequence[Pool], at: Place) -> Iterator[tuple[Place, str]]:
    wanted = sum(pool.at_start for pool in inside)
    if region.max_workers is not None and wanted > region.max_workers:
        message = f"its pools begin with {wanted} workers, above max_workers {region.max_workers}"
        yield (*at, "max_workers"), message
