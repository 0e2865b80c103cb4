"""The plots of a plan: cost against the gate, sensitivity, staffing over the day."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports import svg
from reports.svg import Plot
from scenarios.quantities import render
from sim import figures
from sim.meter import STATES
from sim.model import Floats
from sim.plan.answer import Answer
from sim.plan.evaluate import Candidate, Evaluator
from sim.plan.space import mean_load
from sim.plan.wording import clock
from sim.run import Replication

_STAFFING_DAYS = 8
_WAIT_PARTS = 48


def plots(answer: Answer) -> list[Plot]:
    """Those for which there is something to show."""
    made = [_frontier(answer)]
    if answer.sensitivities:
        made.append(_tornado(answer))
    if answer.found.best is not None:
        made.append(_staffing(answer, answer.found.best))
    return [plot for plot in made if plot is not None]


def _frontier(answer: Answer) -> Plot | None:
    """Every candidate that was looked at: cost, and the gate that is hardest to keep."""
    found = answer.found
    looked = [one for one in found.searched if one.days]
    if not looked:
        return None
    index = _hardest(answer, looked)
    gate = found.evaluator.gates[index]
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(svg.WIDTH_IN, 3.6), layout="constrained")
        axis = figure.subplots()
        kinds = list(dict.fromkeys(one.kind for one in looked))
        for number, kind in enumerate(kinds):
            group = [one for one in looked if one.kind == kind]
            values = [one.gate(index).mean for one in group]
            shown = [value if math.isfinite(value) else np.nan for value in values]
            colour = svg.SERIES[number % len(svg.SERIES)]
            costs = [one.cost.mean for one in group]
            axis.plot(costs, shown, "o", color=colour, markersize=3, label=kind)
        best = found.best
        if best is not None:
            axis.plot(
                [best.cost.mean],
                [best.gate(index).mean],
                "o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=svg.FOREGROUND,
                label="chosen, on fresh days",
            )
        axis.axhline(
            gate.limit,
            color=svg.LIMIT,
            linewidth=1,
            label=f"limit {gate.op} {render(gate.limit, gate.unit)}",
        )
        axis.set_xlabel(f"cost, {found.evaluator.unit}", **svg.AXIS)
        axis.set_ylabel(f"{gate.metric}, {gate.stat}", **svg.AXIS)
        axis.set_yscale("symlog", linthresh=max(gate.limit, 1e-9))
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(_in_unit(gate.unit))
        axis.legend(ncols=2)
        return svg.plot(
            figure,
            "frontier",
            "Cost against the gate",
            f"Cost of every candidate against its {gate.metric} {gate.stat}; "
            f"the limit of the gate is a line.",
        )


def _hardest(answer: Answer, looked: list[Candidate]) -> int:
    """The gate that most candidates break."""
    evaluator = answer.found.evaluator
    broken = [
        sum(evaluator.margin(index, one.gate(index).mean) < 0 for one in looked)
        for index in range(len(evaluator.gates))
    ]
    return int(np.argmax(broken))


def _tornado(answer: Answer) -> Plot:
    """Two bars a row: a quarter less above, a quarter more below."""
    best = answer.found.best
    assert best is not None
    evaluator = answer.found.evaluator
    index = _hardest(answer, [one for one in answer.found.searched if one.days])
    gate = evaluator.gates[index]
    rows = answer.sensitivities
    panels = [
        (
            f"cost, {evaluator.unit}",
            rows[0].cost,
            [(one.low_cost, one.high_cost) for one in rows],
        ),
        (
            f"{gate.metric}, {gate.stat}",
            rows[0].values[index],
            [(one.low_values[index], one.high_values[index]) for one in rows],
        ),
    ]
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(svg.WIDTH_IN, 0.9 + 0.5 * len(rows)), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, (label, middle, pairs) in zip(axes, panels, strict=True):
            for place, (end, colour, name) in enumerate(
                ((0, svg.SERIES[0], "a quarter less"), (1, svg.SERIES[1], "a quarter more"))
            ):
                widths = [pair[end] - middle for pair in pairs]
                axis.barh(
                    np.arange(len(pairs)) + 0.2 - 0.4 * place,
                    [width if math.isfinite(width) else 0.0 for width in widths],
                    left=middle,
                    color=colour,
                    height=0.36,
                    label=name,
                )
            axis.axvline(middle, color=svg.MUTED, linewidth=0.8)
            axis.set_yticks(range(len(pairs)), [one.name for one in rows])
            axis.set_xlabel(label, **svg.AXIS)
            axis.grid(visible=False)
        axes[1].axvline(gate.limit, color=svg.LIMIT, linewidth=1, label="limit")
        axes[1].xaxis.set_major_locator(MaxNLocator(5))
        axes[1].xaxis.set_major_formatter(_in_unit(gate.unit))
        handles, labels = axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=3)
        return svg.plot(
            figure,
            "sensitivity",
            "What if it were a quarter less, or more?",
            "How cost and gate of the chosen policy change when boot time, arrivals, session "
            "length or failures are a quarter less or more.",
        )


def _in_unit(unit: str) -> FuncFormatter:
    return FuncFormatter(lambda value, _: render(value, unit))


def _staffing(answer: Answer, best: Candidate) -> Plot:
    """Workers by state, demand and waits over the day: means over some fresh days."""
    evaluator = answer.found.evaluator
    case = evaluator.case
    days = [evaluator.simulate(best.policy, day) for day in range(_STAFFING_DAYS)]
    widths = np.diff(case.edges_us)
    areas = np.mean([day.pools[evaluator.pool].areas for day in days], axis=0)
    counts: Floats = areas / widths[:, np.newaxis]
    at_s: Floats = case.edges_us[:-1] / 1e6
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(svg.WIDTH_IN, 4.6), layout="constrained")
        axis, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        order = [STATES.index(state) for state in ("busy", "ready", "booting", "stopped")]
        used = [index for index in order if counts[:, index].max() > 0]
        axis.stackplot(
            at_s,
            *(counts[:, index] for index in used),
            labels=[STATES[index] for index in used],
            colors=[svg.SERIES[number] for number in range(len(used))],
            alpha=0.85,
            linewidth=0,
        )
        demand = mean_load(evaluator)
        axis.plot(
            np.linspace(0.0, case.end_s, len(demand)),
            demand,
            color=svg.FOREGROUND,
            linewidth=1.2,
            label="demand",
        )
        axis.set_ylabel("workers", **svg.AXIS)
        axis.legend(loc="upper left", ncols=3)
        middles_s, mean_s, late_s = _waits(evaluator, days)
        below.plot(middles_s, late_s, color=svg.SERIES[3], label="95th percentile")
        below.plot(middles_s, mean_s, color=svg.SERIES[0], label="mean")
        below.set_ylim(bottom=0)
        below.set_ylabel("wait, s", **svg.AXIS)
        below.legend(loc="upper left", ncols=2)
        _clock_axis(below, case.end_s, case.scenario.sim.start_s)
        return svg.plot(
            figure,
            "staffing",
            "Staffing over the day",
            "Workers of the chosen policy by state over the day, the demand (sessions in "
            "progress if nobody ever waited, in workers), and how long those who came waited.",
        )


def _waits(evaluator: Evaluator, days: Sequence[Replication]) -> tuple[Floats, Floats, Floats]:
    """By part of the day: its middle, the mean wait and the 95th percentile, in seconds."""
    case = evaluator.case
    edges = np.linspace(0.0, case.end_s, _WAIT_PARTS + 1)
    at_s, wait_s = [], []
    for day in days:
        seen = figures.watched(case, day)
        at_s.append(day.at_us[seen] / 1e6)
        wait_s.append(day.wait_us[seen] / 1e6)
    place = np.clip(np.searchsorted(edges, np.concatenate(at_s), side="right") - 1, 0, None)
    waits = np.concatenate(wait_s)
    parts = [waits[place == part] for part in range(_WAIT_PARTS)]
    mean = np.array([part.mean() if len(part) else np.nan for part in parts])
    late = np.array([figures.statistic("p95", part) for part in parts])
    return (edges[:-1] + edges[1:]) / 2, mean, late


def _clock_axis(axis: Axes, end_s: float, start_s: float) -> None:
    """Label the time since the start; by the clock where the scenario says when it is."""
    svg.time_axis(axis, end_s)
    if start_s:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda at_s, _: clock(start_s + at_s)))
        axis.set_xlabel("time of day", **svg.AXIS)
