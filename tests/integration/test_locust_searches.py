"""A capacity search, a gate that aborts, and a generator that was kept from its core.

All three at once: each spends its time waiting.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import psutil
from fake_streamer import Script, Streamer, streaming
from locust_run import LocustRun, judged, read_json

from system.protocol.errors import ErrorCode

SEARCH = """\
version: 1
name: search
load: {model: capacity, from: 2, step: 2, hold: 1s, max: 8, input: {rate: 4/s}}
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
STARVED = """\
version: 1
name: starved
load: {model: closed, users: 1, for: 5s, input: {rate: 4/s}}
gates:
  - {id: i2f, metric: input.to_frame, stat: p50, "<=": 500ms}
"""
ADMITTED = 3
STOPPED_S = 0.15
NOBODY = Script(fps=20, error=ErrorCode.NO_CAPACITY)


async def run(tmp_path: Path, text: str, streamer: Streamer) -> LocustRun:
    name = text.split()[3]
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    return await LocustRun.start(
        *("--scenario", str(file), "--run-dir", str(tmp_path / name), "--host", streamer.url)
    )


async def starve(run: LocustRun, streamer: Streamer) -> None:
    """Keep the generator from its core for half of the time, while it has a viewer."""
    await run.until(lambda: bool(streamer.peers))
    (helper,) = run.helpers()
    with suppress(psutil.NoSuchProcess):
        while run.process.returncode is None:
            helper.suspend()
            await asyncio.sleep(STOPPED_S)
            helper.resume()
            await asyncio.sleep(STOPPED_S)


async def test_searches_and_aborted_runs_end_by_themselves_and_a_starved_one_is_invalid(
    tmp_path: Path,
) -> None:
    script = Script(fps=20)
    async with streaming(script) as full, streaming(NOBODY) as empty, streaming(script) as other:
        began = time.monotonic()
        search, abort, starved = await asyncio.gather(
            run(tmp_path, SEARCH, full),
            run(tmp_path, ABORT, empty),
            run(tmp_path, STARVED, other),
        )
        starving = asyncio.create_task(starve(starved, other))
        await search.until(lambda: len(full.peers) >= ADMITTED)
        full.script = NOBODY
        await asyncio.gather(search.end(), abort.end(), starved.end(), starving)
        assert time.monotonic() - began < 60
    assert search.left() + abort.left() + starved.left() == []

    assert starved.code == 4, starved.output
    info = read_json(tmp_path / "starved", "run.json")
    assert not info["validity"]["valid"]
    assert "INVALID      the generator's event loop lagged by" in starved.output
    assert "PASS         i2f" in starved.output

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
