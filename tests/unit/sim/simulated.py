"""Short scenarios as text, for tests of the simulator."""

from __future__ import annotations

from scenarios.loader import loads
from sim.from_scenario import Case
from sim.run import Engine, Replication, replicate


def case(
    load: str, pool: str, sim: str = "{replications: 20}", seed: int = 11, more: str = ""
) -> Case:
    """A scenario of sections in YAML's flow style."""
    text = f"version: 1\nname: test\nseed: {seed}\nload: {load}\npool: {pool}\nsim: {sim}\n{more}"
    return Case(loads(text, host="simulated"))


def days(model: Case, count: int, engine: Engine = "fast", first: int = 0) -> list[Replication]:
    return [replicate(model, number, engine) for number in range(first, first + count)]


def steady(rate: str, hours: float, session: str, patience: str = "") -> str:
    more = f", patience: {patience}" if patience else ""
    return (
        f"{{model: open, session: {session}{more}, "
        f"stages: [{{name: steady, for: {hours}h, rate: {rate}}}]}}"
    )
