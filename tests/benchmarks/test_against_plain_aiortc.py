"""The worker beside one that an aiortc example would make of the same scene: the same client, one
viewer, the same motion, 1280x720, one run with the variants taking turns.

Not tuned means not tuned: aiortc's encoder starts at 1 Mb/s and stays there, for nothing makes it
learn more. So there is a second plain worker whose encoder was told 2.5 Mb/s, as ours is, and
nothing else; the ratios to it compare like with like.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
from _viewing import FPS, HEIGHT, WIDTH, Figures, Segment, Viewing, medians
from conftest import Book
from pytest_benchmark.fixture import BenchmarkFixture

from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig

BITRATE_BPS = 2_500_000
ROUNDS = 2

# Rates beside the frame rate, so that inputs meet every phase of a 30 fps clock in one segment.
STEADY = Segment("29 inputs/s", 29.0, 10.0)
SLOW = Segment("9.7 inputs/s", 9.7, 5.0)
BOTH = [STEADY, SLOW]

OURS, PLAIN, PLAIN_SAME = "ours", "plain aiortc", "plain aiortc, 2.5 Mb/s"
HEAD = (
    *("", "CPU/frame", "cores", "fps", "input p50", "p95", "unseen"),
    *("bitrate", "PSNR", "settled", "others"),
)


@contextmanager
def plain_worker(*arguments: str) -> Iterator[tuple[str, int]]:
    """URL and process id."""
    script = str(Path(__file__).with_name("_plain_worker.py"))
    size = ("--width", str(WIDTH), "--height", str(HEIGHT))
    process = subprocess.Popen(
        [sys.executable, script, *size, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        yield f"ws://127.0.0.1:{ready['port']}", process.pid
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@contextmanager
def our_worker() -> Iterator[tuple[str, int]]:
    """The embedded stack with one worker, whose process id it is."""
    config = StackConfig(
        pools=(PoolConfig(initial=1, max_workers=1),),
        stream=StreamConfig(width=WIDTH, height=HEIGHT, fps=FPS, bitrate_bps=BITRATE_BPS),
        secret="",
    )
    with EmbeddedStack(config) as stack:
        (pid,) = stack.worker_pids().values()
        yield stack.url, pid


class Rounds:
    """Figures by variant and segment."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, str], list[Figures]] = {}
        self.settled_db: dict[str, list[float]] = {}

    def view(self, variant: str, where: tuple[str, int], segments: list[Segment]) -> None:
        viewing = Viewing(*where)
        asyncio.run(viewing.run(segments))
        for segment in segments:
            row = self.figures.setdefault((variant, segment.name), [])
            row.append(viewing.figures(segment.name))
        self.settled_db.setdefault(variant, []).append(viewing.settled_psnr_db())

    def summary(self) -> dict[tuple[str, str], dict[str, float]]:
        return {
            (variant, segment): {
                **medians(figures),
                "settled_psnr_db": median(self.settled_db[variant]),
            }
            for (variant, segment), figures in self.figures.items()
        }


@pytest.mark.timeout(240)
@pytest.mark.benchmark(group="against plain aiortc")
def test_worker_against_plain_aiortc(benchmark: BenchmarkFixture, book: Book) -> None:
    rounds = Rounds()

    def run() -> None:
        with (
            our_worker() as ours,
            plain_worker() as plain,
            plain_worker("--bitrate", str(BITRATE_BPS)) as plain_same,
        ):
            for _ in range(ROUNDS):
                rounds.view(OURS, ours, BOTH)
                rounds.view(PLAIN, plain, BOTH)
                rounds.view(PLAIN_SAME, plain_same, [STEADY])

    benchmark.pedantic(run, rounds=1)
    summary = rounds.summary()
    benchmark.extra_info.update({" ".join(key): row for key, row in summary.items()})
    _write(book, rounds, summary)

    assert all(row["inputs"] > 0 for row in summary.values())
    ours, plain = summary[OURS, STEADY.name], summary[PLAIN, STEADY.name]
    assert plain["cpu_per_frame_ms"] / ours["cpu_per_frame_ms"] > 1.5
    assert plain["input_to_frame_p50_ms"] / ours["input_to_frame_p50_ms"] > 1.0


def _write(book: Book, rounds: Rounds, summary: dict[tuple[str, str], dict[str, float]]) -> None:
    ratios: list[dict[str, Any]] = []
    for segment in BOTH:
        rows = {variant: row for (variant, name), row in summary.items() if name == segment.name}
        book.table(
            f"Worker, {WIDTH}x{HEIGHT}, one viewer, {segment.name}, {segment.duration_s:g} s"
            f" x {ROUNDS} rounds, medians",
            HEAD,
            [_row(variant, row) for variant, row in rows.items()],
        )
        for other in (PLAIN, PLAIN_SAME):
            if other not in rows:
                continue
            ratio = {
                key: rows[other][key] / rows[OURS][key]
                for key in ("cpu_per_frame_ms", "input_to_frame_p50_ms", "input_to_frame_p95_ms")
            }
            ratios.append({"segment": segment.name, "over": other, **ratio})
            cpu, p50, p95 = ratio.values()
            book.note(
                f"{other} / ours: CPU per frame {cpu:.1f}x,"
                f" input to decoded frame p50 {p50:.1f}x, p95 {p95:.1f}x"
            )
    book.note("cores, others: used by the worker, and by other programs of this machine meanwhile")
    book.keep(
        "against_plain_aiortc",
        {
            "width": WIDTH,
            "height": HEIGHT,
            "cpu_count": psutil.cpu_count(),
            "summary": [
                {"variant": variant, "segment": segment, **row}
                for (variant, segment), row in summary.items()
            ],
            "ratios": ratios,
            "rounds": [
                {"variant": variant, "segment": segment, **asdict(figures)}
                for (variant, segment), each in rounds.figures.items()
                for figures in each
            ],
        },
    )


def _row(variant: str, row: dict[str, float]) -> tuple[str, ...]:
    return (
        variant,
        f"{row['cpu_per_frame_ms']:.1f} ms",
        f"{row['cpu_cores']:.2f}",
        f"{row['fps']:.1f}",
        f"{row['input_to_frame_p50_ms']:.1f} ms",
        f"{row['input_to_frame_p95_ms']:.1f} ms",
        f"{row['inputs_unseen']:.0f}/{row['inputs'] + row['inputs_unseen']:.0f}",
        f"{row['bitrate_mbps']:.2f} Mb/s",
        f"{row['psnr_db']:.1f} dB",
        f"{row['settled_psnr_db']:.1f} dB",
        f"{row['others_cores']:.2f}",
    )
