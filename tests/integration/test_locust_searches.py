"""Runs that end when they have their answer: a capacity search, a gate that aborts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from fake_streamer import Script, Streamer, streaming
from locust_run import LocustRun, judged, read_json

from system.protocol.errors import ErrorCode

SEARCH = """\
version: 1
name: search
load: {model: capacity, from: 2, step: 2, hold: 2s, max: 8, input: {rate: 4/s}}
gates:
  - {id: join,   metric: session.join_time, stat: p95,  "<=": 10s}
  - {id: errors, metric: session.failed,    stat: mean, "<=": 0%}
"""
ABORT = """\
version: 1
name: abort
load:
  model: open
  arrivals: {process: deterministic}
  session: 20s
  stages: [{name: hold, for: 60s, rate: 2/s}]
gates:
  - {id: join,   metric: session.join_time, stat: p95,  "<=": 10s}
  - {id: errors, metric: session.failed,    stat: mean, "<=": 10%, abort: {after: 2s}}
"""
ADMITTED = 3
NOBODY = Script(fps=20, error=ErrorCode.NO_CAPACITY)


async def run(tmp_path: Path, text: str, streamer: Streamer) -> LocustRun:
    name = text.split()[3]
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    return await LocustRun.start(
        *("--scenario", str(file), "--run-dir", str(tmp_path / name), "--host", streamer.url)
    )


async def test_searches_and_aborted_runs_end_by_themselves(tmp_path: Path) -> None:
    async with streaming(Script(fps=20)) as full, streaming(NOBODY) as empty:
        began = time.monotonic()
        search, abort = await asyncio.gather(
            run(tmp_path, SEARCH, full), run(tmp_path, ABORT, empty)
        )
        await search.until(lambda: len(full.peers) >= ADMITTED)
        full.script.error = ErrorCode.NO_CAPACITY
        await asyncio.gather(search.end(), abort.end())
        assert time.monotonic() - began < 50
    assert search.left() + abort.left() == []

    out = tmp_path / "search"
    assert judged(search, out, 0), search.output
    found = read_json(out, "summary.json")["capacity"]
    assert found == {"held": 2, "broke_at": 4, "first_gate": "join", "component": "pool"}
    assert "held 2 viewers; at 4 session.join_time p95 failed first (pool)" in search.output
    assert read_json(out, "run.json")["problems"] == []

    out = tmp_path / "abort"
    assert judged(abort, out, 1), abort.output
    ended = read_json(out, "run.json")["aborted"]
    assert ended["gate"] == "errors"
    assert 2.0 <= ended["at_s"] < 20.0
    verdicts = {gate["id"]: gate["verdict"] for gate in read_json(out, "gates.json")}
    assert verdicts["errors"] == "FAIL"
    assert read_json(out, "run.json")["problems"] == []
