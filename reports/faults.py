"""Faults of a run and what viewers noticed of them.

Whoever injects a fault writes one row of ``events`` for it::

    event    fault.<kind>
    t_us     when it began
    node     what was hit, e.g. a worker's id
    value    seconds until that was whole again, where the injector knows; else null
    attrs    {"target": as the scenario says, "for_s": how long it was to last}

What viewers noticed is read from their own rows: of those who had pictures when
the fault began, who was moved to another worker, who then had no picture for
STALL_S or longer, and when the last of them had pictures again, which is as
coarse as the rows, one second. How long the picture of any of them stood still
is measured by the frame.
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
WENT_ON = "media_stopped"
"""Why a session counts as interrupted that had pictures again afterwards."""
WATCHED_S = 60.0
"""Who has no pictures by then counts as lost, as does who leaves without."""


@dataclass(frozen=True)
class Fault:
    """A fault: what was hit when, and how many viewers were moved, stalled and lost.

    ``whole_s`` is what the injector saw; ``recovery_s`` is when the last of the
    stalled viewers had pictures again, None where none of them had; ``freeze_s``
    is the longest that a picture stood still of those who were moved or stalled.
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
    moved: int = 0
    freeze_s: float = 0.0

    @property
    def told(self) -> tuple[str, str, str]:
        """What was hit, what viewers noticed, and when they had pictures again."""
        noticed = f"{self.stalled} of {self.viewers} stalled"
        if self.lost:
            noticed += f", {self.lost} for good"
        if self.moved:
            noticed += f", {self.moved} moved to another worker"
        again = []
        if not self.stalled and not self.freeze_s:
            again.append("nobody noticed")
        if self.stalled:
            again.append("never" if self.recovery_s is None else render(self.recovery_s, "s"))
        if self.freeze_s:
            again.append(f"longest freeze {render(self.freeze_s, 's')}")
        if self.whole_s is not None:
            again.append(f"whole after {render(self.whole_s, 's')}")
        return self.node, noticed, "; ".join(again)


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
    until_s = min(until_s, at_s + WATCHED_S)
    seen, ends = _stalls(run, at_s, until_s)
    moved = _moved(run, at_s, until_s) & seen
    back = [end for end in ends.values() if end is not None]
    return Fault(
        kind=str(row["event"]).removeprefix(PREFIX),
        at_s=at_s,
        node=str(row["node"]),
        for_s=float(for_s) if isinstance(for_s, int | float) else 0.0,
        whole_s=None if np.isnan(whole) else whole,
        viewers=len(seen),
        stalled=len(ends),
        lost=len(ends) - len(back),
        recovery_s=max(back) - at_s if back else None,
        moved=len(moved),
        freeze_s=_longest_freeze(run, moved | set(ends), at_s, until_s),
    )


def _moved(run: RunReader, at_s: float, until_s: float) -> set[str]:
    """Who was given another worker."""
    rows = run.rows("session.worker_replaced")
    t_s = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    return set(rows[(t_s >= at_s) & (t_s < until_s)]["session_id"])


def _longest_freeze(run: RunReader, names: set[str], at_s: float, until_s: float) -> float:
    """The longest of the first freezes that viewers had after ``at_s``; 0 where none had any."""
    samples = run.samples
    t_s = samples["t_us"].to_numpy(dtype=np.float64) / 1e6
    near = (t_s + samples["duration_s"].to_numpy(dtype=np.float64) > at_s) & (t_s < until_s)
    rows = samples[near & (samples["freeze_s"] > 0).to_numpy() & samples["session_id"].isin(names)]
    first = rows.sort_values("t_us").groupby("session_id", observed=True)["freeze_s"].first()
    return float(first.max()) if len(first) else 0.0


def _stalls(
    run: RunReader, at_s: float, until_s: float
) -> tuple[set[str], dict[str, float | None]]:
    """Find who had pictures at ``at_s``, and when each of those who stalled had them again."""
    samples = run.samples
    t_s = samples["t_us"].to_numpy(dtype=np.float64) / 1e6
    near = (t_s > at_s - STALL_S) & (t_s < until_s)
    rows = samples[near].assign(t_s=t_s[near])
    seen = rows[(rows["t_s"] <= at_s) & (rows["frames_received"] > 0)]["session_id"].unique()
    broken = run.rows("session.interrupted")
    broken = broken[broken["value"] == 1.0]
    ended = [attributes(text).get("code") != WENT_ON for text in broken["attrs"]]
    interrupted = set(broken.loc[np.array(ended, dtype=np.bool_), "session_id"])
    ends: dict[str, float | None] = {}
    for name, mine in rows[rows["session_id"].isin(set(seen))].groupby("session_id", observed=True):
        with_frames = mine[mine["frames_received"] > 0]
        stalled, end_s = _stall(
            with_frames["t_s"].to_numpy(dtype=np.float64),
            with_frames["duration_s"].to_numpy(dtype=np.float64),
            float((mine["t_s"] + mine["duration_s"]).max()),
            gone=name in interrupted,
        )
        if stalled:
            ends[str(name)] = end_s
    return set(seen), ends


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
