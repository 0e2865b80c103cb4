"""The system under load at one moment, and what several such looks say of its limits."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest._blame import Evidence, Use
from loadtest._meter import system_row
from system.protocol.records import SystemRow
from system.stack import PoolCounts


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the system. ``cpu`` is cores used since the look before.

    ``lag_s`` is of its event loop, NaN where it is not known; ``encode_s`` is a
    worker's mean time to encode a frame, 0 where it encoded none.
    """

    node: str
    role: str
    cpu: float
    rss_bytes: int = 0
    lag_s: float = math.nan
    sessions: int = 0
    encode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """``pool`` is None while nobody can say; ``machine_cpu`` is cores in use on this machine."""

    t_s: float
    pool: PoolCounts | None
    processes: tuple[Process, ...]
    machine_cpu: float = 0.0

    def rows(self) -> list[SystemRow]:
        """The same as rows of ``system``."""
        rows = [
            system_row(
                one.node,
                one.role,
                self.t_s,
                cpu=one.cpu,
                rss_bytes=one.rss_bytes,
                loop_lag_s=one.lag_s,
                sessions=one.sessions,
            )
            for one in self.processes
        ]
        if self.pool is not None:
            row = system_row("pool-default", "pool", self.t_s)
            row["ready"], row["booting"] = self.pool.ready, self.pool.booting
            row["busy"], row["stopped"] = self.pool.busy, self.pool.stopped
            rows.append(row)
        return rows


def evidence(
    looks: Sequence[Look],
    *,
    generator_cpu: float,
    generator_lag_s: float,
    fps: float,
    shared: bool = True,
) -> Evidence:
    """What several looks together say about where the system is at its limit.

    Without looks the generator alone is seen. ``shared``: the system runs on
    the generator's machine, so that either can take the other's cores.
    """
    cores = float(os.cpu_count() or 1)
    cpu: dict[tuple[str, str], list[float]] = {}
    lag: dict[str, list[float]] = {}
    encode: dict[str, list[float]] = {}
    for look in looks:
        for one in look.processes:
            cpu.setdefault((one.node, one.role), []).append(one.cpu)
            if not math.isnan(one.lag_s):
                lag.setdefault(one.node, []).append(one.lag_s)
            if one.encode_s > 0:
                encode.setdefault(one.node, []).append(one.encode_s)
    return Evidence(
        cores=cores,
        uses=[
            Use(node, role, statistics.fmean(used), statistics.median(lag.get(node, [0.0])))
            for (node, role), used in cpu.items()
        ],
        generator_cpu=generator_cpu,
        generator_lag_s=generator_lag_s,
        machine_cpu=statistics.fmean([look.machine_cpu for look in looks] or [0.0]),
        waiting=max((look.pool.waiting for look in looks if look.pool), default=0),
        encode_s=max((statistics.fmean(found) for found in encode.values()), default=0.0),
        frame_s=1.0 / fps,
        shared=shared,
    )
