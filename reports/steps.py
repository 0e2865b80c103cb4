"""The steps of a capacity search, as whoever searches writes them into ``events``.

One row per step that was begun, written when it is over::

    event    capacity.step
    stage    viewers-<users>
    t_us     when what is judged of the step began (viewers had joined)
    value    concurrent viewers
    attrs    {"for_s": seconds judged, "outcome": "held" | "broke",
              "gate": id of the gate that failed, "reason": a line,
              "component": whose it was, where the searcher could see it}

Of a step that held, ``gate``, ``reason`` and ``component`` are absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd

from reports.attributes import attributes
from scenarios.schedule import StageSpan
from system.protocol.records import EventRow

EVENT = "capacity.step"


@dataclass(frozen=True)
class Step:
    """One step: so many viewers for so long, and whether every gate was kept."""

    users: int
    from_s: float
    to_s: float
    held: bool
    gate: str = ""
    reason: str = ""
    component: str = ""

    @property
    def stage(self) -> str:
        return f"viewers-{self.users}"

    def row(self, node: str) -> EventRow:
        """Build the row that says so."""
        attrs = {"for_s": self.to_s - self.from_s, "outcome": "held" if self.held else "broke"}
        if not self.held:
            attrs |= {"gate": self.gate, "reason": self.reason, "component": self.component}
        return EventRow(
            t_us=round(self.from_s * 1e6),
            source="loadtest",
            node=node,
            session_id="",
            stage=self.stage,
            event=EVENT,
            value=float(self.users),
            unit="count",
            attrs=json.dumps(attrs),
        )


def read_steps(rows: pd.DataFrame) -> list[Step]:
    """Read the steps in order of time; rows that say too little are left out."""
    steps = []
    for t_us, users, text in zip(rows["t_us"], rows["value"], rows["attrs"], strict=True):
        attrs = attributes(text)
        for_s = attrs.get("for_s")
        if not isinstance(for_s, int | float) or not users > 0:
            continue
        from_s = t_us / 1e6
        steps.append(
            Step(
                users=int(users),
                from_s=from_s,
                to_s=from_s + float(for_s),
                held=attrs.get("outcome") == "held",
                gate=str(attrs.get("gate", "")),
                reason=str(attrs.get("reason", "")),
                component=str(attrs.get("component", "")),
            )
        )
    return sorted(steps, key=lambda step: step.from_s)


def spans_of(steps: list[Step]) -> list[StageSpan]:
    """Lay the steps on the time axis: what held is measured, else the first, which broke."""
    some_held = any(step.held for step in steps)
    return [
        StageSpan(step.stage, step.from_s, step.to_s, step.held or (index == 0 and not some_held))
        for index, step in enumerate(steps)
    ]
