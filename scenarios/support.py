"""Which parts of the language which host honours: the one table, and the refusal.

Loading accepts the whole language. What a host cannot do it refuses by name,
never ignores; whoever builds a part deletes its line here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from scenarios.distributions import AnyDistribution, Deterministic, Empirical
from scenarios.errors import ScenarioError
from scenarios.fields import Place
from scenarios.load import CapacityLoad, OpenLoad
from scenarios.model import Scenario
from scenarios.policies import Highest, Predictive, singles
from scenarios.pool import Pool

Host = Literal["measured", "foreign", "simulated"]
"""A load test of the embedded stack, a load test of ``--host``, a simulation."""

HOSTS: Final[Mapping[Host, str]] = {
    "measured": "a measured run",
    "foreign": "a run against --host",
    "simulated": "a simulated run",
}

NOT_YET: Final = ""
_OTHERS_PROCESSES: Final = "its processes are not ours"
_NO_PROCESSES: Final = "it has no such process"

_MEASURED: Final[Mapping[str, str]] = {
    "source.clip": NOT_YET,
    "load.retry": NOT_YET,
    "pools": NOT_YET,
    "regions": "the stack is in one place",
    "pool.orphans": NOT_YET,
    "pool.launch_bucket": NOT_YET,
    "pool.boot_failure": NOT_YET,
    "pool.mtbf": NOT_YET,
    "pool.spot": NOT_YET,
    "pool.outages": NOT_YET,
    "pool.boot.empirical": NOT_YET,
    "pool.start.empirical": NOT_YET,
    "pool.scrub.random": NOT_YET,
    "pool.release": "the stack always gives slots back",
    "pool.reap": "the stack ends no healthy session",
    "policy.mtginf": NOT_YET,
    "policy.per-request": "its pools launch by what is idle, not by who asks",
    "fault.signaling_restart": NOT_YET,
    "fault.store_outage": NOT_YET,
    "fault.partition": NOT_YET,
    "fault.network": NOT_YET,
}

REFUSED: Final[Mapping[Host, Mapping[str, str]]] = {
    "measured": _MEASURED,
    "foreign": {
        **_MEASURED,
        "fault.worker_kill": _OTHERS_PROCESSES,
        "fault.worker_hang": _OTHERS_PROCESSES,
        "fault.signaling_restart": _OTHERS_PROCESSES,
        "fault.store_outage": _OTHERS_PROCESSES,
        "fault.partition": _OTHERS_PROCESSES,
    },
    "simulated": {
        "load.capacity": "a search loads a real system",
        "fault.signaling_restart": _NO_PROCESSES,
        "fault.store_outage": _NO_PROCESSES,
        "fault.partition": _NO_PROCESSES,
    },
}
"""By host: a feature, and why never; an empty reason is: not yet."""


@dataclass(frozen=True, slots=True)
class Use:
    """A feature that not every host has, where a scenario uses it, and what a reader calls it."""

    feature: str
    place: Place
    text: str


def refuse_unsupported(scenario: Scenario, host: Host, supported: Collection[str] = ()) -> None:
    """Raise ScenarioError, with file, line and column, for what ``host`` cannot honour.

    ``supported`` names features that this caller honours although the table
    says otherwise.
    """
    found = [
        scenario.problem(use.place, _message(use, host))
        for use in unsupported(scenario, host)
        if use.feature not in supported
    ]
    if found:
        raise ScenarioError(found)


def unsupported(scenario: Scenario, host: Host) -> list[Use]:
    """List what the scenario asks for and ``host`` cannot do."""
    refused = REFUSED[host]
    return [use for use in uses(scenario) if use.feature in refused]


def _message(use: Use, host: Host) -> str:
    reason = REFUSED[host][use.feature]
    if reason == NOT_YET:
        return f"{use.text} is not supported in {HOSTS[host]} yet"
    return f"{use.text} is not possible in {HOSTS[host]}: {reason}"


def uses(scenario: Scenario) -> Iterator[Use]:
    """Yield every use of a feature that not every host has."""
    if scenario.network is not None:
        yield Use("network", ("network",), "`network`")
    if scenario.stream.source == "clip":
        yield Use("source.clip", ("stream", "source"), "source `clip`")
    load = scenario.load
    if isinstance(load, CapacityLoad):
        yield Use("load.capacity", ("load", "model"), "load model `capacity`")
    if isinstance(load, OpenLoad) and load.arrivals.trace is not None:
        yield Use("arrivals.trace", ("load", "arrivals", "trace"), "arrival process `trace`")
    if load.retry is not None:
        yield Use("load.retry", ("load", "retry"), "load key `retry`")
    if scenario.regions:
        yield Use("regions", ("regions",), "`regions`")
    if len(scenario.pools) > 1:
        yield Use("pools", ("pool",), "a list of pools")
    for index, pool in enumerate(scenario.pools):
        yield from _in_pool(pool, ("pool", index))
    for index, fault in enumerate(scenario.faults):
        place: Place = ("faults", index, "kind")
        yield Use(f"fault.{fault.kind}", place, f"fault `{fault.kind}`")
    for index, gate in enumerate(scenario.gates):
        for key, used in (
            ("strict", gate.strict),
            ("abort", gate.abort is not None),
            ("regression", gate.regression is not None),
            ("agrees_with", gate.agrees_with is not None),
        ):
            if used:
                yield Use(f"gate.{key}", ("gates", index, key), f"gate key `{key}`")


def _in_pool(pool: Pool, at: Place) -> Iterator[Use]:
    for key, used in (
        ("launch_bucket", pool.launch_bucket is not None),
        ("boot_failure", pool.boot_failure > 0),
        ("mtbf", pool.mtbf_s is not None),
        ("spot", pool.spot is not None),
        ("outages", bool(pool.outages)),
        ("orphans", pool.orphans is not None),
        ("release", not pool.release),
        ("reap", pool.reap_s is not None),
    ):
        if used:
            yield Use(f"pool.{key}", (*at, key), f"pool key `{key}`")
    if isinstance(pool.boot, Empirical):
        yield Use("pool.boot.empirical", (*at, "boot"), "an empirical `boot`")
    if isinstance(pool.start, Empirical):
        yield Use("pool.start.empirical", (*at, "start"), "an empirical `start`")
    if _is_random(pool.scrub):
        yield Use("pool.scrub.random", (*at, "scrub"), "a `scrub` that is not deterministic")
    if isinstance(pool.policy, Highest):
        yield Use("policy.max", (*at, "policy"), "a list of policies")
    for place, policy in singles(pool.policy):
        kind = getattr(policy, "kind", "")
        yield Use(f"policy.{kind}", (*at, "policy", *place, "kind"), f"policy `{kind}`")
        if isinstance(policy, Predictive) and policy.method == "mtginf":
            here = (*at, "policy", *place, "method")
            yield Use("policy.mtginf", here, "predictive method `mtginf`")


def _is_random(distribution: AnyDistribution) -> bool:
    return not isinstance(distribution, Deterministic)
