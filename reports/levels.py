"""The figure of every gate against the number of concurrent viewers, of a capacity search."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import gates, svg
from reports.assess import Assessment
from reports.capacity import Capacity, limits
from reports.svg import AXIS, LIMIT, MUTED, SERIES, WIDTH_IN, Plot
from scenarios.gates import Gate

_PER_ROW = 3
_SCALES = {"s": (1e3, "ms"), "ratio": (100.0, "%"), "bit/s": (1e-6, "Mbps")}


def levels(assessment: Assessment) -> Plot | None:
    """Draw a panel per gate; None of a run that is no capacity search."""
    found, wanted = assessment.capacity, limits(assessment.run)
    if found is None or not found.levels or not wanted:
        return None
    rows = math.ceil(len(wanted) / _PER_ROW)
    columns = min(len(wanted), _PER_ROW)
    figure = Figure(figsize=(WIDTH_IN, 0.3 + 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, gate in zip(axes, wanted, strict=False):
        _panel(axis, found, gate)
    for axis in axes[len(wanted) :]:
        axis.set_visible(False)
    alt = (
        f"Figures of {len(wanted)} gates against concurrent viewers; "
        f"{found.held or 0} were held{f', {found.broke_at} not' if found.broke_at else ''}."
    )
    return svg.plot(figure, "levels", "Gates by number of viewers", alt)


def _panel(axis: Axes, found: Capacity, gate: Gate) -> None:
    scale, unit = _SCALES.get(gate.unit, (1.0, gate.unit))
    known = [
        (level.step.users, value * scale, gates.keeps(gate, value))
        for level in found.levels
        if (value := level.values[gate.id]) is not None and math.isfinite(value)
    ]
    axis.plot([x for x, _, _ in known], [y for _, y, _ in known], color=SERIES[0])
    for keeps, colour, marker in ((True, SERIES[0], "o"), (False, LIMIT, "X")):
        points = [(x, y) for x, y, kept in known if kept is keeps]
        axis.plot([x for x, _ in points], [y for _, y in points], marker, markersize=5,
                  color=colour)  # fmt: skip
    axis.axhline(gate.limit * scale, color=LIMIT, linestyle="--", linewidth=0.9)
    if found.held is not None:
        axis.axvline(found.held, color=MUTED, linestyle=(0, (2, 3)), linewidth=0.8)
    axis.set_title(f"{gate.id}: {gate.stat}, {unit}")
    axis.set_xlabel("concurrent viewers", **AXIS)
    axis.set_ylim(0, 1.08 * max([gate.limit * scale, *(y for _, y, _ in known), 1e-9]))
