"""Turns the rows of a run into samples per metric.

Session and input metrics are events; session-second metrics are computed from
``samples``; pool metrics are weighted by time. NaN is no sample, a censored one
is infinite.

An event row with ``attrs`` ``{"histogram": {...}}`` (``LogHistogram.to_json``)
and no value stands for many samples of its session, each within 1 %: what a
session's summary still knows when its rows were lost, or were too many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from reports import pools
from reports.attributes import attributes
from reports.rundir import RunReader
from reports.samples import Bools, Floats, Ints, Samples, stage_codes
from scenarios.load import CapacityLoad
from scenarios.schedule import StageSpan
from system.client.histogram import GROWTH, LogHistogram
from system.protocol.metrics import CENSORED_BY, METRICS, Per

SHORTEST_SECOND_S = 0.5
"""A session's last, partial second counts from this length on: rates over less are noise."""

_REPLICATION = re.compile(r"r([0-9]+)(?:/.*)?")


def measure(run: RunReader) -> dict[str, Samples]:
    """Compute the samples of every metric that has any, measured stages or not."""
    found = {
        **_event_metrics(run),
        **dict(_second_metrics(run)),
        **_freezes_by_step(run),
        **dict(pools.metrics(run, replications(run, run.system["node"]))),
    }
    return {name: found[name] for name in METRICS if name in found}


def from_start(run: RunReader, samples: dict[str, Samples]) -> dict[str, Samples]:
    """Measure joins and inputs from when they really began, not from when they were due.

    A generator that is late delays what it measures; both figures stand side by
    side. A join began when its ``schedule`` phase was over; a row of an input
    that was sent late says so in ``attrs`` as ``{"late_s": seconds}``, any other
    was sent when it was due.
    """
    found = {}
    joins, late = samples.get("session.join_time"), samples.get("session.join.schedule")
    if joins is not None and late is not None:
        by_session = dict(zip(late.sessions.tolist(), late.values.tolist(), strict=True))
        offset = np.array([by_session.get(code, 0.0) for code in joins.sessions.tolist()])
        found["session.join_time"] = replace(joins, values=joins.values - offset)
    if "input.to_frame" in samples:
        found["input.to_frame"] = _inputs_from_start(run, samples)
    return found


def _inputs_from_start(run: RunReader, samples: dict[str, Samples]) -> Samples:
    name = "input.to_frame"
    inputs = run.rows(name)
    late_s = np.nan_to_num(_of_attrs(inputs["attrs"], lambda attrs: attrs.get("late_s")))
    if not late_s.any():
        return samples[name]
    values = inputs["value"].to_numpy(dtype=np.float64) - late_s
    told = _samples(name, inputs.assign(value=values), run, run.spans)
    every = samples if told is None else {**samples, name: told}
    return _with_unwritten(name, every, CENSORED_BY[name]) or samples[name]


def replications(run: RunReader, nodes: pd.Series[str]) -> Ints | None:
    """Find the replication of each row by its node; None in a measured run."""
    if run.info.kind == "measured":
        return None
    matches = [_REPLICATION.fullmatch(str(node)) for node in nodes.cat.categories]
    numbers = np.array([0 if match is None else int(match[1]) for match in matches] or [0])
    return numbers[nodes.cat.codes.to_numpy()].astype(np.int64)


def _event_metrics(run: RunReader) -> dict[str, Samples]:
    every: dict[str, Samples] = {}
    for name, metric in METRICS.items():
        if metric.per is Per.SESSION_SECOND or metric.per is Per.TIME:
            continue
        found = _samples(name, run.rows(name), run, run.spans)
        if found is not None:
            every[name] = found
    for name, causes in CENSORED_BY.items():
        completed = _with_unwritten(name, every, causes)
        if completed is not None:
            every[name] = completed
    return every


def _samples(
    name: str, rows: pd.DataFrame, run: RunReader, spans: Sequence[StageSpan]
) -> Samples | None:
    if rows.empty:
        return None
    values = rows["value"].to_numpy(dtype=np.float64, copy=True)
    values[np.isinf(values)] = np.nan
    censored = _of_attrs(rows["attrs"], lambda attrs: attrs.get("censored") is True) == 1.0
    values[np.isnan(values) & censored] = np.inf
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    index = {span.name: code for code, span in enumerate(spans)}
    names = np.array([index.get(str(stage), -1) for stage in rows["stage"].cat.categories] + [-1])
    stages = names[rows["stage"].cat.codes.to_numpy()]
    stages = np.where(stages < 0, stage_codes(t_s, spans), stages).astype(np.int64)
    days = replications(run, rows["node"])
    sessions = rows["session_id"].cat.codes.to_numpy().astype(np.int64)
    if days is not None:
        sessions = days * len(rows["session_id"].cat.categories) + sessions
    every = Samples(METRICS[name], values, sessions, t_s, stages, replications=days)
    taken = every.take(~np.isnan(values))
    unpacked = _unpacked(rows["attrs"], every)
    if unpacked is not None:
        taken = _joined(taken, unpacked)
    return taken if len(taken.values) else None


def _of_attrs(attrs: pd.Series[str], look: Callable[[dict[str, object]], object]) -> Floats:
    """Look into ``attrs`` of every row, once for each distinct text; NaN where there is nothing."""
    found = [look(attributes(text)) for text in attrs.cat.categories]
    numbers = [float(value) if isinstance(value, int | float) else np.nan for value in found]
    return np.array([*numbers, np.nan])[attrs.cat.codes.to_numpy()]


def _unpacked(attrs: pd.Series[str], every: Samples) -> Samples | None:
    """Samples of the rows that carry a histogram: the middles of its buckets."""
    held: dict[int, Floats] = {}
    for code, text in enumerate(attrs.cat.categories):
        if "histogram" not in str(text):
            continue
        try:
            held[code] = _middles(LogHistogram.from_json(attributes(text)["histogram"]))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            continue
    codes = attrs.cat.codes.to_numpy()
    places = np.flatnonzero(np.isin(codes, list(held)) & np.isnan(every.values))
    if not len(places):
        return None
    lengths = [len(held[int(codes[place])]) for place in places]
    repeated = every.take(np.repeat(places, lengths))
    return replace(repeated, values=np.concatenate([held[int(codes[place])] for place in places]))


def _middles(histogram: LogHistogram) -> Floats:
    buckets = np.array(sorted(histogram.counts), dtype=np.float64)
    counts = [histogram.counts[int(bucket)] for bucket in buckets]
    middles = np.repeat(np.power(GROWTH, buckets + 0.5), counts)
    if histogram.n:
        middles = np.clip(middles, histogram.minimum, histogram.maximum)
    return np.concatenate([np.zeros(histogram.zeros), middles, np.full(histogram.censored, np.inf)])


def _with_unwritten(name: str, every: dict[str, Samples], causes: Sequence[str]) -> Samples | None:
    """Add a censored sample for each cause whose writer left the sample itself out.

    A session that failed to join has no join time, and an input that was lost
    has no latency; whether or not a row says so, they must not vanish.
    """
    present = every.get(name)
    for cause in causes:
        if cause not in every:
            continue
        lost = every[cause].take(every[cause].values == 1.0)
        lost = replace(lost, metric=METRICS[name], values=np.full(len(lost.values), np.inf))
        if METRICS[name].per is Per.SESSION:
            _, first = np.unique(lost.sessions, return_index=True)
            lost = lost.take(first.astype(np.int64))
            known = np.array([]) if present is None else present.sessions
            lost = lost.take(~np.isin(lost.sessions, known))
        else:
            lost = lost.take(_beyond_written(lost.sessions, present))
        if len(lost.values):
            present = lost if present is None else _joined(present, lost)
    return present


def _beyond_written(sessions: Ints, present: Samples | None) -> Bools:
    """Say which lost samples have no censored row of their own, session by session."""
    order = np.argsort(sessions, kind="stable")
    ordered = sessions[order]
    rank = np.empty(len(sessions), dtype=np.int64)
    rank[order] = np.arange(len(sessions)) - np.searchsorted(ordered, ordered, side="left")
    if present is None:
        return np.ones(len(sessions), dtype=np.bool_)
    known = np.sort(present.sessions[np.isinf(present.values)])
    written = np.searchsorted(known, sessions, "right") - np.searchsorted(known, sessions, "left")
    beyond: Bools = rank >= written
    return beyond


def _joined(first: Samples, second: Samples) -> Samples:
    days = None
    if first.replications is not None and second.replications is not None:
        days = np.concatenate([first.replications, second.replications])
    return Samples(
        first.metric,
        np.concatenate([first.values, second.values]),
        np.concatenate([first.sessions, second.sessions]),
        np.concatenate([first.t_s, second.t_s]),
        np.concatenate([first.stages, second.stages]),
        replications=days,
    )


def _freezes_by_step(run: RunReader) -> dict[str, Samples]:
    """The time frozen of each session in each step of a capacity search.

    Its sessions go on from step to step: over its whole length, one that began
    in the first step would count there for what it suffered in the last.
    """
    if not isinstance(run.scenario.load, CapacityLoad):
        return {}
    t_s = run.samples["t_us"].to_numpy(dtype=np.float64) / 1e6
    rows = run.samples.assign(t_s=t_s, step=stage_codes(t_s, run.spans))
    rows = rows[rows["step"] >= 0]
    if rows.empty:
        return {}
    each = rows.groupby(["session_id", "step"], observed=True).agg(
        frozen_s=("freeze_s", "sum"), watched_s=("duration_s", "sum"), t_s=("t_s", "min")
    )
    sessions = rows["session_id"].cat.categories.get_indexer(each.index.get_level_values(0))
    values = (each["frozen_s"] / each["watched_s"]).clip(upper=1.0).to_numpy(dtype=np.float64)
    found = Samples(
        METRICS["video.freeze_ratio"],
        values,
        sessions.astype(np.int64),
        each["t_s"].to_numpy(dtype=np.float64),
        each.index.get_level_values(1).to_numpy(dtype=np.int64),
    )
    return {found.metric.name: found}


def _second_metrics(run: RunReader) -> Iterator[tuple[str, Samples]]:
    rows = run.samples[run.samples["duration_s"] >= SHORTEST_SECOND_S]
    if rows.empty:
        return
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    stages = stage_codes(t_s, run.spans)
    sessions = rows["session_id"].cat.codes.to_numpy().astype(np.int64)

    def column(name: str) -> Floats:
        return rows[name].to_numpy(dtype=np.float64)

    received, lost = column("packets_received"), column("packets_lost")
    captured = column("frames_captured")
    with np.errstate(divide="ignore", invalid="ignore"):
        delivered = np.where(captured > 0, column("frames_received") / captured, np.nan)
        computed = {
            "video.fps": column("frames_received") / column("duration_s"),
            "video.frame_delivery": np.minimum(delivered, 1.0),
            "video.bitrate": 8.0 * column("bytes_received") / column("duration_s"),
            "net.rtt": column("rtt_s"),
            "net.jitter": column("jitter_s"),
            "net.loss": np.where(lost + received > 0, lost / (lost + received), np.nan),
        }
    for name, values in computed.items():
        keep = np.isfinite(values)
        if keep.any():
            yield name, Samples(METRICS[name], values, sessions, t_s, stages).take(keep)
