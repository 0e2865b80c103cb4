"""The same scenario with one thing changed: for what-if questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from scenarios.distributions import AnyDistribution, Empirical
from scenarios.load import ClosedLoad, OpenLoad
from scenarios.model import Scenario
from scenarios.pool import Pool

Change: TypeAlias = Callable[[Scenario], Scenario | None]
"""The changed scenario, or None where there is nothing to change."""

SHARE: Final = 0.25
"""Sensitivities are to a quarter more and less."""


def scaled(distribution: AnyDistribution, factor: float) -> AnyDistribution | None:
    """The same shape, ``factor`` times as long; None of what cannot be scaled."""
    if isinstance(distribution, Empirical):
        return None
    names = {"mean_s", "median_s", "p95_s", "scale_s"} & set(type(distribution).model_fields)
    changes = {
        name: getattr(distribution, name) * factor
        for name in names
        if getattr(distribution, name) is not None
    }
    return distribution.model_copy(update=changes)


def boot(scenario: Scenario, pool: int, factor: float) -> Scenario | None:
    """Boots take ``factor`` times as long."""
    if scenario.pools[pool].boot.mean == 0:
        return None
    changed = scaled(scenario.pools[pool].boot, factor)
    return None if changed is None else with_pool(scenario, pool, boot=changed)


def arrivals(scenario: Scenario, pool: int, factor: float) -> Scenario | None:
    """``factor`` times as many come."""
    load = scenario.load
    if isinstance(load, ClosedLoad):
        return _with_load(scenario, users=max(1, round(load.users * factor)))
    if not isinstance(load, OpenLoad) or load.arrivals.trace is not None:
        return None
    stages = tuple(
        stage.model_copy(
            update={
                "rate_per_s": stage.rate_per_s * factor,
                "to_per_s": None if stage.to_per_s is None else stage.to_per_s * factor,
            }
        )
        for stage in load.stages
    )
    return _with_load(scenario, stages=stages)


def session(scenario: Scenario, pool: int, factor: float) -> Scenario | None:
    """Sessions last ``factor`` times as long."""
    if scenario.load.session is None:
        return None
    changed = scaled(scenario.load.session, factor)
    return None if changed is None else _with_load(scenario, session=changed)


def failure(scenario: Scenario, pool: int, factor: float) -> Scenario | None:
    """Boots fail, workers die and are taken back ``factor`` times as often."""
    old = scenario.pools[pool]
    changes: dict[str, Any] = {}
    if old.boot_failure > 0:
        changes["boot_failure"] = min(old.boot_failure * factor, 0.99)
    if old.mtbf_s is not None:
        changes["mtbf_s"] = old.mtbf_s / factor
    if old.spot is not None:
        rate = old.spot.kill_rate_per_s * factor
        changes["spot"] = old.spot.model_copy(update={"kill_rate_per_s": rate})
    return with_pool(scenario, pool, **changes) if changes else None


SENSITIVITIES: Final[dict[str, Callable[[Scenario, int, float], Scenario | None]]] = {
    "boot time": boot,
    "arrivals": arrivals,
    "session length": session,
    "failures": failure,
}


def relaxations(scenario: Scenario, pool: int) -> dict[str, Scenario]:
    """What could stand in the way of a gate, each with the scenario in which it does not."""
    old: Pool = scenario.pools[pool]
    found: dict[str, Scenario] = {}
    if old.max_workers is not None:
        found[f"the quota max_workers {old.max_workers}"] = with_pool(
            scenario, pool, max_workers=None
        )
    if old.launch_bucket is not None:
        found["the provider's launch_bucket"] = with_pool(scenario, pool, launch_bucket=None)
    if old.outages:
        found["the provider's outages"] = with_pool(scenario, pool, outages=())
    if old.boot_failure or old.mtbf_s is not None or old.spot is not None:
        found["failures of workers"] = with_pool(
            scenario, pool, boot_failure=0.0, mtbf_s=None, spot=None
        )
    if boot(scenario, pool, 0.0) is not None:
        shorter = boot(scenario, pool, 0.001)
        assert shorter is not None
        found[f"the boot time of {old.boot.mean:.3g} s"] = shorter
    return found


def with_pool(scenario: Scenario, index: int, **changes: Any) -> Scenario:
    """A pool with other values."""
    pools = list(scenario.pools)
    pools[index] = pools[index].model_copy(update=changes)
    pools[index].begin_at(scenario.sim.start_s)
    return scenario.model_copy(update={"pools": tuple(pools)})


def _with_load(scenario: Scenario, **changes: Any) -> Scenario:
    return scenario.model_copy(update={"load": scenario.load.model_copy(update=changes)})
