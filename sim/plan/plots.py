"""The plots of a plan: cost against the gate, sensitivity, staffing over the day."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from reports import svg
from reports.svg import Plot
from scenarios.load import OpenLoad
from sim.arrivals import expected
from sim.meter import STATES
from sim.model import Floats
from sim.plan.answer import Answer
from sim.plan.evaluate import Candidate

_STAFFING_DAYS = 8


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
                label="chosen",
            )
        axis.axhline(gate.limit, color=svg.LIMIT, linewidth=1)
        axis.set_xlabel(f"cost, {found.evaluator.unit}", **svg.AXIS)
        axis.set_ylabel(f"{gate.metric} {gate.stat}", **svg.AXIS)
        axis.set_yscale("symlog", linthresh=max(gate.limit, 1e-9))
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
    best = answer.found.best
    assert best is not None
    evaluator = answer.found.evaluator
    index = _hardest(answer, [one for one in answer.found.searched if one.days])
    gate = evaluator.gates[index]
    panels = [
        (
            f"cost, {evaluator.unit}",
            best.cost.mean,
            [(one.low_cost, one.high_cost) for one in answer.sensitivities],
        ),
        (
            f"{gate.metric} {gate.stat}",
            best.gate(index).mean,
            [(one.low_values[index], one.high_values[index]) for one in answer.sensitivities],
        ),
    ]
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(svg.WIDTH_IN, 2.4), layout="constrained")
        axes = figure.subplots(1, 2)
        for axis, (label, middle, pairs) in zip(axes, panels, strict=True):
            for row, ends in enumerate(pairs):
                for end, colour in zip(ends, (svg.SERIES[0], svg.SERIES[1]), strict=True):
                    if math.isfinite(end):
                        axis.barh(row, end - middle, left=middle, color=colour, height=0.6)
            axis.axvline(middle, color=svg.MUTED, linewidth=0.8)
            axis.set_yticks(range(len(pairs)), [one.name for one in answer.sensitivities])
            axis.set_xlabel(label, **svg.AXIS)
        axes[1].axvline(gate.limit, color=svg.LIMIT, linewidth=1)
        return svg.plot(
            figure,
            "sensitivity",
            "A quarter less (blue) and more (orange)",
            "How cost and gate of the chosen policy change when boot time, arrivals, session "
            "length or failures are a quarter less or more.",
        )


def _staffing(answer: Answer, best: Candidate) -> Plot:
    """Workers by state over the day, their mean over some days."""
    evaluator = answer.found.evaluator
    case = evaluator.case
    days = [evaluator.simulate(best.policy, day) for day in range(_STAFFING_DAYS)]
    widths = np.diff(case.edges_us)
    areas = np.mean([day.pools[evaluator.pool].areas for day in days], axis=0)
    counts: Floats = areas / widths[:, np.newaxis]
    at_s: Floats = case.edges_us[:-1] / 1e6
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(svg.WIDTH_IN, 3.2), layout="constrained")
        axis = figure.subplots()
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
        load = case.scenario.load
        if isinstance(load, OpenLoad) and load.arrivals.trace is None:
            rate = np.diff(expected(load, case.edges_us / 1e6)) / (widths / 1e6) * 60
            other = axis.twinx()
            other.plot(at_s, rate, color=svg.FOREGROUND, linewidth=1)
            other.set_ylabel("arrivals per minute", **svg.AXIS)
            other.grid(visible=False)
            other.set_ylim(bottom=0)
        svg.time_axis(axis, case.end_s)
        axis.set_ylabel("workers", **svg.AXIS)
        axis.legend(loc="upper left")
        return svg.plot(
            figure,
            "staffing",
            "Workers over the day",
            "Workers of the chosen policy by state over the day, and the arrivals.",
        )
