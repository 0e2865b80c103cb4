"""Parts of the scenario format that this version does not honour; each is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scenarios.fields import Place

_SECTIONS = ("network", "faults", "sim", "plan")
_POOL_KEYS = ("name", "region", "gpu", "start", "launch_bucket", "boot_failure", "mtbf", "spot")
_POLICIES = ("schedule", "target", "predictive", "two-tier")
_GATE_KEYS = ("regression", "agrees_with", "within", "abort", "strict")


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A refused part; other complaints at or below ``hides`` would only repeat it."""

    place: Place
    message: str
    hides: Place


def _refusal(what: str) -> str:
    return f"{what} is not supported by this version yet"


def find(data: dict[Any, Any]) -> Iterator[Unsupported]:
    """Yield what the scenario asks for and this version cannot do."""
    for key in _SECTIONS:
        if key in data:
            yield Unsupported((key,), _refusal(f"`{key}`"), (key,))
    stream = data.get("stream")
    if isinstance(stream, dict) and stream.get("source") == "clip":
        at: Place = ("stream", "source")
        yield Unsupported(at, _refusal("source `clip`"), at)
    yield from _in_load(data.get("load"))
    yield from _in_pool(data.get("pool"))
    gates = data.get("gates")
    for index, gate in enumerate(gates if isinstance(gates, list) else []):
        if isinstance(gate, dict):
            for key in _GATE_KEYS:
                if key in gate:
                    here: Place = ("gates", index)
                    yield Unsupported((*here, key), _refusal(f"gate key `{key}`"), here)
    yield from _empirical(data, ())


def _in_load(load: Any) -> Iterator[Unsupported]:
    if not isinstance(load, dict):
        return
    if load.get("model") == "capacity":
        yield Unsupported(("load", "model"), _refusal("load model `capacity`"), ("load",))
    arrivals = load.get("arrivals")
    if isinstance(arrivals, dict) and "trace" in arrivals:
        at: Place = ("load", "arrivals", "trace")
        yield Unsupported(at, _refusal("arrival process `trace`"), ("load",))


def _in_pool(pool: Any) -> Iterator[Unsupported]:
    if isinstance(pool, list):
        yield Unsupported(("pool",), _refusal("a list of pools"), ("pool",))
    if not isinstance(pool, dict):
        return
    for key in _POOL_KEYS:
        if key in pool:
            yield Unsupported(("pool", key), _refusal(f"pool key `{key}`"), ("pool", key))
    policy = pool.get("policy")
    if isinstance(policy, dict) and policy.get("kind") in _POLICIES:
        what = _refusal(f"policy `{policy['kind']}`")
        yield Unsupported(("pool", "policy", "kind"), what, ("pool", "policy"))


def _empirical(value: Any, at: Place) -> Iterator[Unsupported]:
    if isinstance(value, dict):
        if value.get("dist") == "empirical":
            yield Unsupported((*at, "dist"), _refusal("distribution `empirical`"), at)
        for key, below in value.items():
            yield from _empirical(below, (*at, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _empirical(below, (*at, index))
