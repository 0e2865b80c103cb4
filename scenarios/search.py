"""The plan of a scenario with everything said: its own, completed by what follows from the load."""

from __future__ import annotations

import math

from scenarios import schedule
from scenarios.gates import is_simulated
from scenarios.load import OpenLoad
from scenarios.model import Scenario
from scenarios.plan import (
    AnySpace,
    BufferSpace,
    FixedSpace,
    Plan,
    TargetSpace,
    TwoTierSpace,
)
from scenarios.policies import singles
from scenarios.pool import Pool

VALUES = 12
"""Values of a parameter in a default search; they are spread evenly in ratio."""


def search(scenario: Scenario) -> Plan:
    """The scenario's plan, or the default one; gates, pool and policies are never empty.

    Raises ValueError where a scenario without a plan has nothing to hold or
    several pools, and ScenarioError where a trace or distribution is unfit.
    """
    plan = scenario.plan or Plan()
    gates = plan.gates or tuple(
        gate.id for gate in scenario.gates if gate.kind == "limit" and is_simulated(gate.metric)
    )
    if not gates:
        raise ValueError("a plan needs a gate with a limit on a metric that a simulation has")
    if plan.pool is None:
        pool = scenario.pool
    else:
        pool = next(pool for pool in scenario.pools if pool.name == plan.pool)
    policies = plan.policies or _default_spaces(pool, most_workers(scenario, pool))
    return plan.model_copy(update={"gates": gates, "pool": pool.name, "policies": policies})


def most_workers(scenario: Scenario, pool: Pool) -> int:
    """Workers that are surely enough: the load at its peak and a margin, within the quota."""
    peak = _peak_sessions(scenario) * (pool.share or 1.0) / pool.slots_per_worker
    enough = max(4, math.ceil(peak + 3.0 * math.sqrt(peak)))
    return enough if pool.max_workers is None else min(enough, pool.max_workers)


def _peak_sessions(scenario: Scenario) -> float:
    load = scenario.load
    if not isinstance(load, OpenLoad):
        return float(load.users if isinstance(load.users, int) else load.max_users)
    if load.arrivals.trace is None:
        rate_per_s = max(max(stage.rate_per_s, stage.end_rate_per_s) for stage in load.stages)
        return rate_per_s * (load.session.mean if load.session is not None else 0.0)
    changes = []
    for arrival in schedule.arrivals(scenario):
        changes += [(arrival.at_s, 1), (arrival.at_s + arrival.session_s, -1)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return float(most)


def _spread(most: int) -> tuple[int, ...]:
    """Whole numbers from 1 to ``most``, evenly in ratio."""
    values = {round(most ** (step / (VALUES - 1))) for step in range(VALUES)}
    return tuple(sorted(values))


def _default_spaces(pool: Pool, most: int) -> tuple[AnySpace, ...]:
    interval_s = (min(part.interval_s for _, part in singles(pool.policy)),)
    delays_s = (0.0, 300.0)
    shares = (0.1, 0.2, 0.3, 0.5, 1.0)
    spaces: list[AnySpace] = [
        FixedSpace.model_construct(kind="fixed", size=_spread(most), interval_s=interval_s),
        BufferSpace.model_construct(
            kind="buffer", warm=_spread(most), interval_s=interval_s, scale_in_delay_s=delays_s
        ),
        BufferSpace.model_construct(
            kind="buffer", warm=shares, min=_spread(min(most, 8)), interval_s=interval_s
        ),
        TargetSpace.model_construct(
            kind="target",
            utilisation=(0.5, 0.6, 0.7, 0.8, 0.9),
            min=_spread(min(most, 8)),
            interval_s=interval_s,
        ),
    ]
    if pool.price.stopped > 0 or pool.start.mean > 0:
        spaces.append(
            TwoTierSpace.model_construct(
                kind="two-tier", warm=_spread(most), stopped=_spread(most), interval_s=interval_s
            )
        )
    return tuple(spaces)
