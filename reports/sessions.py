"""The sessions that fared worst, each with its own small timeline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.assess import Assessment
from reports.marks import spark
from reports.samples import quantiles_by

WORST = 10
_BROKEN = ("interrupted", "abandoned", "failed")
_SLIVER_S = 0.5


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
    timeline: str


def worst_sessions(assessment: Assessment) -> list[Session]:
    """List the ten measured sessions that fared worst; none of a simulated run.

    Sessions that broke come first; the others by the sum of their ranks in join
    time, latency, undelivered frames and freezes.
    """
    if assessment.run.info.kind == "simulated":
        return []
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
    seconds = assessment.run.samples
    seconds = seconds[seconds["session_id"].isin(set(order))]
    top = float(assessment.run.scenario.stream.fps)
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
            timeline=_timeline(seconds[seconds["session_id"] == name], top),
        )
        for name, row in table.loc[order].iterrows()
    ]


def _timeline(seconds: pd.DataFrame, top: float) -> str:
    whole = seconds[seconds["duration_s"] >= _SLIVER_S].sort_values("t_us")
    fps = (whole["frames_received"] / whole["duration_s"]).to_numpy(dtype=np.float64)
    frozen = (whole["freeze_s"] > 0).to_numpy(dtype=np.bool_)
    text = f"frames per second over {len(whole)} seconds, {int(frozen.sum())} of them with a freeze"
    return spark(whole["t_us"].to_numpy(dtype=np.float64) / 1e6, fps, frozen, top, text)


def _by_session(assessment: Assessment) -> pd.DataFrame:
    run = assessment.run
    names = run.events["session_id"].cat.categories
    arrived = assessment.samples.get("session.failed")
    if arrived is None:
        return pd.DataFrame()
    arrived = arrived.during(assessment.spans)
    codes, first = np.unique(arrived.sessions, return_index=True)
    stages = np.array([span.name for span in assessment.spans])[arrived.stages[first]]
    table = pd.DataFrame({"stage": stages}, index=pd.Index(names[codes].astype(str)))

    def of(name: str, share: float = 0.0) -> pd.Series[float]:
        samples = assessment.samples.get(name)
        if samples is None:
            return pd.Series(np.nan, index=table.index)
        found, (values,) = quantiles_by(samples.sessions, samples.values, (share,))
        return pd.Series(values, index=names[found].astype(str)).reindex(table.index)

    table["join"] = of("session.join_time").where(lambda found: np.isfinite(found))
    table["latency"] = of("input.to_frame", 0.95).where(lambda found: np.isfinite(found))
    table["freeze"] = of("video.freeze_ratio")
    lost = assessment.samples.get("input.lost")
    table["lost"] = 0
    if lost is not None:
        sums = np.bincount(lost.sessions, lost.values, len(names))
        table["lost"] = pd.Series(sums, index=names.astype(str)).reindex(table.index)
    samples = run.samples[run.samples["duration_s"] >= _SLIVER_S]
    by_session = samples.groupby("session_id", observed=True)
    sums_of = by_session[["frames_received", "frames_captured", "duration_s"]].sum()
    sums_of.index = sums_of.index.astype(str)
    sums_of = sums_of.reindex(table.index)
    table["fps"] = sums_of["frames_received"] / sums_of["duration_s"]
    captured = sums_of["frames_captured"]
    table["delivery"] = (sums_of["frames_received"] / captured.where(captured > 0)).clip(upper=1.0)
    tiers = by_session["tier"].first()
    tiers.index = tiers.index.astype(str)
    table["tier"] = tiers.astype(str).reindex(table.index).fillna("")
    table["outcome"] = ""
    for what in _BROKEN:
        table.loc[of(f"session.{what}") == 1.0, "outcome"] = what
    return table


def _known(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float) else math.nan
    return None if math.isnan(number) else number
