"""Writes simulated days as the rows of a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from reports.rundir import RunWriter
from scenarios.schedule import StageSpan
from sim.from_scenario import Case
from sim.meter import STATES
from sim.model import ABANDONED, ABSENT, BLOCKED, SERVED, Floats, Ints
from sim.run import Replication

SESSIONS_MAX = 1_500_000
"""Of more sessions in all replications every n-th is written."""


def write(writer: RunWriter, case: Case, days: Sequence[Replication]) -> int:
    """Write every day; n where only every n-th session has rows, else 1."""
    total = sum(int((day.outcome != ABSENT).sum()) for day in days)
    every = -(-total // SESSIONS_MAX)
    for day in days:
        writer.write_columns("events", f"r{day.number}", _events(case.spans, day, max(every, 1)))
        for pool, outcome in zip(case.scenario.pools, day.pools, strict=True):
            node = f"r{day.number}/pool-{pool.name}"
            columns = _pool(node, case.edges_us, outcome.areas)
            writer.write_columns("system", f"r{day.number}-{pool.name}", columns)
    return max(every, 1)


def _events(spans: Sequence[StageSpan], day: Replication, every: int) -> dict[str, Any]:
    """A row for every session and metric.

    Connecting takes the round trips of the region. A session that
    was never served has no join time, which the report counts as censored; one
    that still waits at the end has failed to join by then.
    """
    arrived = np.flatnonzero(day.outcome != ABSENT)
    chosen = arrived[(arrived >= day.before) & (day.at_us[arrived] >= 0)][::every]
    at_us, outcome = day.at_us[chosen], day.outcome[chosen]
    wait_s = day.wait_us[chosen] / 1e6
    served = outcome == SERVED
    came_back = day.left[chosen] > 0
    gone = (outcome == ABANDONED) | (outcome == BLOCKED)
    interrupted = day.interrupted[chosen]
    metrics: dict[str, tuple[Floats, str]] = {
        "pool.wait": (((wait_s > 0) | ~served | came_back).astype(np.float64), "ratio"),
        "pool.wait_time": (wait_s, "s"),
        "session.join_time": (np.where(served, day.join_us[chosen] / 1e6, np.nan), "s"),
        "session.failed": ((~served & ~gone).astype(np.float64), "ratio"),
        "session.abandoned": (gone.astype(np.float64), "ratio"),
        "session.interrupted": (interrupted.astype(np.float64), "ratio"),
    }
    count, kinds = len(chosen), len(metrics)
    names = pa.array(list(metrics))
    units = pa.array([unit for _, unit in metrics.values()])
    repeated = np.repeat(np.arange(kinds), count)
    values = np.concatenate([values for values, _ in metrics.values()])
    return {
        "t_us": np.tile(at_us, kinds),
        "source": _constant("sim", kinds * count),
        "node": _constant(f"r{day.number}", kinds * count),
        "session_id": pa.array(np.tile(chosen, kinds)).cast(pa.string()),
        "stage": _stages(spans, np.tile(at_us, kinds)),
        "event": names.take(pa.array(repeated)),
        "value": pa.array(values, mask=np.isnan(values)),
        "unit": units.take(pa.array(repeated)),
        "attrs": _attrs(np.isnan(values)),
    }


def _constant(text: str, count: int) -> Any:
    return pa.array([text]).take(pa.array(np.zeros(count, dtype=np.int64)))


def _attrs(censored: Any) -> Any:
    return pa.array(["", '{"censored":true}']).take(pa.array(censored.astype(np.int64)))


def _stages(spans: Sequence[StageSpan], at_us: Ints) -> Any:
    ends = np.array([span.end_s for span in spans]) * 1e6
    index = np.minimum(np.searchsorted(ends, at_us, side="right"), len(spans) - 1)
    return pa.array([span.name for span in spans]).take(pa.array(index))


def _pool(node: str, edges_us: Ints, areas: Ints) -> dict[str, Any]:
    """Rows whose time-weighted sums are exactly those of the day.

    A mean of 2.25 workers between two edges is written as 3 for a quarter of
    that time and 2 for the rest.
    """
    widths = np.diff(edges_us)[:, np.newaxis]
    whole, rest_us = np.divmod(areas, widths)
    offsets = np.sort(np.concatenate([np.zeros_like(widths), rest_us], axis=1), axis=1)
    times = edges_us[:-1, np.newaxis] + offsets
    columns: dict[str, Any] = {"t_us": times.ravel()}
    for index, state in enumerate(STATES):
        higher = offsets < rest_us[:, index : index + 1]
        columns[state] = (whole[:, index : index + 1] + higher).ravel()
    _, first = np.unique(columns["t_us"], return_index=True)
    found = {name: values[first] for name, values in columns.items()}
    count = len(first)
    zeros = np.zeros(count, dtype=np.int64)
    return {
        **found,
        "node": [node] * count,
        "role": ["pool"] * count,
        "cpu": np.zeros(count),
        "rss_bytes": zeros,
        "loop_lag_s": np.full(count, np.nan),
        "udp_drops": zeros,
        "sessions": zeros,
    }
