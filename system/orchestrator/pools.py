"""Configuration of the pools: the ``--pool-config`` file, and changes of a policy at run time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from system.orchestrator.boots import BootTimes
from system.orchestrator.policy import POLICIES, Decide, Numbers
from system.protocol import limits
from system.telemetry.config import parse_duration_s

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class BadPool(ValueError):
    """A pool or a policy that cannot be used; the text says which and why."""


class _Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    size: Count | None = None
    warm: Count | float | str | None = None
    min: Count = 0
    max: Count | None = None
    cooldown_s: Seconds = 0.0
    scale_in_delay_s: Seconds = 0.0
    interval_s: Seconds = 0.0


class PolicySpec(msgspec.Struct, frozen=True):
    """A policy of a pool, ready to be asked."""

    kind: str
    parameters: Numbers
    interval_s: float
    """Between two decisions; 0 decides on every change."""
    given: dict[str, Any]
    """As it was written, for ``GET /pools``."""

    @property
    def decide(self) -> Decide:
        return POLICIES[self.kind]


class PoolSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pool of the file; ``policy`` and ``boot`` have the names of a scenario's ``pool``."""

    name: str = "default"
    slots: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    initial: Count | None = None
    """Workers launched at the start, without a boot delay; None: what the policy keeps at rest."""
    max_workers: Count | None = None
    """Quota; None is no limit but the policy's own."""
    policy: dict[str, Any] = msgspec.field(default_factory=lambda: {"kind": "fixed", "size": 1})
    boot: dict[str, Any] | None = None
    """Delay added to each start after the initial ones."""
    seed: int = 0
    scrub_s: Seconds = 0.0
    """A freed worker rests so long before it serves again."""
    reuse: bool = True
    """False: a worker that has served is replaced."""
    max_queue: Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_QUEUE)] = limits.MAX_QUEUE
    boot_deadline_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """A worker that has not registered by then, boot delay aside, has failed."""

    @property
    def scrubs(self) -> bool:
        return self.scrub_s > 0 or not self.reuse


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pools: Annotated[list[PoolSpec], msgspec.Meta(min_length=1)]


def load(path: Path) -> list[PoolSpec]:
    """The pools of a file.

    Raises:
        BadPool: it cannot be read or used.
    """
    try:
        pools = msgspec.json.decode(path.read_bytes(), type=_File).pools
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPool(f"{path.name}: {error}") from None
    names = [pool.name for pool in pools]
    if len(set(names)) != len(names):
        raise BadPool(f"{path.name}: two pools have one name: {', '.join(names)}")
    for pool in pools:
        if not _NAME.fullmatch(pool.name):
            raise BadPool(f"{path.name}: {pool.name!r} is not a pool's name (letters, digits, - _)")
        try:
            policy(pool.policy, pool.max_workers)
            BootTimes(pool.boot, seed=pool.seed)
        except ValueError as error:
            raise BadPool(f"{path.name}: pool {pool.name}: {error}") from None
    return pools


def policy(given: Mapping[str, Any], max_workers: int | None) -> PolicySpec:
    """A policy from its mapping; times as ``cooldown: 10s`` or ``cooldown_s: 10``.

    Raises:
        BadPool: an unknown kind, field or value.
    """
    try:
        fields = msgspec.convert(_in_seconds(given), _Policy)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadPool(f"policy: {error}") from None
    if fields.kind not in POLICIES:
        raise BadPool(f"policy: kind {fields.kind!r} is none of {', '.join(POLICIES)}")
    if fields.max is not None and fields.min > fields.max:
        raise BadPool(f"policy: min {fields.min} is above max {fields.max}")
    size, ratio = _size(fields)
    caps = [cap for cap in (fields.max, max_workers) if cap is not None]
    parameters = (
        size,
        ratio,
        float(fields.min),
        float(min(caps)) if caps else math.inf,
        fields.cooldown_s,
        fields.scale_in_delay_s,
    )
    return PolicySpec(fields.kind, parameters, fields.interval_s, dict(given))


def _size(fields: _Policy) -> tuple[float, float]:
    """(workers, share of the busy ones)."""
    name, value = ("size", fields.size) if fields.kind == "fixed" else ("warm", fields.warm)
    match value:
        case None:
            raise BadPool(f"policy: {fields.kind} needs {name}")
        case str():
            share = _SHARE.fullmatch(value.strip())
            if share is None:
                raise BadPool(f"policy: warm {value!r} is neither a number nor a share such as 20%")
            return 0.0, float(share[1]) / 100
        case float():
            return 0.0, value
        case _:
            return float(value), 0.0


def _in_seconds(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: value for key, value in given.items() if value is not None}
    for name in ("cooldown", "scale_in_delay", "interval"):
        value = fields.pop(name, None)
        if value is not None:
            fields[f"{name}_s"] = parse_duration_s(str(value))
    return fields
