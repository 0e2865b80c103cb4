"""What the sections of a scenario ask of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scenarios.faults import Fault, WorkerHang, WorkerKill
from scenarios.fields import Place, did_you_mean
from scenarios.gates import is_simulated
from scenarios.load import CapacityLoad, ClosedLoad
from scenarios.policies import PerRequest, Predictive, Schedule, singles
from scenarios.pool import routing_problems
from scenarios.regions import region_problems

if TYPE_CHECKING:
    from scenarios.model import Scenario

TRACE = "trace"
"""Name of the one stage of a trace that has no stages."""


def problems_of(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    """Yield what cannot be true of all sections together."""
    yield from ((("pool", *place), message) for place, message in routing_problems(scenario.pools))
    yield from region_problems(scenario)
    yield from _gates(scenario)
    yield from _capacity(scenario)
    yield from _faults(scenario)
    yield from _loss(scenario)
    yield from _plan(scenario)


def known_end_s(scenario: Scenario) -> float | None:
    """The end of the run, where it is known without reading a trace."""
    load = scenario.load
    if isinstance(load, CapacityLoad):
        return load.hold_s * len(load.users)
    if isinstance(load, ClosedLoad) and load.for_s is not None:
        return load.for_s
    return sum(stage.for_s for stage in load.stages) if load.stages else None


def late_faults(scenario: Scenario, end_s: float) -> Iterator[tuple[Place, str]]:
    """Yield the faults that would come when the run is over."""
    for index, fault in enumerate(scenario.faults):
        if fault.at_s >= end_s:
            message = f"{fault.at_s:g} s is not before the end of the run at {end_s:g} s"
            yield ("faults", index, "at"), message


def _gates(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    ids: set[str] = set()
    for index, gate in enumerate(scenario.gates):
        if gate.id in ids:
            yield ("gates", index, "id"), f"gate '{gate.id}' is there twice"
        ids.add(gate.id)
        if gate.during is None:
            continue
        at: Place = ("gates", index, "during")
        measured = _stages(scenario)
        if isinstance(scenario.load, CapacityLoad):
            yield at, "a capacity search has no stages: each step is judged"
        elif gate.during not in measured:
            yield at, f"'{gate.during}' is not a stage{did_you_mean(gate.during, measured)}"
        elif not measured[gate.during]:
            yield at, f"stage '{gate.during}' is not measured"


def _stages(scenario: Scenario) -> Mapping[str, bool]:
    load = scenario.load
    if isinstance(load, ClosedLoad) and not load.stages:
        return {}
    return {stage.name: stage.measure for stage in load.stages} or {TRACE: True}


def _capacity(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    if isinstance(scenario.load, CapacityLoad) and not any(
        gate.kind == "limit" for gate in scenario.gates
    ):
        yield ("load", "model"), "a capacity search needs a gate with `<=` or `>=` to end at"


def _faults(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    end_s = known_end_s(scenario)
    if end_s is not None:
        yield from late_faults(scenario, end_s)
    names = [pool.name for pool in scenario.pools]
    seen: set[Fault] = set()
    for index, fault in enumerate(scenario.faults):
        if fault in seen:
            yield ("faults", index), "this fault is there twice"
        seen.add(fault)
        if isinstance(fault, WorkerKill | WorkerHang) and fault.pool not in (None, *names):
            hint = did_you_mean(fault.pool, names) or f": one of {', '.join(names)}"
            yield ("faults", index, "pool"), f"'{fault.pool}' is not a pool{hint}"


def _loss(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    """Nobody waits, so nobody is ever seen by a policy that holds nothing at rest."""
    if not scenario.is_loss:
        return
    for index, pool in enumerate(scenario.pools):
        parts = [part for _, part in singles(pool.policy)]
        foresees = any(isinstance(part, PerRequest | Predictive | Schedule) for part in parts)
        if not foresees and not pool.initial and max(part.rest(0.0) for part in parts) == 0:
            message = "with `patience: 0s` a pool that rests at 0 workers never starts one"
            yield ("pool", index, "policy"), message


def _plan(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    plan = scenario.plan
    if plan is None:
        return
    known = {gate.id: gate for gate in scenario.gates}
    for index, name in enumerate(plan.gates):
        at: Place = ("plan", "gates", index)
        if name not in known:
            yield at, f"'{name}' is not a gate{did_you_mean(name, known)}"
        elif name in plan.gates[:index]:
            yield at, f"gate '{name}' is there twice"
        elif known[name].kind != "limit":
            yield at, f"gate '{name}' has no limit that a plan could hold"
        elif not is_simulated(known[name].metric):
            yield at, f"'{known[name].metric}' does not exist in a simulation"
    if not any(gate.kind == "limit" and is_simulated(gate.metric) for gate in scenario.gates):
        yield ("plan",), "a plan needs a gate with a limit on a metric that a simulation has"
    names = [pool.name for pool in scenario.pools]
    if plan.pool is None and len(names) > 1:
        yield ("plan",), f"`pool` is missing: one of {', '.join(names)}"
    elif plan.pool is not None and plan.pool not in names:
        hint = did_you_mean(plan.pool, names) or f": one of {', '.join(names)}"
        yield ("plan", "pool"), f"'{plan.pool}' is not a pool{hint}"
    else:
        sought = scenario.pools[0 if plan.pool is None else names.index(plan.pool)]
        if sought.max_workers is not None:
            for place, message in plan.above_quota(sought.max_workers):
                yield ("plan", *place), message
