"""The load test end to end: Locust, helpers, real WebRTC, the embedded stack, the verdict."""

from __future__ import annotations

import asyncio
import json
import statistics
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fake_streamer import Script, streaming
from locust_run import LocustRun, free_port, judged, locust, read_json, read_text

from reports.rundir import RunReader

SCENARIO = """\
version: 1
name: small
seed: 7
stream: {resolution: 320x180, fps: 20, bitrate: 500kbps}
load:
  model: open
  arrivals: {process: deterministic}
  session: 2s
  receive: {frames: 0%, decode: 100%}
  input: {rate: 4/s}
  stages:
    - {name: warmup, for: 1s, rate: 1/s, measure: false}
    - {name: hold, for: 3s, rate: 1/s}
pool: {slots_per_worker: 4, policy: {kind: fixed, size: 1}}
gates:
  - {id: join, metric: session.join_time, stat: p95, "<=": LIMIT}
"""


RECORDED = """\
version: 1
name: recorded
stream: {resolution: 320x180, fps: 20, bitrate: 500kbps}
load:
  model: open
  arrivals: {trace: day.csv, time: at, session: length}
  input: {rate: 4/s}
pool: {slots_per_worker: 4, policy: {kind: target, utilisation: 90%, min: 1, interval: 1s}}
gates:
  - {id: join, metric: session.join_time, stat: p95, "<=": 1ms}
"""


def scenario(path: Path, limit: str) -> str:
    path.write_text(SCENARIO.replace("LIMIT", limit))
    return str(path)


def arrivals(out: Path) -> dict[str, str]:
    """Session id to the Locust process that began it."""
    rows = pq.read_table(out / "events.parquet", columns=["session_id", "node", "event"])
    return {row["session_id"]: row["node"] for row in rows.to_pylist() if row["event"] == "arrival"}


async def test_a_scenario_on_the_embedded_stack_is_measured_and_judged(tmp_path: Path) -> None:
    out = tmp_path / "run"
    file = scenario(tmp_path / "small.yaml", "30s")
    files = tmp_path / "locust"
    run = await LocustRun.start(
        *("--scenario", file, "--run-dir", str(out)),
        *("--picture-samples", "5/s"),
        *("--csv", str(files), "--html", f"{files}.html", "--json-file", str(files)),
    )
    await run.until(lambda: run.has("system.worker") and run.has("system.client.host"))
    await run.end()
    assert run.left() == []
    assert judged(run, out, 0), run.output
    assert [gate["verdict"] for gate in read_json(out, "gates.json")] == ["PASS"]
    metrics = read_json(out, "summary.json")["metrics"]
    for name in ("session.join_time", "input.to_frame", "video.fps", "pool.workers.ready"):
        assert metrics[name]["n"] > 0, name
    assert metrics["video.psnr"]["n"] == metrics["video.ssim"]["n"] > 0
    assert metrics["video.psnr"]["p50"] > 25
    assert read_text(out, "scenario.yaml") == SCENARIO.replace("LIMIT", "30s")
    info = read_json(out, "run.json")
    assert info["target"] == "embedded"
    assert info["renderer"] != "unknown"
    assert info["problems"] == []
    for name in ("events.parquet", "samples.parquet", "system.parquet", "report.html"):
        assert (out / name).is_file(), name
    assert not (out / "parts").exists()
    assert f"report: {out}/report.html" in run.output
    assert "JOIN" in (tmp_path / "locust_stats.csv").read_text()
    assert "INPUT" in (tmp_path / "locust.html").read_text()
    check_table(json.loads((tmp_path / "locust.json").read_text()), out)


def check_table(table: list[dict[str, Any]], out: Path) -> None:
    """Locust's figures are those of the rows: counts exactly, times within its two digits."""
    rows = pq.read_table(out / "events.parquet").to_pylist()
    for kind, metric in (("JOIN", "session.join_time"), ("INPUT", "input.to_frame")):
        (entry,) = [entry for entry in table if entry["method"] == kind]
        found = sorted(1000 * row["value"] for row in rows if row["event"] == metric)
        assert entry["num_requests"] == len(found), kind
        assert entry["total_response_time"] == pytest.approx(sum(found), rel=0.012), kind
        assert entry["max_response_time"] == pytest.approx(found[-1], rel=0.012), kind
        middle = statistics.median_low(found)
        times = {float(time): count for time, count in entry["response_times"].items()}
        assert sum(times.values()) == len(found), kind
        shown = statistics.median_low([time for time, n in times.items() for _ in range(n)])
        assert shown == pytest.approx(middle, rel=0.062, abs=1.0), kind


async def test_two_processes_share_one_schedule_and_a_failed_gate_is_exit_code_1(
    tmp_path: Path,
) -> None:
    """The schedule is a recorded one, of which the run keeps a copy."""
    out = tmp_path / "run"
    file = str(tmp_path / "recorded.yaml")
    (tmp_path / "recorded.yaml").write_text(RECORDED)
    (tmp_path / "day.csv").write_text("at,length\n10,2\n11,1.5\n12,2\n13,1\n")
    port = str(free_port())
    run = await locust(
        *("--scenario", file, "--run-dir", str(out), "--processes", "2"),
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port),
        *("--json-file", str(tmp_path / "locust")),
    )
    assert judged(run, out, 1), run.output
    assert [gate["verdict"] for gate in read_json(out, "gates.json")] == ["FAIL"]
    assert read_json(out, "run.json")["problems"] == []
    begun = arrivals(out)
    assert sorted(begun) == [f"v{index}" for index in range(4)]
    assert {begun[f"v{index}"] for index in (0, 2)} == {"locust-0"}
    assert {begun[f"v{index}"] for index in (1, 3)} == {"locust-1"}
    check_table(json.loads((tmp_path / "locust.json").read_text()), out)
    (tmp_path / "day.csv").unlink()
    assert [(*span,) for span in RunReader(out).spans] == [("trace", 0.0, 4.0, True)]


async def test_a_lost_helper_fails_its_viewers_and_ctrl_c_still_writes_a_report(
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    file = tmp_path / "closed.yaml"
    file.write_text(
        "version: 1\nname: closed\nload: {model: closed, users: 2, for: 60s}\n"
        'gates: [{id: join, metric: session.join_time, stat: p95, "<=": 30s}]\n'
    )
    async with streaming(Script(fps=20)) as streamer:
        run = await LocustRun.start(
            "--scenario", str(file), "--run-dir", str(out), "--host", streamer.url
        )
        await run.until(lambda: len(streamer.peers) == 2)
        (helper,) = run.helpers()
        helper.kill()
        await asyncio.sleep(1.5)
        run.interrupt()
        await run.end()
    assert run.left() == []
    assert run.code == 4, run.output
    problems = read_json(out, "run.json")["problems"]
    assert any(text.startswith("helper helper-0 was lost") for text in problems)
    assert any(text.startswith("stopped after") for text in problems)
    assert "the load generator's helper process was lost" in run.output
    assert (out / "report.html").is_file()
    assert "Traceback" not in run.output
