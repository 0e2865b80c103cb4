"""Large synthetic run directories, drawn as whole columns; the benchmark's, and tests' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from reports.rundir import RunWriter, new_run_dir
from system.protocol.metrics import JOIN_PHASES

SCENARIO = """\
version: 1
name: large
seed: 7
load:
  model: closed
  users: {users}
  session: 300s
  ramp: 30s
  input: {{rate: {inputs}/s}}
  stages:
    - {{name: ramp, for: 60s, measure: false}}
    - {{name: hold, for: {hold}s}}
pool: {{policy: {{kind: fixed, size: {users}}}, price: {{running: 1 USD/h}}}}
gates:
  - {{id: join,   metric: session.join_time,    stat: p95, "<=": 2s}}
  - {{id: i2f,    metric: input.to_frame,       stat: p95, "<=": 250ms, strict: true}}
  - {{id: smooth, metric: video.frame_delivery, stat: p05, ">=": 80%}}
  - {{id: fps,    metric: video.fps,            stat: p50, ">=": 10/s, during: hold}}
"""
SESSION_S = 300


def large_run(base: Path, *, users: int, seconds: int, inputs: int, name: str = "large") -> Path:
    """Write a run of ``users`` viewers for ``seconds`` with ``inputs`` a second each."""
    text = SCENARIO.format(users=users, inputs=inputs, hold=seconds - 60)
    writer = RunWriter(new_run_dir(name, base), text, argv=["locust", "--headless"])
    rng = np.random.default_rng(7)
    start_s = np.repeat(np.arange(0, seconds, SESSION_S), users)
    names = np.array([f"v{number}" for number in range(len(start_s))])
    writer.write_columns("samples", "helper-0", _seconds(rng, start_s, names, seconds))
    for part, columns in _events(rng, start_s, names, seconds, inputs).items():
        writer.write_columns("events", f"helper-{part}", columns)
    writer.write_columns("system", "main", _system(seconds, users))
    writer.finish()
    return writer.path


def _stage(t_s: Any) -> Any:
    return np.where(np.asarray(t_s) < 60, "ramp", "hold")


def _seconds(rng: Any, start_s: Any, names: Any, seconds: int) -> dict[str, Any]:
    t_s = (start_s[:, None] + np.arange(SESSION_S)[None, :]).ravel()
    every = np.repeat(names, SESSION_S)
    keep = t_s < seconds
    t_s, every = t_s[keep], every[keep]
    count = len(t_s)
    frames = rng.poisson(18, count)
    whole = {
        "packets_received": 100, "packets_lost": 0, "nack_count": 0, "pli_count": 0,
        "freeze_count": 0, "frames_decoded": 0, "inputs_sent": 5, "inputs_acked": 5,
        "keyframes": 0,
    }  # fmt: skip
    return {
        "t_us": t_s * 1_000_000,
        "node": np.full(count, "helper-0"),
        "session_id": every,
        "stage": _stage(t_s),
        "tier": np.full(count, "frames"),
        "duration_s": np.ones(count),
        "frames_received": frames,
        "frames_captured": frames + (rng.random(count) < 0.05),
        "bytes_received": rng.integers(80_000, 160_000, count),
        "freeze_s": np.where(rng.random(count) < 0.002, 0.3, 0.0),
        "rtt_s": rng.lognormal(-6, 0.4, count),
        "jitter_s": rng.lognormal(-7, 0.4, count),
        **{name: np.full(count, value) for name, value in whole.items()},
    }


def _events(rng: Any, start_s: Any, names: Any, seconds: int, inputs: int) -> dict[str, Any]:
    phases = {f"session.join.{name}": rng.lognormal(-3.5, 0.4, len(names)) for name in JOIN_PHASES}
    flags = {f"session.{name}": np.zeros(len(names)) for name in ("failed", "abandoned")}
    joined = {**phases, **flags, "session.join_time": sum(phases.values())}
    joined["video.freeze_ratio"] = rng.random(len(names)) * 0.01
    parts = {"joins": _rows(start_s, names, joined)}
    step = np.arange(0, SESSION_S, 1 / inputs)
    for start in np.unique(start_s):
        mine = names[start_s == start]
        t_s = np.tile(start + step[start + step < seconds], len(mine))
        every = np.repeat(mine, len(t_s) // len(mine))
        lost = rng.random(len(t_s)) < 0.001
        latency = np.where(lost, np.nan, rng.lognormal(-2.8, 0.35, len(t_s)))
        columns = _rows(t_s, every, {"input.to_frame": latency, "input.lost": lost * 1.0})
        censored = np.isnan(columns["value"])
        columns["attrs"] = np.where(censored, json.dumps({"censored": True, "after_s": 2.0}), "")
        parts[str(start)] = columns
    return parts


def _rows(t_s: Any, names: Any, values: dict[str, Any]) -> dict[str, Any]:
    count = len(t_s) * len(values)
    return {
        "t_us": np.tile(np.asarray(t_s) * 1e6, len(values)).astype(np.int64),
        "source": np.full(count, "client"),
        "node": np.full(count, "helper-0"),
        "session_id": np.tile(names, len(values)),
        "stage": np.tile(_stage(t_s), len(values)),
        "event": np.repeat(list(values), len(t_s)),
        "value": np.concatenate(list(values.values())),
        "unit": np.full(count, ""),
        "attrs": np.full(count, ""),
    }


def _system(seconds: int, users: int) -> dict[str, Any]:
    roles = ("locust", "helper", "worker", "pool")
    count = seconds * len(roles)
    role = np.repeat(roles, seconds)
    pool = role == "pool"

    def only_pool(value: int) -> list[int | None]:
        return [value if one else None for one in pool.tolist()]

    return {
        "t_us": np.tile(np.arange(seconds) * 1_000_000, len(roles)),
        "node": np.array([f"{name}-0" for name in role]),
        "role": role,
        "cpu": np.full(count, 0.3),
        "rss_bytes": np.full(count, 100_000_000),
        "loop_lag_s": np.full(count, 0.001),
        "udp_drops": np.zeros(count, dtype=np.int64),
        "sessions": np.full(count, users),
        "ready": only_pool(2),
        "booting": only_pool(0),
        "busy": only_pool(users),
        "stopped": only_pool(0),
    }
