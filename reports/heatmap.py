"""Frame rates of every session over time, as one picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports import svg
from reports.assess import Assessment
from reports.svg import AXIS, WIDTH_IN, Plot

ROWS_MAX = 80
COLUMNS_MAX = 240
_MAP = "viridis"


def heatmap(assessment: Assessment) -> Plot | None:
    """Draw sessions, in order of their start, by time; very many share a line."""
    samples = assessment.samples.get("video.fps")
    if samples is None or len(np.unique(samples.sessions)) < 2:
        return None
    codes, sessions = np.unique(samples.sessions, return_inverse=True)
    starts = np.full(len(codes), np.inf)
    np.minimum.at(starts, sessions, samples.t_s)
    place = np.argsort(np.argsort(starts, kind="stable"), kind="stable")
    rows = min(len(codes), ROWS_MAX)
    end_s = max(assessment.spans[-1].end_s, 1.0)
    columns = min(COLUMNS_MAX, int(np.ceil(end_s)))
    row = place[sessions] * rows // len(codes)
    column = np.clip(samples.t_s / end_s * columns, 0, columns - 1).astype(np.int64)
    cells = row * columns + column
    sums = np.bincount(cells, samples.values, rows * columns)
    counts = np.bincount(cells, minlength=rows * columns)
    with np.errstate(invalid="ignore"):
        fps = np.where(counts > 0, sums / counts, np.nan).reshape(rows, columns)
    figure = Figure(figsize=(WIDTH_IN, 1.1 + 0.03 * max(rows, 30)), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(fps, aspect="auto", interpolation="nearest", cmap=_MAP, vmin=0.0,
                        extent=(0.0, end_s, len(codes) + 0.5, 0.5))  # fmt: skip
    axis.grid(visible=False)
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    svg.time_axis(axis, end_s)
    axis.set_ylabel("session, by start", **AXIS)
    bar = figure.colorbar(image, ax=axis, pad=0.01, aspect=25)
    bar.set_label("frames per second", **AXIS)
    bar.outline.set_visible(False)
    alt = (
        f"Frame rates of {len(codes)} sessions over time, a line each"
        f"{'' if rows == len(codes) else ' (several share one)'}: from "
        f"{np.nanmin(fps):.0f} to {np.nanmax(fps):.0f} frames per second."
    )
    return svg.plot(figure, "heatmap", "Frame rate by session and time", alt)
