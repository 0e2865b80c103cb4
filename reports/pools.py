"""Pool metrics: counts of workers by state and their price, each for as long as it held."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from reports.rundir import RunReader
from reports.samples import Floats, Ints, Samples, stage_codes
from scenarios.pool import Price
from system.protocol.metrics import METRICS

STATES = ("ready", "booting", "busy", "stopped")
_PREFIX = "pool-"


def metrics(run: RunReader, days: Ints | None) -> Iterator[tuple[str, Samples]]:
    """Yield the samples of every pool metric; ``days`` are the replications of the rows.

    Rows of several pools (nodes ``pool-<name>``) are summed: at any time each
    counts with its latest row.
    """
    system = run.system
    wanted = (system["role"] == "pool").to_numpy() & system["ready"].notna().to_numpy()
    rows = system[wanted]
    if rows.empty:
        return
    prices = {pool.name: pool.price for pool in run.scenario.pools}
    end_s = run.spans[-1].end_s
    numbers = np.zeros(len(rows), dtype=np.int64) if days is None else days[wanted]
    parts = [_one_day(rows[numbers == day], prices, end_s) for day in np.unique(numbers)]
    lengths = [len(part["t_s"]) for part in parts]
    every = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    t_s, held_s = every.pop("t_s"), every.pop("held_s")
    stages = stage_codes(t_s, run.spans)
    alone = np.zeros(len(t_s), dtype=np.int64)
    replications = None if days is None else np.repeat(np.unique(numbers), lengths)
    for name, values in every.items():
        yield name, Samples(METRICS[name], values, alone, t_s, stages, held_s, replications)


def _one_day(rows: pd.DataFrame, prices: dict[str, Price], end_s: float) -> dict[str, Floats]:
    ordered = rows.sort_values("t_us", kind="stable")
    nodes = ordered["node"].astype(str).to_numpy()
    times, place = np.unique(ordered["t_us"].to_numpy(), return_inverse=True)
    totals = {f"pool.workers.{state}": np.zeros(len(times)) for state in STATES}
    cost = np.zeros(len(times))
    for node in np.unique(nodes):
        mine = nodes == node
        counts = {
            state: _held(place[mine], ordered[state].to_numpy(np.float64)[mine], len(times))
            for state in STATES
        }
        for state, values in counts.items():
            totals[f"pool.workers.{state}"] += values
        price = prices.get(str(node).rpartition(_PREFIX)[2]) or next(iter(prices.values()))
        running = counts["ready"] + counts["booting"] + counts["busy"]
        cost += running * price.running + counts["stopped"] * price.stopped
    t_s = times.astype(np.float64) / 1e6
    held_s = np.clip(np.diff(t_s, append=max(end_s, t_s[-1])), 0.0, None)
    built = {"t_s": t_s, "held_s": held_s, **totals}
    if any(price.running or price.stopped for price in prices.values()):
        built["pool.cost"] = cost
    return built


def _held(place: Ints, values: Floats, count: int) -> Floats:
    """Each value until the next of the same pool; 0 before the first, NaN counts as 0."""
    steps = np.full(count, np.nan)
    steps[place] = np.nan_to_num(values)
    return pd.Series(steps).ffill().fillna(0.0).to_numpy(dtype=np.float64)
