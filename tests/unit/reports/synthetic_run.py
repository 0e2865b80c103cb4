"""Synthetic run directories: rows as a load test writes them, from a seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.rundir import RunWriter, new_run_dir
from scenarios import schedule
from system.protocol.metrics import JOIN_PHASES

SCENARIO = """\
version: 1
name: synthetic
seed: 42
load:
  model: open
  arrivals: {process: deterministic}
  session: 15s
  receive: {frames: 80%, decode: 20%}
  input: {rate: 5/s}
  stages:
    - {name: warmup, for: 5s,  rate: 0.4/s, measure: false}
    - {name: ramp,   for: 10s, rate: 0.2/s, to: 0.4/s}
    - {name: hold,   for: 25s, rate: 0.4/s}
pool:
  policy: {kind: buffer, warm: 2}
  price: {running: 2 USD/h}
gates:
  - {id: join,   metric: session.join_time,    stat: p95,  "<=": 2s}
  - {id: i2f,    metric: input.to_frame,       stat: p95,  "<=": 250ms}
  - {id: smooth, metric: video.frame_delivery, stat: p05,  ">=": 95%}
  - {id: errors, metric: session.failed,       stat: mean, "<=": 0%}
"""

PHASE_S = dict(
    zip(JOIN_PHASES, (0.001, 0.02, 0.01, 0.1, 0.03, 0.02, 0.05, 0.04, 0.03), strict=True)
)


@dataclass
class Synthetic:
    """Knobs of a synthetic run."""

    scenario: str = SCENARIO
    seed: int = 1
    failed: tuple[int, ...] = ()
    lost_every: int = 0
    helper_cpu: float = 0.4
    loop_lag_s: float = 0.002
    udp_drops: int = 0
    late_s: float = 0.001
    skip_sessions: tuple[int, ...] = ()
    target: str = "embedded"
    with_rows: bool = True
    kind: Any = "measured"
    extra_events: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Rows:
    events: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    system: list[dict[str, Any]] = field(default_factory=list)


def event(
    t_s: float, session: str, stage: str, name: str, value: float | None, **attrs: Any
) -> dict[str, Any]:
    """Build one row of ``events``."""
    return {
        "t_us": round(t_s * 1e6),
        "source": "client",
        "node": "helper-0",
        "session_id": session,
        "stage": stage,
        "event": name,
        "value": value,
        "unit": "",
        "attrs": json.dumps(attrs) if attrs else "",
    }


def second(t_s: float, session: str, stage: str = "", **changes: Any) -> dict[str, Any]:
    """Build one row of ``samples``."""
    return {
        "t_us": round(t_s * 1e6),
        "node": "helper-0",
        "session_id": session,
        "stage": stage,
        "tier": "frames",
        "duration_s": 1.0,
        "frames_received": 20,
        "frames_captured": 20,
        "frames_decoded": 0,
        "bytes_received": 100_000,
        "packets_received": 100,
        "packets_lost": 0,
        "nack_count": 0,
        "pli_count": 0,
        "freeze_count": 0,
        "freeze_s": 0.0,
        "rtt_s": 0.002,
        "jitter_s": 0.001,
        "inputs_sent": 5,
        "inputs_acked": 5,
        "keyframes": 0,
        **changes,
    }


def process(t_s: float, role: str, node: str = "", **changes: Any) -> dict[str, Any]:
    """Build one row of ``system``."""
    return {
        "t_us": round(t_s * 1e6),
        "node": node or f"{role}-0",
        "role": role,
        "cpu": 0.1,
        "rss_bytes": 100_000_000,
        "loop_lag_s": 0.001,
        "udp_drops": 0,
        "sessions": 1,
        **changes,
    }


def _session(
    rows: _Rows, knobs: Synthetic, arrival: schedule.Arrival, rng: random.Random, end_s: float
) -> None:
    sid, stage = f"s-{arrival.index:03d}", arrival.stage
    failed = arrival.index in knobs.failed
    phases = {name: value * rng.lognormvariate(0, 0.4) for name, value in PHASE_S.items()}
    phases["schedule"] = knobs.late_s
    join_s = sum(phases.values())
    t_s = arrival.at_s + join_s
    rows.events.append(event(t_s, sid, stage, "session.failed", float(failed), **(
        {"reason": "ice_failed"} if failed else {})))  # fmt: skip
    rows.events.append(event(t_s, sid, stage, "session.abandoned", 0.0))
    if failed:
        rows.events.append(
            event(t_s, sid, stage, "session.join_time", None, censored=True, after_s=join_s)
        )
        rows.events.append(event(t_s, sid, stage, "session.join.schedule", phases["schedule"]))
        return
    rows.events.append(event(t_s, sid, stage, "session.join_time", join_s))
    for name, value in phases.items():
        rows.events.append(event(t_s, sid, stage, f"session.join.{name}", value))
    rows.events.append(
        event(t_s, sid, stage, "video.freeze_ratio", 0.001 * max(rng.gauss(1, 1), 0))
    )
    last = min(arrival.at_s + arrival.session_s, end_s)
    while t_s < last:
        length = min(1.0, last - t_s)
        frames = max(round(length * rng.gauss(18, 4)), 0)
        rows.samples.append(
            second(
                t_s,
                sid,
                stage,
                tier=arrival.tier,
                duration_s=length,
                frames_received=frames,
                frames_captured=frames,
                bytes_received=round(length * 120_000 * rng.lognormvariate(0, 0.3)),
                rtt_s=0.002 * rng.lognormvariate(0, 0.5) if rng.random() > 0.1 else float("nan"),
            )
        )
        for k in range(round(5 * length)):
            at_s = t_s + k / 5
            number = len(rows.events)
            lost = bool(knobs.lost_every) and number % knobs.lost_every == 0
            rows.events.append(event(at_s, sid, stage, "input.lost", float(lost)))
            if not lost:
                rows.events.append(
                    event(at_s, sid, stage, "input.to_frame", 0.06 * rng.lognormvariate(0, 0.35))
                )
        t_s += length


def synthesise(base: Path, knobs: Synthetic | None = None, name: str = "run") -> Path:
    """Write a run directory and return it, parts merged."""
    knobs = knobs or Synthetic()
    writer = RunWriter(
        new_run_dir(name, base),
        knobs.scenario,
        kind=knobs.kind,
        target=knobs.target,
        argv=["locust", "-f", "loadtest/", "--headless", "--token-file", "/secret/place"],
    )
    scenario = writer.scenario
    rows = _Rows(events=list(knobs.extra_events))
    end_s = schedule.duration_s(scenario)
    if knobs.with_rows:
        for arrival in schedule.arrivals(scenario):
            if arrival.index not in knobs.skip_sessions:
                rng = random.Random(f"{knobs.seed}:{arrival.index}")
                _session(rows, knobs, arrival, rng, end_s)
        for t in range(int(end_s)):
            busy = min(t // 5, 6)
            rows.system += [
                process(t, "locust", cpu=0.05),
                process(t, "helper", cpu=knobs.helper_cpu, loop_lag_s=knobs.loop_lag_s,
                        udp_drops=knobs.udp_drops if t == 20 else 0),
                process(t, "worker", cpu=1.5, loop_lag_s=0.3, udp_drops=7),
                process(t, "pool", loop_lag_s=float("nan"), ready=2, booting=int(t % 10 == 0),
                        busy=busy, stopped=0),
            ]  # fmt: skip
    half = len(rows.events) // 2
    writer.write_rows("events", "helper-0", rows.events[:half])
    writer.write_rows("events", "helper-1", rows.events[half:])
    writer.write_rows("samples", "helper-0", rows.samples)
    writer.write_rows("system", "main", rows.system)
    writer.update(renderer="tinydisplay", encoder="libx264 ultrafast")
    writer.finish()
    return writer.path
