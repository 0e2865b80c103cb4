"""Configuration of the pools: the ``--pool-config`` file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from system.orchestrator.boots import BootTimes
from system.orchestrator.policy_spec import BadPool, Count, PolicySpec, Seconds, policy
from system.protocol import limits

__all__ = ["BadPool", "PolicySpec", "PoolSpec", "load", "policy"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


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
    """Delay added to each launch after the initial ones."""
    start: dict[str, Any] | None = None
    """Delay added to each start of a worker that was stopped."""
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
            BootTimes(pool.start, seed=pool.seed, what="start")
        except ValueError as error:
            raise BadPool(f"{path.name}: pool {pool.name}: {error}") from None
    return pools
