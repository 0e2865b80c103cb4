"""What happened over time: viewers, frames, latency, bitrate, queue and pool on one axis."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports import svg
from reports.assess import Assessment
from reports.attributes import happened_s
from reports.faults import Fault, faults
from reports.pools import STATES
from reports.samples import Floats, quantiles_by
from reports.svg import (
    FOREGROUND,
    GRID,
    LIMIT,
    MUTED,
    POINTS_MAX,
    SERIES,
    WIDTH_IN,
    Plot,
    thin,
)
from scenarios.quantities import render

_BAND = (0.05, 0.5, 0.95)
_STATE_COLOURS = {"busy": 0, "ready": 2, "booting": 1, "stopped": 7}
_NAMED_WIDTH = 0.035
"""A stage narrower than this part of the axis keeps its name to itself."""

_Draw = Callable[[Axes, Assessment], None]


def timeline(assessment: Assessment) -> Plot | None:
    """Draw all rows for which there is data, with stages shaded and faults marked."""
    rows: list[tuple[str, _Draw]] = []
    if not assessment.run.samples.empty:
        rows.append(("viewers in session", _viewers))
    for name, title, scale in (
        ("video.fps", "frames per second, per viewer", 1.0),
        ("input.to_frame", "input to frame, ms", 1e3),
        ("video.bitrate", "bitrate, Mbps, per viewer", 1e-6),
        ("pool.wait_time", "wait for a worker, s", 1.0),
    ):
        samples = assessment.samples.get(name)
        if samples is not None and (name != "pool.wait_time" or samples.values.any()):
            rows.append((title, _band(name, scale)))
    if "pool.workers.ready" in assessment.samples:
        rows.append(("workers", _workers))
    if not rows:
        return None
    found = faults(assessment.run)
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
        _faults(axis, found)
    _stage_names(axes[0], assessment)
    _fault_numbers(axes[0], found)
    end_s = assessment.spans[-1].end_s
    axes[-1].set_xlim(min(assessment.spans[0].start_s, 0.0), end_s)
    svg.time_axis(axes[-1], end_s)
    names = ", ".join(title.split(",")[0] for title, _ in rows)
    marks = f", and {len(found)} fault{'s' * (len(found) > 1)} marked" if found else ""
    alt = f"Timeline of {render(end_s, 's')}: {names}, with the stages of the scenario{marks}."
    return svg.plot(figure, "timeline", "Timeline", alt)


def _viewers(axis: Axes, assessment: Assessment) -> None:
    samples = assessment.run.samples
    seconds = (samples["t_us"] // 1_000_000).clip(lower=0).to_numpy(dtype=np.int64)
    codes = samples["session_id"].cat.codes.to_numpy().astype(np.int64)
    width = int(codes.max()) + 1
    pairs = np.unique(seconds * width + codes)
    counts = np.bincount(pairs // width, minlength=int(seconds.max()) + 2).astype(np.float64)
    t_s, active = thin(np.arange(len(counts), dtype=np.float64), counts)
    axis.fill_between(t_s, active, step="post", color=SERIES[0], alpha=0.22, linewidth=0)
    axis.step(t_s, active, where="post", color=SERIES[0], label="in session")
    for name, text, marker in (
        ("session.failed", "failed", "x"),
        ("session.abandoned", "left before a frame", "v"),
        ("session.interrupted", "interrupted", "|"),
    ):
        rows = assessment.run.rows(name)
        at_s = happened_s(rows[rows["value"] == 1.0][:POINTS_MAX])
        if len(at_s):
            heights = np.interp(at_s, t_s, active)
            axis.plot(at_s, heights, marker, color=LIMIT, markersize=5, label=text)


def _band(name: str, scale: float) -> _Draw:
    """Draw the median of a metric per second, and the band from p05 to p95."""

    def draw(axis: Axes, assessment: Assessment) -> None:
        samples = assessment.samples[name]
        finite = np.isfinite(samples.values)
        t_s, values = samples.t_s[finite], samples.values[finite] * scale
        if len(t_s):
            step = max(1.0, math.ceil((t_s.max() + 1) / POINTS_MAX))
            bins, found = quantiles_by(np.floor(t_s / step).astype(np.int64), values, _BAND)
            middle_s = (bins + 0.5) * step
            axis.fill_between(middle_s, found[0], found[2], color=SERIES[0], alpha=0.2,
                              linewidth=0, label="p05 to p95")  # fmt: skip
            axis.plot(middle_s, found[1], color=SERIES[0], label="median")
        lost = samples.t_s[~finite][:POINTS_MAX]
        if len(lost):
            top = axis.get_ylim()[1]
            axis.plot(lost, np.full(len(lost), top * 0.96), "|", color=LIMIT, label="lost")
        for gate in assessment.run.scenario.gates:
            if gate.metric != name or gate.kind != "limit":
                continue
            if 0 < gate.limit * scale < 4 * axis.get_ylim()[1]:
                axis.axhline(gate.limit * scale, color=LIMIT, linestyle="--", linewidth=0.9,
                             label=f"gate {gate.stat}")  # fmt: skip

    return draw


def _workers(axis: Axes, assessment: Assessment) -> None:
    """Stack the workers by state; of several replications their mean."""
    grid = np.linspace(
        min(assessment.spans[0].start_s, 0.0), assessment.spans[-1].end_s, POINTS_MAX
    )
    floor = np.zeros(len(grid))
    for state, number in sorted(_STATE_COLOURS.items(), key=lambda item: STATES.index(item[0])):
        samples = assessment.samples[f"pool.workers.{state}"]
        held = []
        for one in samples.by_day():
            place = np.searchsorted(one.t_s, grid, side="right") - 1
            held.append(np.where(place >= 0, one.values[place], 0.0))
        height = np.mean(held, axis=0)
        if height.any():
            x, (low, high) = _corners(grid, floor, floor + height)
            axis.fill_between(x, low, high, step="post", color=SERIES[number], alpha=0.55,
                              linewidth=0, label=state)  # fmt: skip
        floor = floor + height


def _corners(grid: Floats, *lines: Floats) -> tuple[Floats, list[Floats]]:
    """Keep only the points where a line changes, and the last."""
    changed = np.zeros(len(grid), dtype=np.bool_)
    changed[[0, -1]] = True
    for line in lines:
        changed[1:] |= line[1:] != line[:-1]
    return grid[changed], [line[changed] for line in lines]


def _stages(axis: Axes, assessment: Assessment) -> None:
    """Bound the stages, and shade what is not measured: some of them, and any time between them."""
    before_s = min(assessment.spans[0].start_s, 0.0)
    for span in assessment.spans:
        for start_s, end_s, measured in ((before_s, span.start_s, False), span[1:]):
            if end_s > start_s and not measured:
                axis.axvspan(start_s, end_s, facecolor=GRID, alpha=0.35, linewidth=0)
        if span.start_s > 0:
            axis.axvline(span.start_s, color=MUTED, linewidth=0.6, linestyle=(0, (2, 3)))
        before_s = span.end_s


def _stage_names(axis: Axes, assessment: Assessment) -> None:
    length_s = assessment.spans[-1].end_s - min(assessment.spans[0].start_s, 0.0)
    for span in assessment.spans:
        if span.end_s - span.start_s < _NAMED_WIDTH * length_s:
            continue
        text = span.name if span.measured else f"{span.name} (not measured)"
        axis.annotate(text, ((span.start_s + span.end_s) / 2, 1.0), (0, 19),
                      xycoords=("data", "axes fraction"), textcoords="offset points", ha="center",
                      fontsize=8, color=FOREGROUND,
                      style="normal" if span.measured else "italic")  # fmt: skip


def _faults(axis: Axes, found: list[Fault]) -> None:
    for fault in found:
        axis.axvline(fault.at_s, color=LIMIT, linewidth=1.0)
        for length_s in {fault.recovery_s, fault.whole_s} - {None}:
            axis.axvspan(fault.at_s, fault.at_s + float(length_s or 0.0), facecolor=LIMIT,
                         alpha=0.1, linewidth=0)  # fmt: skip


def _fault_numbers(axis: Axes, found: list[Fault]) -> None:
    for number, fault in enumerate(found, start=1):
        axis.annotate(f"{number}", (fault.at_s, 1.0), (3, -1), ha="left", va="top",
                      xycoords=("data", "axes fraction"), textcoords="offset points",
                      fontsize=8, weight="bold", color=LIMIT)  # fmt: skip
