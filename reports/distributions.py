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
from reports.svg import AXIS, LIMIT, MUTED, SERIES, WIDTH_IN, Plot, thin
from scenarios.quantities import render

_SECONDS_FROM_S = 20.0
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
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    told = []
    for axis, name in zip(axes, panels, strict=True):
        values = assessment.stats[name].values
        _panel(axis, assessment, name)
        told.append(
            f"{TITLES[name]}: median {render(values['p50'], 's')}, p95 {render(values['p95'], 's')}"
        )
    axes[0].set_ylabel("% at or below", **AXIS)
    beside = ", beside the baseline" if assessment.history.runs else ""
    alt = f"Cumulative distributions{beside}; " + "; ".join(told) + "."
    return svg.plot(figure, "spread", "Distributions", alt)


def _panel(axis: Axes, assessment: Assessment, name: str) -> None:
    stats = assessment.stats[name]
    samples = assessment.samples[name].during(assessment.spans)
    limits = {
        gate.limit: f"gate {gate.stat} {render(gate.limit, 's')}"
        for gate in assessment.run.scenario.gates
        if gate.metric == name and gate.kind == "limit"
    }
    earlier = [run.spread[name] for run in assessment.history.runs if run.spread.get(name)]
    finite = samples.values[np.isfinite(samples.values)]
    known = [value for run in earlier for value in run if value is not None]
    right = max([float(finite.max(initial=1e-3)), *known, *limits]) * 1.06
    scale, unit = (1e3, "milliseconds") if right < _SECONDS_FROM_S else (1.0, "seconds")
    _earlier(axis, earlier, scale)
    _ecdf(axis, samples, right, scale)
    for limit, text in limits.items():
        axis.axvline(limit * scale, color=LIMIT, linestyle="--", linewidth=1.1, label=text)
    for stat, colour in (("p50", SERIES[1]), ("p95", SERIES[3])):
        value = stats.values[stat]
        if math.isfinite(value):
            label = f"{stat} {render(value, 's')}"
            axis.plot(
                [value * scale], [int(stat[1:])], "o", markersize=5, color=colour, label=label
            )
    axis.set_title(TITLES[name])
    axis.set_xlabel(unit, **AXIS)
    axis.set_xlim(0, right * scale)
    axis.set_ylim(0, 101)
    axis.legend(loc="lower right", bbox_to_anchor=(0.92, 0.02))


def _earlier(axis: Axes, runs: Sequence[Sequence[float | None]], scale: float) -> None:
    for number, quantiles in enumerate(runs):
        if len(quantiles) != len(SHARES):
            continue
        known = [
            (scale * value, 100 * share)
            for value, share in zip(quantiles, SHARES, strict=True)
            if value is not None
        ]
        label = f"{len(runs)} baseline run{'' if len(runs) == 1 else 's'}"
        axis.step([x for x, _ in known], [y for _, y in known], where="post", color=MUTED,
                  linewidth=0.8, alpha=0.7, label=None if number else label)  # fmt: skip


def _ecdf(axis: Axes, samples: Samples, right: float, scale: float) -> None:
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
    missing = 100.0 - float(y[-1])
    if missing > 0.05:
        axis.set_title(f"{missing:.1f} % never came", loc="right", color=LIMIT, weight="normal")
