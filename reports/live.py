"""Judges limits while a run is in progress, from figures as they come. Pure: no clock, no I/O.

Whoever runs the load feeds it: a sample at a time, or a session's histogram
when it ends. It says when an ``abort`` gate must end the run, and which gate
the present step of a capacity search misses. The verdict is taken from the
rows afterwards; histograms are within 1 % of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.gates import keeps
from reports.runinfo import Aborted
from scenarios.gates import Gate
from scenarios.quantities import render
from scenarios.schedule import StageSpan, stage_at
from system.client.histogram import LogHistogram


class LiveGates:
    """Running figures of every metric that a limit looks at, by stage."""

    def __init__(self, gates: Sequence[Gate], spans: Sequence[StageSpan]) -> None:
        self._gates = [gate for gate in gates if gate.kind == "limit"]
        self._metrics = {gate.metric for gate in self._gates}
        self._spans = list(spans)
        self._found: dict[tuple[str, str], LogHistogram] = {}

    def add(self, metric: str, value: float | None, at_s: float) -> None:
        """Take a sample of the stage at ``at_s``; None is one that never came."""
        if metric not in self._metrics:
            return
        histogram = self._of(metric, at_s)
        if value is None:
            histogram.add_censored()
        elif math.isfinite(value):
            histogram.add(value)

    def merge(self, metric: str, samples: LogHistogram, at_s: float) -> None:
        """Take many samples of the stage at ``at_s``."""
        if metric in self._metrics:
            self._of(metric, at_s).merge(samples)

    def value(self, gate: Gate, stage: str | None = None) -> float | None:
        """The gate's statistic now, over ``stage`` or all measured ones; None without a sample."""
        wanted = stage if stage is not None else gate.during
        merged = LogHistogram()
        for span in self._spans:
            if span.name == wanted or (wanted is None and span.measured):
                part = self._found.get((gate.metric, span.name))
                if part is not None:
                    merged.merge(part)
        return statistic(merged, gate.stat)

    def aborted(self, now_s: float) -> Aborted | None:
        """Say which ``abort`` gate ends the run at ``now_s``, and why; None goes on.

        None does in the first ``after`` of measured time, or of the gate's own stage.
        """
        for gate in self._gates:
            if gate.abort is None or self._judged_s(gate, now_s) < gate.abort.after_s:
                continue
            found = self.value(gate)
            if found is not None and not keeps(gate, found):
                return Aborted(gate.id, now_s, self._reason(gate, found))
        return None

    def missed(self, stage: str) -> tuple[Gate, str] | None:
        """The first gate that ``stage`` misses by itself, and a line on it; None where none is."""
        for gate in self._gates:
            found = self.value(gate, stage)
            if found is not None and not keeps(gate, found):
                return gate, self._reason(gate, found)
        return None

    def _of(self, metric: str, at_s: float) -> LogHistogram:
        key = (metric, stage_at(self._spans, at_s))
        return self._found.setdefault(key, LogHistogram())

    def _judged_s(self, gate: Gate, now_s: float) -> float:
        return sum(
            max(0.0, min(now_s, span.end_s) - span.start_s)
            for span in self._spans
            if (span.name == gate.during if gate.during is not None else span.measured)
        )

    def _reason(self, gate: Gate, found: float) -> str:
        sign = ">" if gate.op == "<=" else "<"
        what = f"{gate.metric} {gate.stat}"
        return f"{what} {render(found, gate.unit)} {sign} {render(gate.limit, gate.unit)}"


def statistic(histogram: LogHistogram, stat: str) -> float | None:
    """A statistic of a histogram; infinite among samples that never came, None without any."""
    if not histogram.n + histogram.censored:
        return None
    if stat == "mean":
        return histogram.total / histogram.n if histogram.n else math.inf
    if stat == "min":
        return histogram.minimum
    if stat == "max":
        return math.inf if histogram.censored else histogram.maximum
    return histogram.quantile(int(stat[1:]) / 100.0)
