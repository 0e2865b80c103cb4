"""What the library's scenarios promise, on this machine: their answers, and in which time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from locust_run import LocustRun, judged, locust, read_json

LIBRARY = Path(__file__).resolve().parents[2] / "scenarios"
CI_S = 90.0
LONGEST_S = 300.0
RECOVERED_S = 15.0
QUEUE = """\
version: 1
name: queue
stream: {resolution: 320x180, fps: 20, bitrate: 500kbps}
load:
  model: open
  arrivals: {process: deterministic}
  session: 6s
  stages: [{name: hold, for: 20s, rate: 0.5/s}]
pool: {slots_per_worker: 1, policy: {kind: fixed, size: 2}}
gates:
  - {id: model, metric: pool.wait_time, stat: mean, agrees_with: sim, within: 40%}
"""


async def run(name: str, out: Path, *arguments: str) -> LocustRun:
    file = str(LIBRARY / f"{name}.yaml")
    return await locust("--scenario", file, "--run-dir", str(out), *arguments, deadline_s=LONGEST_S)


def faults(out: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(out / "events.parquet").to_pylist()
    found = [row for row in rows if row["event"].startswith("fault.")]
    return sorted(found, key=lambda row: row["t_us"])


@pytest.mark.timeout(120)
async def test_the_check_for_every_change_passes_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    done = await run("ci", tmp_path / "ci")
    assert time.monotonic() - began < CI_S
    assert judged(done, tmp_path / "ci", 0), done.output


@pytest.mark.timeout(180)
async def test_killed_and_hanging_workers_are_replaced_and_their_viewers_go_on(
    tmp_path: Path,
) -> None:
    out = tmp_path / "crash"
    done = await run("worker-crash", out)
    assert judged(done, out, 0), done.output
    killed, hung = faults(out)
    assert (killed["event"], hung["event"]) == ("fault.worker_kill", "fault.worker_hang")
    assert killed["t_us"] / 1e6 == pytest.approx(20.0, abs=1.0)
    assert json.loads(hung["attrs"]) == {"target": "busy", "for_s": 10.0}
    for fault in (killed, hung):
        assert fault["node"].startswith("default-")
        assert 0.5 < fault["value"] < RECOVERED_S


@pytest.mark.timeout(600)
async def test_a_capacity_search_gives_the_same_answer_again(tmp_path: Path) -> None:
    """Within one step: the machine is not the same from minute to minute either."""
    found = []
    for attempt in ("first", "second"):
        done = await run("capacity", tmp_path / attempt)
        assert judged(done, tmp_path / attempt, 0), done.output
        found.append(read_json(tmp_path / attempt, "summary.json")["capacity"])
        assert f"held {found[-1]['held']} viewers" in done.output
    step = 4
    assert abs(found[0]["held"] - found[1]["held"]) <= step, found
    assert found[0]["component"] == "worker CPU", found


@pytest.mark.timeout(120)
async def test_a_queue_waits_as_long_as_the_model_says(tmp_path: Path) -> None:
    """Three viewers' worth of load on two slots: the queue grows as it must."""
    file, out = tmp_path / "queue.yaml", tmp_path / "run"
    file.write_text(QUEUE)
    done = await locust("--scenario", str(file), "--run-dir", str(out))
    assert judged(done, out, 0), done.output
    assert "predicted" in done.output
    assert (out / "model" / "report.html").is_file()
