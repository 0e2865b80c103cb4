"""How long the report of a large run takes, in which memory, and how fast rows are written.

The figures to reach: an hour of a hundred sessions in 10 s and 1 GiB, half a
million events in 1 s. Each report is built by a process of its own, imports
included, as a user would.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Book
from pytest_benchmark.fixture import BenchmarkFixture

from reports import tables
from reports.html import BYTES_MAX

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "unit" / "reports"))

from large_run import large_run  # noqa: E402  (shared with the unit tests)

USERS, SECONDS, INPUTS = 100, 3600, 5
BUILD_MAX_S = 10.0
BUILD_MAX_BYTES = 1024**3
EVENTS = 500_000
WRITE_MAX_S = 1.0

BUILD = """
import json, re, sys, time
from pathlib import Path
from reports.build import build
word = build(sys.argv[1]).word
peak_kib = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
figures = {"verdict": word, "peak_bytes": int(peak_kib) * 1024, "cpu_s": time.process_time()}
print(json.dumps(figures))
"""


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_run(tmp_path_factory.mktemp("hour"), users=USERS, seconds=SECONDS, inputs=INPUTS)


@pytest.mark.benchmark(group="report")
def test_the_report_of_an_hour_of_a_hundred_sessions(
    benchmark: BenchmarkFixture, book: Book, hour: Path
) -> None:
    found = {}

    def build() -> None:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(hour)],
            capture_output=True, text=True, timeout=120, check=True, cwd=HERE.parents[1],
        )  # fmt: skip
        found.update(json.loads(done.stdout), wall_s=time.perf_counter() - began)

    benchmark.pedantic(build, rounds=3, iterations=1)
    best_s = float(benchmark.stats.stats.min)
    page = (hour / "report.html").stat().st_size
    figures = {
        "session_seconds": USERS * SECONDS,
        "event_rows": 2 * USERS * SECONDS * INPUTS,
        "best_s": best_s,
        "median_s": float(benchmark.stats.stats.median),
        "cpu_s": found["cpu_s"],
        "peak_mib": found["peak_bytes"] / 2**20,
        "page_kb": page / 1000,
    }
    book.table(
        f"Report of {figures['session_seconds']:,} session-seconds "
        f"and {figures['event_rows']:,} input rows",
        ["", "measured", "to reach"],
        [
            ["time, best of 3", f"{best_s:.1f} s", f"{BUILD_MAX_S:.0f} s"],
            ["time, median", f"{figures['median_s']:.1f} s", ""],
            ["of which CPU", f"{found['cpu_s']:.1f} s", ""],
            ["peak memory", f"{figures['peak_mib']:.0f} MiB", f"{BUILD_MAX_BYTES >> 20} MiB"],
            ["page", f"{figures['page_kb']:.0f} kB", f"{BYTES_MAX // 1000} kB"],
        ],
    )
    book.keep("report", figures)
    assert found["verdict"] == "PASS"
    assert page < BYTES_MAX
    assert found["peak_bytes"] <= BUILD_MAX_BYTES
    assert best_s <= BUILD_MAX_S


@pytest.mark.benchmark(group="report")
def test_half_a_million_events_are_written(
    benchmark: BenchmarkFixture, book: Book, tmp_path: Path
) -> None:
    rows = [
        {"t_us": 100 * number, "source": "client", "node": "helper-0",
         "session_id": f"v{number % 100}", "stage": "hold",
         "event": "input.lost" if number % 2 else "input.to_frame",
         "value": 0.05 + 1e-9 * number, "unit": "s", "attrs": ""}
        for number in range(EVENTS)
    ]  # fmt: skip
    file = tmp_path / "events-helper-0.parquet"
    benchmark.pedantic(lambda: tables.write_rows(file, "events", rows), rounds=5, iterations=1)
    best_s = float(benchmark.stats.stats.min)
    book.table(
        f"{EVENTS:,} events written as one Parquet file",
        ["", "measured", "to reach"],
        [
            ["time, best of 5", f"{best_s:.2f} s", f"{WRITE_MAX_S:.0f} s"],
            ["size", f"{file.stat().st_size / 1e6:.1f} MB", ""],
        ],
    )
    book.keep("events", {"events": EVENTS, "best_s": best_s})
    assert best_s <= WRITE_MAX_S
