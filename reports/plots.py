"""The plots of a report: what happened over time, where joins spent it, how values spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports import svg
from reports.assess import Assessment
from reports.measure import Floats, Samples
from reports.svg import FOREGROUND, GRID, LIMIT, MUTED, SERIES, Plot
from scenarios.quantities import render
from system.protocol.metrics import JOIN_PHASES

WIDTH_IN = 9.0
POINTS_MAX = 400
SESSIONS_MAX = 24
_BAND = (0.05, 0.5, 0.95)

_AXIS: dict[str, Any] = {"fontsize": 8, "color": MUTED}


def plots(assessment: Assessment) -> list[Plot]:
    """Draw every plot for which the run has data."""
    makers: tuple[Callable[[Assessment], Plot | None], ...] = (timeline, joins, spread)
    with mpl.rc_context(svg.style()):
        drawn = [make(assessment) for make in makers]
    return [plot for plot in drawn if plot is not None]


def timeline(assessment: Assessment) -> Plot | None:
    """Viewers, frame rate, latency, bitrate and pool over one time axis with its stages."""
    rows: list[tuple[str, Callable[[Axes, Assessment], None]]] = []
    if not assessment.run.samples.empty:
        rows.append(("viewers in session", _viewers))
    for name, title, scale in (
        ("video.fps", "frames per second, per viewer", 1.0),
        ("input.to_frame", "input to frame, ms", 1e3),
        ("video.bitrate", "bitrate, Mbps, per viewer", 1e-6),
    ):
        if name in assessment.samples:
            rows.append((title, _band(name, scale)))
    if "pool.workers.ready" in assessment.samples:
        rows.append(("workers", _workers))
    if not rows:
        return None
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 1.25 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, draw) in zip(axes, rows, strict=True):
        draw(axis, assessment)
        axis.set_title(title)
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=draw in (_viewers, _workers)))
        handles, _ = axis.get_legend_handles_labels()
        if handles:
            axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.96), ncols=5, borderpad=0.2)
        _stages(axis, assessment)
    _stage_names(axes[0], assessment)
    end_s = assessment.spans[-1].end_s
    axes[-1].set_xlim(0, end_s)
    axes[-1].set_xlabel("seconds since the start", **_AXIS)
    names = ", ".join(title.split(",")[0] for title, _ in rows)
    alt = f"Timeline of {render(end_s, 's')}: {names}, with the stages of the scenario shaded."
    return svg.plot(figure, "timeline", "Timeline", alt)


def joins(assessment: Assessment) -> Plot | None:
    """Phases of the join, on average and for each session (the slowest, if many)."""
    phases = join_phases(assessment)
    if phases.empty:
        return None
    order = phases.sum(axis=1).sort_values(ascending=False).index[:SESSIONS_MAX]
    shown = phases.loc[order].sort_index()
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
            colour = SERIES[number]
            axis.barh(places, widths, left=left, height=0.72, color=colour, label=_words(phase))
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
    axis.set_xlabel("milliseconds since the scheduled arrival", **_AXIS)
    figure.legend(loc="outside upper left", ncols=len(JOIN_PHASES), fontsize=8,
                  handlelength=0.9, columnspacing=1.1)  # fmt: skip
    slowest = "" if len(phases) <= SESSIONS_MAX else f" (the {SESSIONS_MAX} slowest)"
    alt = (
        f"Join times of {len(shown)} sessions{slowest} as stacked phases; "
        f"the mean is {render(left[0] / 1e3, 's')}."
    )
    return svg.plot(figure, "joins", "Joins by phase", alt)


def spread(assessment: Assessment) -> Plot | None:
    """Empirical distributions of join time and input to frame, with their limits."""
    panels = [
        (name, title)
        for name, title in (
            ("session.join_time", "join time"),
            ("input.to_frame", "input to frame"),
        )
        if name in assessment.stats and np.isfinite(assessment.samples[name].values).any()
    ]
    if not panels:
        return None
    figure = Figure(figsize=(WIDTH_IN, 2.7), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    told = []
    for axis, (name, title) in zip(axes, panels, strict=True):
        stats = assessment.stats[name]
        samples = assessment.samples[name].during(assessment.spans)
        limits = {
            gate.limit: f"gate {gate.stat} {render(gate.limit, 's')}"
            for gate in assessment.run.scenario.gates
            if gate.metric == name
        }
        finite = samples.values[np.isfinite(samples.values)] * 1e3
        right = max([float(finite.max(initial=1.0)), *(limit * 1e3 for limit in limits)]) * 1.06
        _ecdf(axis, samples, right)
        for limit, text in limits.items():
            axis.axvline(limit * 1e3, color=LIMIT, linestyle="--", linewidth=1.1, label=text)
        for stat, colour in (("p50", SERIES[1]), ("p95", SERIES[3])):
            value = stats.values[stat]
            if math.isfinite(value):
                share = int(stat[1:])
                label = f"{stat} {render(value, 's')}"
                axis.plot([value * 1e3], [share], "o", markersize=5, color=colour, label=label)
        axis.set_title(title)
        axis.set_xlabel("milliseconds", **_AXIS)
        axis.set_xlim(0, right)
        axis.set_ylim(0, 101)
        axis.legend(loc="lower right", bbox_to_anchor=(0.92, 0.02))
        told.append(f"{title}: median {render(stats.values['p50'], 's')}, "
                    f"p95 {render(stats.values['p95'], 's')}")  # fmt: skip
    axes[0].set_ylabel("% at or below", **_AXIS)
    alt = "Cumulative distributions; " + "; ".join(told) + "."
    return svg.plot(figure, "spread", "Distributions", alt)


def join_phases(assessment: Assessment) -> pd.DataFrame:
    """Tabulate the phases of every measured join: a row per session, in seconds."""
    events = assessment.run.events
    measured = {span.name for span in assessment.spans if span.measured}
    names = {f"session.join.{phase}": phase for phase in JOIN_PHASES}
    joined = events[
        (events["event"] == "session.join_time")
        & events["value"].notna()
        & events["stage"].isin(measured)
    ]["session_id"]
    rows = events[
        events["event"].isin(names)
        & events["value"].notna()
        & events["session_id"].isin(set(joined))
    ]
    if rows.empty:
        return pd.DataFrame(columns=list(JOIN_PHASES))
    table = rows.assign(phase=rows["event"].map(names)).pivot_table(
        index="session_id", columns="phase", values="value", aggfunc="first"
    )
    return table.reindex(columns=list(JOIN_PHASES)).fillna(0.0)


def _words(phase: str) -> str:
    return phase.replace("_", " ")


def _viewers(axis: Axes, assessment: Assessment) -> None:
    samples = assessment.run.samples
    seconds = (samples["t_us"] // 1_000_000).to_numpy(dtype=np.int64)
    last = int(seconds.max())
    counts = (
        pd.DataFrame({"second": seconds, "session": samples["session_id"]})
        .groupby("second")["session"]
        .nunique()
        .reindex(range(last + 2), fill_value=0)
    )
    active = np.asarray(counts, dtype=np.float64)
    t_s, active = _thin(np.arange(last + 2, dtype=np.float64), active)
    axis.fill_between(t_s, active, step="post", color=SERIES[0], alpha=0.22, linewidth=0)
    axis.step(t_s, active, where="post", color=SERIES[0], label="in session")
    for name, text, marker in (
        ("session.failed", "failed", "x"),
        ("session.abandoned", "left before a frame", "v"),
        ("session.interrupted", "interrupted", "|"),
    ):
        found = assessment.samples.get(name)
        at_s = np.array([]) if found is None else found.t_s[found.values == 1.0][:POINTS_MAX]
        if len(at_s):
            heights = np.interp(at_s, t_s, active)
            axis.plot(at_s, heights, marker, color=LIMIT, markersize=5, label=text)


def _band(name: str, scale: float) -> Callable[[Axes, Assessment], None]:
    """Draw the median of a metric per second, and the band from p05 to p95."""

    def draw(axis: Axes, assessment: Assessment) -> None:
        samples = assessment.samples[name]
        finite = np.isfinite(samples.values)
        frame = pd.DataFrame(
            {"t": np.floor(samples.t_s[finite]), "v": samples.values[finite] * scale}
        )
        if not frame.empty:
            step = max(1.0, math.ceil((frame["t"].max() + 1) / POINTS_MAX))
            groups = frame.groupby(np.floor(frame["t"] / step) * step)["v"]
            found = groups.quantile(np.array(_BAND)).unstack()
            t_s = found.index.to_numpy(np.float64) + step / 2
            columns = [found[share].to_numpy(np.float64) for share in _BAND]
            axis.fill_between(t_s, columns[0], columns[2], color=SERIES[0], alpha=0.2,
                              linewidth=0, label="p05 to p95")  # fmt: skip
            axis.plot(t_s, columns[1], color=SERIES[0], label="median")
        lost = samples.t_s[~finite][:POINTS_MAX]
        if len(lost):
            top = axis.get_ylim()[1]
            axis.plot(lost, np.full(len(lost), top * 0.96), "|", color=LIMIT, label="lost")
        for gate in assessment.run.scenario.gates:
            shown = gate.limit * scale
            if gate.metric == name and 0 < shown < 4 * axis.get_ylim()[1]:
                axis.axhline(shown, color=LIMIT, linestyle="--", linewidth=0.9,
                             label=f"gate {gate.stat}")  # fmt: skip

    return draw


def _workers(axis: Axes, assessment: Assessment) -> None:
    end_s = assessment.spans[-1].end_s
    bottom: Floats | None = None
    for state, colour in (
        ("busy", SERIES[0]),
        ("ready", SERIES[2]),
        ("booting", SERIES[1]),
        ("stopped", SERIES[7]),
    ):
        samples = assessment.samples[f"pool.workers.{state}"]
        t_s, values = _thin(
            np.append(samples.t_s, max(end_s, samples.t_s[-1])),
            np.append(samples.values, samples.values[-1]),
        )
        floor = np.zeros(len(values)) if bottom is None else bottom
        if values.any():
            axis.fill_between(t_s, floor, floor + values, step="post", color=colour, alpha=0.55,
                              linewidth=0, label=state)  # fmt: skip
        bottom = floor + values


def _stages(axis: Axes, assessment: Assessment) -> None:
    for number, span in enumerate(assessment.spans):
        if not span.measured:
            axis.axvspan(span.start_s, span.end_s, facecolor=GRID, alpha=0.35, linewidth=0)
        if number:
            axis.axvline(span.start_s, color=MUTED, linewidth=0.6, linestyle=(0, (2, 3)))


def _stage_names(axis: Axes, assessment: Assessment) -> None:
    for span in assessment.spans:
        text = span.name if span.measured else f"{span.name} (not measured)"
        axis.annotate(text, ((span.start_s + span.end_s) / 2, 1.0), (0, 19),
                      xycoords=("data", "axes fraction"), textcoords="offset points", ha="center",
                      fontsize=8, color=FOREGROUND,
                      style="normal" if span.measured else "italic")  # fmt: skip


def _ecdf(axis: Axes, samples: Samples, right: float) -> None:
    values = np.sort(samples.values)
    share = 100.0 * np.arange(1, len(values) + 1) / len(values)
    finite = np.isfinite(values)
    x, y = _thin(values[finite] * 1e3, share[finite])
    x, y = np.concatenate([[0.0, x[0]], x, [right]]), np.concatenate([[0.0, 0.0], y, y[-1:]])
    axis.fill_between(x, y, step="post", color=SERIES[0], alpha=0.12, linewidth=0)
    axis.step(x, y, where="post", color=SERIES[0])
    missing = 100.0 - float(y[-1])
    if missing > 0.05:
        text: dict[str, Any] = {"fontsize": 8, "color": LIMIT, "ha": "left", "va": "top"}
        axis.text(0.02, 0.97, f"{missing:.1f} % never came", transform=axis.transAxes, **text)


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep at most ``POINTS_MAX`` points, evenly, with the last."""
    if len(x) <= POINTS_MAX:
        return x, y
    keep = np.unique(np.linspace(0, len(x) - 1, POINTS_MAX).round().astype(np.int64))
    return x[keep], y[keep]
