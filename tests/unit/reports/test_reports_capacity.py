"""Capacity searches: what was held, what broke first, and whose it is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from synthetic_run import event, process, second

from reports.assess import Assessment, assess
from reports.html import html
from reports.levels import levels
from reports.markdown import markdown
from reports.measure import measure
from reports.rundir import RunReader, RunWriter
from reports.steps import Step, read_steps
from reports.summary import summary
from reports.svg import style
from reports.verdict import Exit
from system.protocol.metrics import JOIN_PHASES

SCENARIO = """\
version: 1
name: search
load: {model: capacity, from: 2, step: 2, hold: 10s, max: 20}
pool: {policy: {kind: fixed, size: 4}}
gates:
  - {id: join, metric: session.join_time, stat: p95, "<=": 2s}
  - {id: i2f,  metric: input.to_frame,    stat: p95, "<=": 150ms}
  - {id: fps,  metric: video.fps,         stat: p50, ">=": 20/s}
"""


def step(users: int, *, held: bool = True, gate: str = "i2f") -> Step:
    from_s = 10.0 * (users / 2 - 1) + 3
    told = "" if held else gate
    reason = "" if held else f"{gate} was missed"
    return Step(users, from_s, from_s + 7, held, told, reason)


def search(path: Path, steps: list[Step], **slow: Any) -> Path:
    """Write a search; ``slow`` says what the last step suffers from."""
    path.mkdir(exist_ok=True)
    writer = RunWriter(path, SCENARIO)
    events: list[dict[str, Any]] = [dict(one.row("locust-0")) for one in steps]
    samples, system = [], []
    rng = random.Random(1)
    for number, one in enumerate(steps):
        last = number == len(steps) - 1
        for viewer in range(one.users):
            sid = f"v{viewer}"
            for t in range(10):
                at_s = one.from_s - 3 + t
                latency = (0.3 if last and "latency" in slow else 0.05) * rng.lognormvariate(0, 0.1)
                events.append(event(at_s, sid, one.stage, "input.to_frame", latency))
                rtt = 0.2 if last and "rtt" in slow else 0.03
                samples.append(second(at_s, sid, one.stage, frames_received=25, rtt_s=rtt))
            if viewer >= one.users - 2:
                phases = dict.fromkeys(JOIN_PHASES, 0.02)
                if last and "phase" in slow:
                    phases[slow["phase"]] = 3.0
                events += [event(one.from_s - 3, sid, one.stage, f"session.join.{name}", value)
                           for name, value in phases.items()]  # fmt: skip
                joined = event(one.from_s - 3, sid, one.stage, "session.join_time",
                               sum(phases.values()))  # fmt: skip
                events.append(joined)
                events.append(event(one.from_s - 3, sid, one.stage, "session.failed", 0.0))
        for t in range(10):
            at_s = one.from_s - 3 + t
            busy = slow.get("busy", "worker") if last else "worker"
            for role in ("helper", "worker", "signaling", "store"):
                system.append(process(at_s, role, cpu=0.9 if role == busy else 0.1))
    writer.write_rows("events", "x", events)
    writer.write_rows("samples", "x", samples)
    writer.write_rows("system", "x", system)
    writer.finish()
    return path


def _assess(path: Path) -> Assessment:
    return assess(RunReader(path))


def test_a_step_is_read_back_from_its_row() -> None:
    steps = [step(4, held=False), step(2)]
    rows = pd.DataFrame([one.row("x") for one in steps])
    assert read_steps(rows) == [step(2), step(4, held=False)]
    rows["attrs"] = "nonsense"
    assert read_steps(rows) == []


def test_a_search_says_what_was_held_and_what_broke_first(tmp_path: Path) -> None:
    path = search(tmp_path, [step(2), step(4), step(6), step(8, held=False)], latency=True)
    assessment = _assess(path)
    assert assessment.capacity is not None
    assert assessment.capacity.summary() == {
        "held": 6,
        "broke_at": 8,
        "first_gate": "i2f",
        "component": "worker",
    }
    assert assessment.capacity.sentence == (
        "6 viewers were held, 8 were not: gate i2f broke first; to blame: worker."
    )
    values = [level.values["i2f"] for level in assessment.capacity.levels]
    assert all(value is not None and value < 0.15 for value in values[:3])
    assert values[3] is not None
    assert values[3] > 0.15


def test_the_steps_that_held_are_what_is_judged(tmp_path: Path) -> None:
    held = _assess(search(tmp_path / "a", [step(2), step(4, held=False)], latency=True))
    assert held.verdict.code is Exit.PASS
    assert held.verdict.reason.startswith("2 viewers were held, 4 were not")
    none = _assess(search(tmp_path / "b", [step(2, held=False)], latency=True))
    assert none.verdict.code is Exit.FAIL
    assert none.capacity is not None
    assert none.capacity.summary()["held"] is None
    assert none.capacity.sentence.startswith("Not even the first step was held, 2 were not")


def test_a_search_that_reached_its_end_broke_nowhere(tmp_path: Path) -> None:
    found = _assess(search(tmp_path, [step(2), step(4)])).capacity
    assert found is not None
    assert found.summary() == {"held": 4, "broke_at": None, "first_gate": None, "component": None}


@pytest.mark.parametrize(
    ("slow", "gate", "component"),
    [
        ({"phase": "queue"}, "join", "pool"),
        ({"phase": "allocate"}, "join", "orchestrator"),
        ({"phase": "ws"}, "join", "signaling"),
        ({"latency": True, "busy": "store"}, "i2f", "store"),
        ({"latency": True, "rtt": True}, "i2f", "network"),
    ],
)
def test_a_gate_points_to_a_component(
    tmp_path: Path, slow: dict[str, Any], gate: str, component: str
) -> None:
    found = _assess(search(tmp_path, [step(2), step(4, held=False, gate=gate)], **slow)).capacity
    assert found is not None
    assert (found.first_gate, found.component) == (gate, component)


def test_a_gate_that_was_not_named_is_found_in_the_rows(tmp_path: Path) -> None:
    steps = [step(2), step(4, held=False, gate="")]
    found = _assess(search(tmp_path, steps, latency=True)).capacity
    assert found is not None
    assert found.first_gate == "i2f"


def test_the_report_shows_every_gate_by_number_of_viewers(tmp_path: Path) -> None:
    path = search(tmp_path, [step(2), step(4), step(6, held=False)], latency=True)
    assessment = _assess(path)
    with mpl.rc_context(style()):
        drawn = levels(assessment)
    assert drawn is not None
    assert drawn.alt == "Figures of 3 gates against concurrent viewers; 4 were held, 6 not."
    assert summary(assessment)["capacity"]["held"] == 4
    page = html(assessment, [drawn])
    assert "<h2>Capacity</h2>" in page
    assert "<h2>Gates by number of viewers</h2>" in page
    assert "4 viewers were held, 6 were not" in markdown(assessment)


def test_a_search_that_did_not_finish_a_step_still_gets_a_page(tmp_path: Path) -> None:
    assessment = _assess(search(tmp_path, []))
    assert assessment.verdict.code is Exit.INVALID
    assert "did not finish a step" in html(assessment, [])
    assert "did not finish a step" in markdown(assessment)


def test_time_frozen_counts_in_the_step_in_which_it_froze(tmp_path: Path) -> None:
    run = search(tmp_path / "run", [step(2), step(4, held=False)])
    samples = pd.read_parquet(run / "samples.parquet")
    late = (samples["session_id"] == "v0") & (samples["t_us"] >= 13e6)
    samples.loc[late, "freeze_s"] = 0.25
    samples.to_parquet(run / "samples.parquet")
    found = measure(RunReader(run))["video.freeze_ratio"]
    assert found.values[found.stages == 0].tolist() == [0.0, 0.0]
    assert sorted(found.values[found.stages == 1]) == [0.0, 0.0, 0.0, 0.25]
