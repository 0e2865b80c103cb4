"""The phases of joins: a waterfall per session, and which phase is the slowest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports import svg
from reports.assess import Assessment
from reports.component import PHASE_OWNERS
from reports.svg import AXIS, MUTED, SERIES, WIDTH_IN, Plot
from scenarios.quantities import render
from system.protocol.metrics import JOIN_PHASES

SESSIONS_MAX = 24


def join_phases(assessment: Assessment) -> pd.DataFrame:
    """Tabulate the phases of every measured join, in seconds: a row per session, by arrival."""
    measured = [span.name for span in assessment.spans if span.measured]
    joins = assessment.run.rows("session.join_time")
    joins = joins[joins["value"].notna() & joins["stage"].isin(measured)]
    joins = joins.sort_values("t_us", kind="stable")
    table = pd.DataFrame(index=pd.Index(joins["session_id"].astype(str), name="session").unique())
    for phase in JOIN_PHASES:
        rows = assessment.run.rows(f"session.join.{phase}")
        values = rows.set_index(rows["session_id"].astype(str))["value"]
        table[phase] = values[~values.index.duplicated()]
    known = table.dropna(how="all")
    return known.fillna(0.0)


def slowest_phase(assessment: Assessment) -> str:
    """Say in a sentence which part of the join takes longest, and whose it is."""
    sums = join_phases(assessment).sum()
    total = float(sums.sum())
    if total <= 0:
        return ""
    name = str(sums.idxmax())
    return (
        f"{100 * float(sums[name]) / total:.0f} % of the time to join is spent in "
        f"{name.replace('_', ' ')} ({PHASE_OWNERS[name]})."
    )


def joins(assessment: Assessment) -> Plot | None:
    """Draw the phases of the join, on average and for each session (the slowest, if many)."""
    phases = join_phases(assessment)
    if phases.empty:
        return None
    order = phases.sum(axis=1).sort_values(ascending=False, kind="stable").index[:SESSIONS_MAX]
    shown = phases[phases.index.isin(order)]
    labels = ["mean", *(str(name) for name in shown.index)]
    table = np.vstack([phases.mean().to_numpy(), shown.to_numpy()]) * 1e3
    figure = Figure(figsize=(WIDTH_IN, 1.0 + 0.19 * len(labels)), layout="constrained")
    axis = figure.subplots()
    places = -np.arange(len(labels), dtype=np.float64)
    places[0] += 0.5
    left = np.zeros(len(labels))
    for number, phase in enumerate(JOIN_PHASES):
        widths = table[:, number]
        if widths.max() > 0:
            label = phase.replace("_", " ")
            axis.barh(places, widths, left=left, height=0.72, color=SERIES[number], label=label)
        left += widths
    for place, total in zip(places, left, strict=True):
        text = render(total / 1e3, "s")
        axis.annotate(text, (total, place), (3, 0), textcoords="offset points", va="center",
                      fontsize=7.5, color=MUTED)  # fmt: skip
    axis.set_yticks(places, labels, fontsize=7.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.grid(visible=True, axis="x")
    axis.margins(x=0.08, y=0.01)
    axis.set_xlabel("milliseconds since the scheduled arrival", **AXIS)
    figure.legend(loc="outside upper left", ncols=len(JOIN_PHASES), fontsize=8,
                  handlelength=0.9, columnspacing=1.1)  # fmt: skip
    slowest = "" if len(phases) <= SESSIONS_MAX else f" (the {SESSIONS_MAX} slowest)"
    alt = (
        f"Join times of {len(shown)} sessions{slowest} as stacked phases; "
        f"the mean is {render(left[0] / 1e3, 's')}."
    )
    return svg.plot(figure, "joins", "Joins by phase", alt)
