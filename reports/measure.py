"""Turns the rows of a run into samples per metric: value, session, time, stage.

Session and input metrics are events; session-second metrics are computed from
``samples``; pool metrics are weighted by time. A censored sample has the value
infinity: it ranks last. NaN is no sample.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.rundir import RunReader
from scenarios import schedule
from scenarios.pool import Price
from scenarios.schedule import StageSpan
from system.protocol.metrics import CENSORED_BY, METRICS, Metric, Per

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHORTEST_SECOND_S = 0.5
"""A session's last, partial second counts from this length on: rates over less are noise."""

_POOL_STATES = ("ready", "booting", "busy", "stopped")


@dataclass(frozen=True)
class Samples:
    """The samples of one metric, all of one length.

    ``sessions`` are codes of the clusters for the bootstrap, ``stages`` indices
    into the spans of the scenario (-1: none), ``weights_s`` the time for which
    each value held, or None where every sample counts the same.
    """

    metric: Metric
    values: Floats
    sessions: Ints
    t_s: Floats
    stages: Ints
    weights_s: Floats | None = None

    def during(self, spans: Sequence[StageSpan], stage: str | None = None) -> Samples:
        """Keep the samples of one stage, or of all measured ones."""
        wanted = [
            index
            for index, span in enumerate(spans)
            if (span.name == stage if stage is not None else span.measured)
        ]
        keep = np.isin(self.stages, wanted)
        weights = None if self.weights_s is None else self.weights_s[keep]
        return Samples(
            self.metric,
            self.values[keep],
            self.sessions[keep],
            self.t_s[keep],
            self.stages[keep],
            weights,
        )


def measure(run: RunReader) -> dict[str, Samples]:
    """Compute the samples of every metric that has any, measured stages or not."""
    spans = schedule.stages(run.scenario)
    found = {
        **dict(_event_metrics(run.events, spans)),
        **dict(_second_metrics(run.samples, spans)),
        **dict(_pool_metrics(run.system, spans, run.scenario.pool.price)),
    }
    return {name: found[name] for name in METRICS if name in found}


def stage_codes(t_s: Floats, spans: Sequence[StageSpan]) -> Ints:
    """Find the stage of each time; -1 before the first and after the last."""
    edges = np.array([span.start_s for span in spans] + [spans[-1].end_s])
    codes = np.searchsorted(edges, t_s, side="right").astype(np.int64) - 1
    codes[codes >= len(spans)] = -1
    return codes


def _event_metrics(
    events: pd.DataFrame, spans: Sequence[StageSpan]
) -> Iterator[tuple[str, Samples]]:
    wanted = [name for name, metric in METRICS.items() if metric.per is not Per.SESSION_SECOND]
    rows = events[events["event"].isin(wanted)]
    if rows.empty:
        return
    values = rows["value"].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    values[np.isnan(values) & _censored(rows)] = np.inf
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    index = {span.name: code for code, span in enumerate(spans)}
    named = rows["stage"].map(index)
    stages = np.where(named.isna(), stage_codes(t_s, spans), named.fillna(-1)).astype(np.int64)
    sessions, _ = pd.factorize(rows["session_id"])
    name_of = rows["event"].to_numpy()
    every = {}
    for name in wanted:
        mask = (name_of == name) & ~np.isnan(values)
        if mask.any():
            every[name] = Samples(
                METRICS[name],
                values[mask],
                sessions[mask].astype(np.int64),
                t_s[mask],
                stages[mask],
            )
    for name, causes in CENSORED_BY.items():
        completed = _with_unwritten(name, every, causes)
        if completed is not None:
            every[name] = completed
    yield from every.items()


def _censored(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    def says(attrs: object) -> bool:
        if not isinstance(attrs, str) or "censored" not in attrs:
            return False
        try:
            parsed = json.loads(attrs)
        except ValueError:
            return False
        return isinstance(parsed, dict) and parsed.get("censored") is True

    return rows["attrs"].map(says).to_numpy(dtype=np.bool_)


def _with_unwritten(name: str, every: dict[str, Samples], causes: Sequence[str]) -> Samples | None:
    """Add a censored sample for each cause whose writer left the sample itself out.

    A session that failed to join has no join time, and an input that was lost
    has no latency; whether or not a row says so, they must not vanish.
    """
    present = every.get(name)
    told = [every[cause] for cause in causes if cause in every]
    if not told:
        return present
    happened = [samples.values == 1.0 for samples in told]
    sessions = np.concatenate([s.sessions[m] for s, m in zip(told, happened, strict=True)])
    t_s = np.concatenate([s.t_s[m] for s, m in zip(told, happened, strict=True)])
    stages = np.concatenate([s.stages[m] for s, m in zip(told, happened, strict=True)])
    if METRICS[name].per is Per.SESSION:
        sessions, first = np.unique(sessions, return_index=True)
        t_s, stages = t_s[first], stages[first]
        new = np.ones(len(sessions), dtype=np.bool_)
        if present is not None:
            new = ~np.isin(sessions, present.sessions)
    else:
        order = np.argsort(sessions, kind="stable")
        sessions, t_s, stages = sessions[order], t_s[order], stages[order]
        starts = np.searchsorted(sessions, sessions, side="left")
        rank = np.arange(len(sessions)) - starts
        written = np.zeros(len(sessions), dtype=np.int64)
        if present is not None:
            known = np.sort(present.sessions[np.isinf(present.values)])
            written = np.searchsorted(known, sessions, side="right") - np.searchsorted(
                known, sessions, side="left"
            )
        new = rank >= written
    if not new.any():
        return present
    extra = Samples(
        METRICS[name],
        np.full(int(new.sum()), np.inf),
        sessions[new],
        t_s[new],
        stages[new],
    )
    if present is None:
        return extra
    return Samples(
        METRICS[name],
        np.concatenate([present.values, extra.values]),
        np.concatenate([present.sessions, extra.sessions]),
        np.concatenate([present.t_s, extra.t_s]),
        np.concatenate([present.stages, extra.stages]),
    )


def _second_metrics(
    samples: pd.DataFrame, spans: Sequence[StageSpan]
) -> Iterator[tuple[str, Samples]]:
    rows = samples[samples["duration_s"] >= SHORTEST_SECOND_S]
    if rows.empty:
        return
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    stages = stage_codes(t_s, spans)
    sessions = pd.factorize(rows["session_id"])[0].astype(np.int64)

    def column(name: str) -> Floats:
        return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)

    received, lost = column("packets_received"), column("packets_lost")
    with np.errstate(divide="ignore", invalid="ignore"):
        computed = {
            "video.fps": column("frames_received") / column("duration_s"),
            "video.frame_delivery": np.minimum(
                np.where(
                    column("frames_captured") > 0,
                    column("frames_received") / column("frames_captured"),
                    np.nan,
                ),
                1.0,
            ),
            "video.bitrate": 8.0 * column("bytes_received") / column("duration_s"),
            "net.rtt": column("rtt_s"),
            "net.jitter": column("jitter_s"),
            "net.loss": np.where(lost + received > 0, lost / (lost + received), np.nan),
        }
    for name, values in computed.items():
        keep = np.isfinite(values)
        if keep.any():
            yield (
                name,
                Samples(METRICS[name], values[keep], sessions[keep], t_s[keep], stages[keep]),
            )


def _pool_metrics(
    system: pd.DataFrame, spans: Sequence[StageSpan], price: Price
) -> Iterator[tuple[str, Samples]]:
    rows = system[(system["role"] == "pool") & system["ready"].notna()].sort_values("t_us")
    if rows.empty:
        return
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    held_s = np.clip(np.diff(t_s, append=max(spans[-1].end_s, t_s[-1])), 0.0, None)
    counts = {state: rows[state].to_numpy(dtype=np.float64, na_value=0.0) for state in _POOL_STATES}
    stages = stage_codes(t_s, spans)
    alone = np.zeros(len(t_s), dtype=np.int64)
    for state, values in counts.items():
        name = f"pool.workers.{state}"
        yield name, Samples(METRICS[name], values, alone, t_s, stages, held_s)
    if price.running or price.stopped:
        running = counts["ready"] + counts["booting"] + counts["busy"]
        cost = running * price.running + counts["stopped"] * price.stopped
        yield "pool.cost", Samples(METRICS["pool.cost"], cost, alone, t_s, stages, held_s)
