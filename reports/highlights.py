"""What a reader wants to know first: key figures, slowest phase, worst sessions, failures."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pandas as pd

from reports.assess import Assessment
from reports.plots import join_phases
from scenarios.quantities import render
from system.protocol.metrics import METRICS

WORST = 10
NONE = "–"

PHASE_OWNERS = {
    "schedule": "the load generator",
    "ws": "signaling",
    "allocate": "the orchestrator",
    "queue": "the worker pool",
    "sdp": "signaling and worker",
    "ice": "the network path",
    "dtls": "worker and client",
    "first_packet": "the worker's renderer and encoder",
    "first_frame": "the media path",
}


@dataclass(frozen=True)
class Figure:
    """One key figure: its name, its big number, and what stands below it."""

    name: str
    value: str
    detail: str
    samples: str


@dataclass(frozen=True)
class Session:
    """One line of the list of worst sessions; absent values are None."""

    session: str
    stage: str
    tier: str
    outcome: str
    join_s: float | None
    latency_s: float | None
    fps: float | None
    delivery: float | None
    freeze: float | None
    lost: int


def key_figures(assessment: Assessment) -> list[Figure]:
    """Build the five figures at the top of a report."""
    return [
        _pair(assessment, "session.join_time", "Join time, median", "joins"),
        _pair(assessment, "input.to_frame", "Input to frame, median", "inputs"),
        _single(assessment, "video.fps", "Frame rate, median", "p50", "p05", "viewer seconds"),
        _single(assessment, "video.bitrate", "Bitrate, mean", "mean", "p95", "viewer seconds"),
        _single(assessment, "video.freeze_ratio", "Frozen time, mean", "mean", "max", "sessions"),
    ]


def slowest_phase(assessment: Assessment) -> str:
    """Say in a sentence which part of the join takes longest, and whose it is."""
    phases = join_phases(assessment)
    total = float(phases.to_numpy().sum()) if not phases.empty else 0.0
    if total <= 0:
        return ""
    sums = phases.sum()
    name = str(sums.idxmax())
    share = float(sums[name]) / total
    return (
        f"{share:.0%} of the time to join is spent in {name.replace('_', ' ')}, "
        f"which is {PHASE_OWNERS[name]}."
    )


def failures(assessment: Assessment) -> list[tuple[str, str, int]]:
    """Count failed, abandoned and interrupted sessions by reason: (what, reason, sessions)."""
    events = assessment.run.events
    counted: dict[tuple[str, str], int] = {}
    for what in ("failed", "abandoned", "interrupted"):
        rows = events[(events["event"] == f"session.{what}") & (events["value"] == 1.0)]
        for attrs in rows["attrs"]:
            key = (what, _reason(attrs) or "no reason given")
            counted[key] = counted.get(key, 0) + 1
    ordered = sorted(counted.items(), key=lambda item: -item[1])
    return [(what, reason, count) for (what, reason), count in ordered]


def worst_sessions(assessment: Assessment) -> list[Session]:
    """List the ten measured sessions that fared worst.

    Sessions that broke come first; the others by the sum of their ranks in join
    time, latency, undelivered frames and freezes.
    """
    table = _by_session(assessment)
    if table.empty:
        return []
    ranks = (
        table["join"].rank(pct=True).fillna(0)
        + table["latency"].rank(pct=True).fillna(0)
        + (-table["delivery"]).rank(pct=True).fillna(0)
        + table["freeze"].rank(pct=True).fillna(0)
    )
    broken = table["outcome"] != ""
    order = (ranks + 10.0 * broken).sort_values(ascending=False, kind="stable").index[:WORST]
    return [
        Session(
            session=str(name),
            stage=str(row["stage"]),
            tier=str(row["tier"]),
            outcome=str(row["outcome"]) or "ok",
            join_s=_known(row["join"]),
            latency_s=_known(row["latency"]),
            fps=_known(row["fps"]),
            delivery=_known(row["delivery"]),
            freeze=_known(row["freeze"]),
            lost=int(row["lost"]),
        )
        for name, row in table.loc[order].iterrows()
    ]


def shown(value: float | None, unit: str) -> str:
    """Render a number that may be absent."""
    return NONE if value is None else render(value, unit)


def _by_session(assessment: Assessment) -> pd.DataFrame:
    events = assessment.run.events
    measured = {span.name for span in assessment.spans if span.measured}
    events = events[events["stage"].isin(measured) & (events["session_id"] != "")]
    samples = assessment.run.samples
    samples = samples[samples["duration_s"] >= 0.5]
    table = pd.DataFrame({"stage": events.groupby("session_id")["stage"].first()})

    def of(name: str) -> pd.Series[float]:
        return events[events["event"] == name].set_index("session_id")["value"].dropna()

    table["join"] = of("session.join_time").groupby(level=0).first()
    table["latency"] = of("input.to_frame").groupby(level=0).quantile(0.95)
    table["freeze"] = of("video.freeze_ratio").groupby(level=0).first()
    table["lost"] = of("input.lost").groupby(level=0).sum()
    by_session = samples.groupby("session_id")
    table["tier"] = by_session["tier"].first()
    table["fps"] = by_session["frames_received"].sum() / by_session["duration_s"].sum()
    captured = by_session["frames_captured"].sum()
    table["delivery"] = by_session["frames_received"].sum() / captured.where(captured > 0)
    table["delivery"] = table["delivery"].clip(upper=1.0)
    table["lost"] = table["lost"].fillna(0)
    table["tier"] = table["tier"].fillna("")
    table["outcome"] = ""
    for what in ("interrupted", "abandoned", "failed"):
        flags = of(f"session.{what}").groupby(level=0).max()
        table.loc[table.index.isin(flags[flags == 1.0].index), "outcome"] = what
    return table


def _pair(assessment: Assessment, metric: str, name: str, noun: str) -> Figure:
    stats = assessment.stats.get(metric)
    if stats is None:
        return Figure(name, NONE, "no data", "")
    unit = stats.unit
    detail = f"p95 {render(stats.values['p95'], unit)}"
    if "p95" in stats.ci95:
        low, high = stats.ci95["p95"]
        detail += f" ({render(low, unit)} to {render(high, unit)})"
    tail = f", {stats.censored} never came" if stats.censored else ""
    return Figure(name, render(stats.values["p50"], unit), detail, f"n = {stats.n} {noun}{tail}")


def _single(
    assessment: Assessment, metric: str, name: str, first: str, second: str, noun: str
) -> Figure:
    stats = assessment.stats.get(metric)
    if stats is None:
        return Figure(name, NONE, "no data", "")
    unit = METRICS[metric].unit
    detail = f"{second} {render(stats.values[second], unit)}"
    return Figure(name, render(stats.values[first], unit), detail, f"n = {stats.n} {noun}")


def _reason(attrs: object) -> str:
    try:
        parsed = json.loads(str(attrs)) if attrs else {}
    except ValueError:
        return ""
    if not isinstance(parsed, dict):
        return ""
    told = next((str(parsed[key]) for key in ("code", "reason", "error") if parsed.get(key)), "")
    if told and parsed.get("phase"):
        told += f" in phase {parsed['phase']}"
    return told[:200]


def _known(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float) else math.nan
    return None if math.isnan(number) else number
