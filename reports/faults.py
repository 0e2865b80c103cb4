"""Faults of a run and what viewers noticed of them.

Whoever injects a fault writes one row of ``events`` for it::

    event    fault.<kind>
    t_us     when it began
    node     what was hit, e.g. a worker's id
    value    seconds until that was whole again, where the injector knows; else null
    attrs    {"target": as the scenario says, "for_s": how long it was to last}

What viewers noticed is read from their own seconds: of those who had pictures
when the fault began, who then had none for STALL_S or longer, and when the last
of them had pictures again. It is as coarse as the rows, one second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.attributes import attributes
from reports.rundir import RunReader
from reports.samples import Floats
from scenarios.quantities import render
from system.protocol.records import EventRow

PREFIX = "fault."
STALL_S = 1.5
WATCHED_S = 60.0
"""Who has no pictures by then counts as lost, as does who leaves without."""


@dataclass(frozen=True)
class Fault:
    """A fault: what was hit when, and how many viewers were hit and lost.

    ``whole_s`` is what the injector saw; ``recovery_s`` is when the last of the
    stalled viewers had pictures again, None where none of them had.
    """

    kind: str
    at_s: float
    node: str
    for_s: float
    whole_s: float | None
    viewers: int
    stalled: int
    lost: int
    recovery_s: float | None

    @property
    def told(self) -> tuple[str, str, str]:
        """What was hit, what viewers noticed, and when they had pictures again."""
        noticed = f"{self.stalled} of {self.viewers} stalled"
        if self.lost:
            noticed += f", {self.lost} for good"
        again = "–" if self.recovery_s is None else render(self.recovery_s, "s")
        if not self.stalled:
            again = "nobody noticed"
        if self.whole_s is not None:
            again += f"; whole after {render(self.whole_s, 's')}"
        return self.node, noticed, again


def fault_row(
    kind: str,
    at_s: float,
    node: str,
    *,
    target: str = "",
    for_s: float = 0.0,
    whole_s: float | None = None,
) -> EventRow:
    """Build the row of a fault; ``at_s`` counts from the start of the run."""
    return EventRow(
        t_us=round(at_s * 1e6),
        source="loadtest",
        node=node,
        session_id="",
        stage="",
        event=PREFIX + kind,
        value=whole_s,
        unit="s",
        attrs=json.dumps({"target": target, "for_s": for_s}),
    )


def faults(run: RunReader) -> list[Fault]:
    """List the faults of a run in order of time."""
    names = [name for name in run.event_names if name.startswith(PREFIX)]
    if not names:
        return []
    rows = pd.concat([run.rows(name) for name in names]).sort_values("t_us", kind="stable")
    starts = [*(rows["t_us"].to_numpy(dtype=np.float64) / 1e6), run.spans[-1].end_s]
    return [
        _fault(run, row, at_s, max(until_s, at_s))
        for (_, row), at_s, until_s in zip(rows.iterrows(), starts[:-1], starts[1:], strict=True)
    ]


def _fault(run: RunReader, row: pd.Series[str], at_s: float, until_s: float) -> Fault:
    attrs = attributes(row["attrs"])
    for_s = attrs.get("for_s")
    whole = float(row["value"])
    viewers, ends = _stalls(run, at_s, min(until_s, at_s + WATCHED_S))
    back = [end for end in ends if end is not None]
    return Fault(
        kind=str(row["event"]).removeprefix(PREFIX),
        at_s=at_s,
        node=str(row["node"]),
        for_s=float(for_s) if isinstance(for_s, int | float) else 0.0,
        whole_s=None if np.isnan(whole) else whole,
        viewers=viewers,
        stalled=len(ends),
        lost=len(ends) - len(back),
        recovery_s=max(back) - at_s if back else None,
    )


def _stalls(run: RunReader, at_s: float, until_s: float) -> tuple[int, list[float | None]]:
    """Count who had pictures at ``at_s``, and when each of those who stalled had them again."""
    samples = run.samples
    t_s = samples["t_us"].to_numpy(dtype=np.float64) / 1e6
    near = (t_s > at_s - STALL_S) & (t_s < until_s)
    rows = samples[near].assign(t_s=t_s[near])
    seen = rows[(rows["t_s"] <= at_s) & (rows["frames_received"] > 0)]["session_id"].unique()
    broken = run.rows("session.interrupted")
    interrupted = set(broken[broken["value"] == 1.0]["session_id"])
    ends = []
    for name, mine in rows[rows["session_id"].isin(set(seen))].groupby("session_id", observed=True):
        with_frames = mine[mine["frames_received"] > 0]
        stalled, end_s = _stall(
            with_frames["t_s"].to_numpy(dtype=np.float64),
            with_frames["duration_s"].to_numpy(dtype=np.float64),
            float((mine["t_s"] + mine["duration_s"]).max()),
            gone=name in interrupted,
        )
        if stalled:
            ends.append(end_s)
    return len(seen), ends


def _stall(
    t_s: Floats, duration_s: Floats, last_s: float, *, gone: bool
) -> tuple[bool, float | None]:
    """Say whether a viewer stalled, and when its pictures came back; its rows end at ``last_s``."""
    ends_s = t_s + duration_s
    gaps = t_s[1:] - ends_s[:-1]
    long = np.flatnonzero(gaps >= STALL_S)
    if last_s - float(ends_s[-1]) >= STALL_S or gone:
        return True, None
    return (True, float(t_s[long[-1] + 1])) if len(long) else (False, None)
