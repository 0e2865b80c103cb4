"""How join times and latencies spread: their distributions, beside those of the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import svg
from reports.assess import Assessment
from reports.baselines import SHARES, SPREAD
from reports.samples import Samples
from reports.svg import AXIS, FOREGROUND, LIMIT, MUTED, SERIES, WIDTH_IN, Plot, thin
from scenarios.quantities import render

_SECONDS_FROM_S = 20.0
_MOST = 70.0
"""Percent of equal samples from which on the others are what is to be seen."""
_MISSING_FROM = 0.05
TITLES = dict(zip(SPREAD, ("join time", "input to frame"), strict=True))


def spread(assessment: Assessment) -> Plot | None:
    """Draw empirical distributions of join time and input to frame, with their limits."""
    panels = [
        name
        for name in SPREAD
        if name in assessment.stats and np.isfinite(assessment.samples[name].values).any()
    ]
    if not panels:
        return None
    figure = Figure(figsize=(WIDTH_IN, 2.7), layout="constrained")
    measured = [assessment.samples[name].during(assessment.spans) for name in panels]
    bottoms = [_bottom(samples) for samples in measured]
    axes = figure.subplots(1, len(panels), sharey=len(set(bottoms)) == 1, squeeze=False)[0]
    told = []
    for axis, name, samples, bottom in zip(axes, panels, measured, bottoms, strict=True):
        values = assessment.stats[name].values
        _panel(axis, assessment, name, samples, bottom)
        told.append(
            f"{TITLES[name]}: median {render(values['p50'], 's')}, p95 {render(values['p95'], 's')}"
        )
    axes[0].set_ylabel("% at or below", **AXIS)
    beside = ", beside the baseline" if assessment.history.runs else ""
    alt = f"Cumulative distributions{beside}; " + "; ".join(told) + "."
    return svg.plot(figure, "spread", "Distributions", alt)


def _panel(axis: Axes, assessment: Assessment, name: str, samples: Samples, bottom: float) -> None:
    stats = assessment.stats[name]
    limits = {
        gate.limit: f"gate {gate.stat} ≤ {render(gate.limit, 's')}"
        for gate in assessment.run.scenario.gates
        if gate.metric == name and gate.kind == "limit" and gate.op == "<="
    }
    earlier = [run.spread[name] for run in assessment.history.runs if run.spread.get(name)]
    finite = samples.values[np.isfinite(samples.values)]
    known = [value for run in earlier for value in run if value is not None]
    right = max([float(finite.max(initial=1e-3)), *known, *limits]) * 1.06
    scale, unit = (1e3, "milliseconds") if right < _SECONDS_FROM_S else (1.0, "seconds")
    _earlier(axis, earlier, scale)
    missing = _ecdf(axis, samples, right, scale)
    for limit, text in limits.items():
        axis.axvline(limit * scale, color=LIMIT, linestyle="--", linewidth=1.1)
        axis.annotate(text, (limit * scale, 0.03), (-3, 0), xycoords=("data", "axes fraction"),
                      textcoords="offset points", rotation=90, ha="right", va="bottom",
                      fontsize=8, color=LIMIT)  # fmt: skip
    # Of several replications the figure is a mean, which is no point of this curve.
    for stat in ("p50", "p95") if len(samples.days) == 1 else ():
        value, share = stats.values[stat], int(stat[1:])
        if math.isfinite(value) and share >= bottom:
            axis.plot([value * scale], [share], "o", markersize=5, color=SERIES[0])
            near = value > 0.6 * right
            axis.annotate(f"{stat} {render(value, 's')}", (value * scale, share),
                          (-8 if near else 8, 4 if near else -4), textcoords="offset points",
                          ha="right" if near else "left", va="bottom" if near else "top",
                          fontsize=8, color=FOREGROUND)  # fmt: skip
    axis.set_title(TITLES[name])
    notes = []
    if earlier:
        notes.append(f"grey: {len(earlier)} baseline run{'' if len(earlier) == 1 else 's'}")
    if missing > _MISSING_FROM:
        notes.append(f"{missing:.1f} % never came")
    axis.set_title("; ".join(notes), loc="right", weight="normal",
                   color=LIMIT if missing > _MISSING_FROM else MUTED)  # fmt: skip
    axis.set_xlabel(unit, **AXIS)
    axis.set_xlim(0, right * scale)
    axis.set_ylim(bottom, 100 + (100 - bottom) / 100)


def _bottom(samples: Samples) -> float:
    """The axis begins at 0, or shortly below what most samples share, as where few had to wait."""
    share = 100.0 * float((samples.values <= samples.values.min()).mean())
    return 5.0 * math.floor((share - 5.0) / 5.0) if share > _MOST else 0.0


def _earlier(axis: Axes, runs: Sequence[Sequence[float | None]], scale: float) -> None:
    for quantiles in runs:
        if len(quantiles) != len(SHARES):
            continue
        known = [
            (scale * value, 100 * share)
            for value, share in zip(quantiles, SHARES, strict=True)
            if value is not None
        ]
        axis.step([x for x, _ in known], [y for _, y in known], where="post", color=MUTED,
                  linewidth=0.8, alpha=0.7)  # fmt: skip


def _ecdf(axis: Axes, samples: Samples, right: float, scale: float) -> float:
    """Draw the distribution; how many percent of the samples never came."""
    values = np.sort(samples.values)
    share = 100.0 * np.arange(1, len(values) + 1) / len(values)
    finite = np.isfinite(values)
    x, y = thin(values[finite] * scale, share[finite])
    x, y = (
        np.concatenate([[0.0, x[0]], x, [right * scale]]),
        np.concatenate([[0.0, 0.0], y, y[-1:]]),
    )
    axis.fill_between(x, y, step="post", color=SERIES[0], alpha=0.12, linewidth=0)
    axis.step(x, y, where="post", color=SERIES[0])
    return 100.0 - float(y[-1])
