"""Judges whether a measured run can be trusted, by the load generator's own state.

Only processes of the generator (roles ``locust`` and ``helper``) are judged: a
target that is slow, even on the same machine, is a result; a generator that is
slow is a broken instrument.

The rows give the worst event-loop lag of each second, out of ``PROBES_PER_S``
probes. A second's worst stays below x with the probability that all its probes
do, so the p99 of the probes is the ``0.99 ** PROBES_PER_S`` quantile (0.82) of
the seconds' worst: one garbage collection does not decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.evidence import GateResult
from reports.rundir import UNFINISHED, RunReader
from reports.samples import Floats, Samples, stage_codes
from reports.verdict import GateVerdict
from scenarios import schedule
from scenarios.errors import ScenarioError
from scenarios.load import OpenLoad
from scenarios.quantities import render

CPU_MAX = 0.85
LAG_MAX_S = 0.020
LAG_SHARE_OF_GATE = 0.1
PROBES_PER_S = 20
LATE_AFTER_S = 0.1
"""A session that starts so long after its scheduled arrival is late."""
LATE_MAX = 0.01
CUT_SHORT_S = 5.0
"""An arrival this near to the end may be cut short before it leaves a row."""
GENERATOR = ("locust", "helper")


@dataclass(frozen=True)
class Check:
    """One condition of validity: what was found, what is allowed, and whether it holds."""

    id: str
    text: str
    value: float | None
    limit: float
    unit: str
    ok: bool
    reason: str = ""

    @property
    def shown(self) -> str:
        return "not known" if self.value is None else render(self.value, self.unit)

    @property
    def shown_limit(self) -> str:
        return render(self.limit, self.unit)


def judge(run: RunReader, samples: dict[str, Samples], gates: Sequence[GateResult]) -> list[Check]:
    """Judge a run; an empty list for a simulated one, which has no generator."""
    if run.info.kind == "simulated":
        return []
    spans = run.spans
    rows = run.system[run.system["role"].isin(GENERATOR)]
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    measured = [index for index, span in enumerate(spans) if span.measured]
    during = rows[np.isin(stage_codes(t_s, spans), measured)]
    if during.empty:
        silent = Check(
            "generator", "generator reports on itself", None, 0, "count", False,
            "the load generator did not report on itself",
        )  # fmt: skip
        return [silent, *_problems(run)]
    cores = float(run.info.machine.get("cores") or 1)
    seconds = (during["t_us"] // 1_000_000).rename("second")
    used = during.groupby([seconds, "node"], observed=True)["cpu"].mean()
    each = used.groupby(level=0).sum().to_numpy(dtype=np.float64)
    cpu = None if used.isna().any() else float(np.quantile(each, 0.95)) / cores
    lag_s = _lag_s(during)
    lag_limit = lag_limit_s(gates, lag_s or 0.0)
    drops = float(rows["udp_drops"].fillna(0).sum())
    late = _late_ratio(run, samples, spans)
    return [
        Check(
            "cpu", f"generator CPU, p95 of the seconds, of {cores:g} cores",
            cpu, CPU_MAX, "ratio", cpu is not None and cpu <= CPU_MAX,
            "the generator's use of its cores is not known" if cpu is None
            else f"the generator used {cpu:.0%} of its cores",
        ),
        Check(
            "loop_lag", "generator event-loop lag p99", lag_s, lag_limit, "s",
            lag_s is not None and lag_s <= lag_limit,
            "the generator's event-loop lag is not known" if lag_s is None
            else f"the generator's event loop lagged by {render(lag_s, 's')}",
        ),
        Check(
            "late", f"arrivals more than {render(LATE_AFTER_S, 's')} late", late, LATE_MAX, "ratio",
            late is None or late <= LATE_MAX,
            "" if late is None else f"{late:.1%} of the arrivals were late or never started",
        ),
        Check(
            "udp_drops", "datagrams dropped by the generator's sockets", drops, 0, "count",
            drops == 0, f"the generator's sockets dropped {drops:.0f} datagrams",
        ),
        *_problems(run),
    ]  # fmt: skip


def lag_limit_s(gates: Sequence[GateResult], lag_s: float) -> float:
    """A tenth of the tightest latency gate, 20 ms without one.

    A gate that failed by more than the lag is left out: no lag explains it, and
    a limit that nothing can meet is to fail the run, not to invalidate it.
    """
    limits = [
        result.gate.limit * LAG_SHARE_OF_GATE
        for result in gates
        if result.gate.kind == "limit"
        and result.gate.unit == "s"
        and result.gate.op == "<="
        and result.gate.limit > 0
        and not _failed_anyway(result, lag_s)
    ]
    return min(limits, default=LAG_MAX_S)


def _failed_anyway(result: GateResult, lag_s: float) -> bool:
    if result.verdict is not GateVerdict.FAIL or result.value is None:
        return False
    return result.value - lag_s > result.gate.limit


def _lag_s(rows: pd.DataFrame) -> float | None:
    """The worst process's lag; None where a helper did not say. Locust has no asyncio loop."""
    lags = rows.groupby(["role", "node"], observed=True)["loop_lag_s"].quantile(0.99**PROBES_PER_S)
    helpers = lags[lags.index.get_level_values("role") == "helper"]
    if lags.isna().all() or helpers.isna().any():
        return None
    return float(lags.max())


def _late_ratio(
    run: RunReader, samples: dict[str, Samples], spans: Sequence[schedule.StageSpan]
) -> float | None:
    """Share of arrivals that started late or, in an open load, never."""
    delays = samples.get("session.join.schedule")
    started = 0
    late = 0
    if delays is not None:
        kept = delays.during(spans)
        started = len(kept.values)
        late = int((kept.values > LATE_AFTER_S).sum())
    expected = started
    due_s = _due_s(run, spans)
    if due_s is not None:
        measured = {span.name for span in spans if span.measured}
        rows = run.events[run.events["stage"].isin(measured) & (run.events["session_id"] != "")]
        first_s = rows.groupby("session_id", observed=True)["t_us"].min() / 1e6
        end_s = spans[-1].end_s if run.info.aborted is None else run.info.aborted.at_s
        last_s = end_s - CUT_SHORT_S
        due_s = due_s[due_s < end_s]
        excused = max(int((due_s > last_s).sum()) - int((first_s > last_s).sum()), 0)
        started = len(first_s)
        expected = max(len(due_s) - excused, started)
    if not expected:
        return None
    return (late + max(expected - started, 0)) / expected


def _due_s(run: RunReader, spans: Sequence[schedule.StageSpan]) -> Floats | None:
    """When sessions were due in measured stages; None where nobody can say."""
    if not isinstance(run.scenario.load, OpenLoad):
        return None
    measured = {span.name for span in spans if span.measured}
    try:
        arrivals = schedule.arrivals(run.scenario)
    except ScenarioError:  # its trace is not here
        return None
    return np.array([arrival.at_s for arrival in arrivals if arrival.stage in measured])


def _problems(run: RunReader) -> list[Check]:
    found = [*run.info.problems, *([UNFINISHED] if run.unfinished else [])]
    return [Check("problem", text, None, 0, "count", False, text) for text in found]
