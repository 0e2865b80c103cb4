"""Helper processes: commands in, events and Parquet parts out, and an end with the pipe."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from fake_streamer import Script, Streamer, streaming

from system.client.histogram import LogHistogram
from system.client.hostproto import (
    Drain,
    Drained,
    Ended,
    Event,
    Health,
    Ice,
    InputMix,
    Joined,
    Queued,
    Ready,
    Run,
    Span,
    Start,
    Stop,
)
from system.client.hosts import HelperProcess
from system.protocol import messages
from system.protocol.metrics import JOIN_PHASES
from system.protocol.records import EVENT_COLUMNS, SAMPLE_COLUMNS, SYSTEM_COLUMNS


class Parent:
    """A helper and a thread that reads its events, as a swarm's greenlet would."""

    def __init__(self) -> None:
        self.helper = HelperProcess("helper-0")
        self.events: list[Event] = []
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for event in self.helper.events():
            self._queue.put(event)
        self._queue.put(None)

    async def expect(self, kind: type[Event], timeout: float = 20.0) -> Event:  # type: ignore[valid-type]
        """The next event of a kind; others before it are kept in ``events``."""
        async with asyncio.timeout(timeout):
            while True:
                event = await asyncio.to_thread(self._queue.get)
                assert event is not None, f"the helper ended before a {kind}"
                self.events.append(event)
                if isinstance(event, kind):
                    return event

    async def close(self) -> int:
        status = await asyncio.to_thread(self.helper.close)
        await asyncio.to_thread(self._thread.join)
        return status


@asynccontextmanager
async def hosting(script: Script | None = None) -> AsyncIterator[tuple[Parent, Streamer]]:
    async with streaming(script) as streamer:
        parent = Parent()
        try:
            await parent.expect(Ready)
            yield parent, streamer
        finally:
            assert await parent.close() == 0


def start(streamer: Streamer, session_id: str, **options: object) -> Start:
    settings: dict[str, object] = {
        "scheduled_at": time.time(),
        "session_s": 1.2,
        "stage": "hold",
        "ice": Ice(addresses=("127.0.0.1",)),
        "input": InputMix(rate=20.0, mix={"camera:orbit": 0.8, "device:drag": 0.2}),
        "join_timeout_s": 10.0,
    } | options
    return Start(id=session_id, user_id="u", project_id="p", url=streamer.url, **settings)  # type: ignore[arg-type]


def rows_of(parts: Path, table: str) -> list[dict[str, Any]]:
    paths = sorted(parts.glob(f"{table}-helper-0-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


async def test_sessions_are_hosted_measured_and_written(tmp_path: Path) -> None:
    async with hosting() as (parent, streamer):
        epoch = time.time()
        spans = (Span("ramp", 0.0, 0.001), Span("hold", 0.001, 600.0))
        parent.helper.send(Run(epoch=epoch, parts=str(tmp_path), node="helper-0", stages=spans))
        parent.helper.send(start(streamer, "a", scheduled_at=epoch + 0.3))
        parent.helper.send(start(streamer, "b", session_s=None, tier="decode"))
        joined = {(await parent.expect(Joined)).id for _ in range(2)}
        assert joined == {"a", "b"}
        ended = await parent.expect(Ended)
        assert (ended.id, ended.outcome, ended.reason) == ("a", "ok", "")
        parent.helper.send(Stop(id="b"))
        assert (await parent.expect(Ended)).outcome == "ok"
        await parent.expect(Health)
        told = [event.figures for event in parent.events if isinstance(event, Health)]
        assert sum(figures.frames for figures in told) > 5
        assert max(figures.watching for figures in told) == 2
        parent.helper.send(Drain())
        drained = await parent.expect(Drained)
        assert sorted(drained.parts) == sorted(os.listdir(tmp_path))
        events = [e for e in parent.events if isinstance(e, Joined)]
    assert all(set(e.phases) == set(JOIN_PHASES) for e in events)
    summary = ended.summary
    assert summary["joined"]
    assert 1.0 < summary["session_s"] < 3
    latency = LogHistogram.from_json(summary["histograms"]["input.to_frame"])
    assert 0 < latency.quantile(0.5) < 0.5
    told = [e.inputs for e in parent.events if isinstance(e, Health | Drained) and e.inputs]
    of_both = [e.summary["histograms"] for e in parent.events if isinstance(e, Ended)]
    assert sum(LogHistogram.from_json(inputs).n for inputs in told) == sum(
        LogHistogram.from_json(histograms["input.to_frame"]).n for histograms in of_both
    )
    rows = {name: rows_of(tmp_path, name) for name in ("events", "samples", "system")}
    for name, columns in (
        ("events", EVENT_COLUMNS),
        ("samples", SAMPLE_COLUMNS),
        ("system", SYSTEM_COLUMNS),
    ):
        assert rows[name]
        assert list(rows[name][0]) == list(columns)
    of_a = [row for row in rows["events"] if row["session_id"] == "a"]
    counts = Counter(row["event"] for row in of_a)
    assert counts["session.join_time"] == counts["session.failed"] == counts["pool.wait"] == 1
    assert counts["input.to_frame"] == counts["input.lost"] >= 10
    join = next(row for row in of_a if row["event"] == "session.join_time")
    parts = [r["value"] for r in of_a if r["event"].startswith("session.join.")]
    assert abs(sum(parts) - join["value"]) < 1e-6
    assert 0.25e6 < join["t_us"] < 0.35e6
    assert {row["stage"] for row in rows["samples"]} == {"hold"}
    assert {row["source"] for row in of_a} == {"client"}


async def test_failed_abandoned_and_interrupted_sessions_say_so(tmp_path: Path) -> None:
    async with hosting(Script(never_serve=True)) as (parent, streamer):
        parent.helper.send(Run(epoch=time.time(), parts=str(tmp_path)))
        parent.helper.send(start(streamer, "impatient", patience_s=0.1))
        await parent.expect(Queued)
        ended = await parent.expect(Ended)
        assert (ended.outcome, ended.summary["joined"]) == ("abandoned", False)
        parent.helper.send(start(streamer, "waiting"))
        await parent.expect(Queued)
        parent.helper.send(Stop(id="waiting"))
        ended = await parent.expect(Ended)
        assert (ended.outcome, ended.reason) == ("ok", "stopped")
        streamer.script.refuse = 503
        parent.helper.send(start(streamer, "refused"))
        ended = await parent.expect(Ended)
        assert (ended.outcome, ended.reason) == ("failed", "unreachable")
        streamer.script.refuse, streamer.script.never_serve = None, False
        parent.helper.send(start(streamer, "cut", session_s=30.0))
        await parent.expect(Joined)
        for socket in streamer.sockets:
            await socket.close(code=4410)
        ended = await parent.expect(Ended)
        assert (ended.outcome, ended.reason) == ("interrupted", "closed_4410")
        parent.helper.send(Drain())
        await parent.expect(Drained)
    rows = rows_of(tmp_path, "events")
    values = {(row["session_id"], row["event"]): row for row in rows}
    assert values["impatient", "session.abandoned"]["value"] == 1
    assert values["impatient", "session.join_time"]["value"] is None
    assert json.loads(values["impatient", "session.join_time"]["attrs"])["censored"]
    assert values["impatient", "pool.wait_time"]["value"] > 0.05
    assert ("waiting", "session.join_time") not in values
    assert values["waiting", "pool.wait"]["value"] == 1
    assert values["refused", "session.failed"]["value"] == 1
    assert json.loads(values["refused", "session.failed"]["attrs"])["phase"] == "ws"
    assert values["cut", "session.interrupted"]["value"] == 1
    assert values["cut", "session.join_time"]["value"] > 0


async def test_a_session_that_gets_another_worker_is_neither_failed_nor_interrupted(
    tmp_path: Path,
) -> None:
    async with hosting() as (parent, streamer):
        parent.helper.send(Run(epoch=time.time(), parts=str(tmp_path)))
        parent.helper.send(start(streamer, "moved", session_s=1.5))
        await parent.expect(Joined)
        await streamer.peers[0].close()
        replaced = messages.WorkerReplaced(session_id="s", worker_id="w2", negotiation=2)
        await streamer.send(streamer.sockets[0], replaced)
        ended = await parent.expect(Ended)
        assert (ended.outcome, ended.reason) == ("ok", "")
        assert ended.summary["interruptions"] == 0
        assert len(streamer.senders) == 2
        parent.helper.send(Drain())
        await parent.expect(Drained)
    values = {row["event"]: row["value"] for row in rows_of(tmp_path, "events")}
    assert "session.worker_replaced" in values
    assert (values["session.failed"], values["session.interrupted"]) == (0, 0)


def kinds(streamer: Streamer) -> set[str]:
    return {type(edit).__name__ for edit in streamer.edits}


async def test_viewers_drag_and_connect_the_devices_that_the_scene_has(tmp_path: Path) -> None:
    mix = {"device:drag": 0.7, "connection:create": 0.3}
    async with hosting() as (parent, streamer):
        parent.helper.send(Run(epoch=time.time(), parts=str(tmp_path), node="helper-0", stages=()))
        load = InputMix(rate=60.0, mix=mix)
        parent.helper.send(start(streamer, "a", session_s=None, input=load))
        async with asyncio.timeout(30):
            while kinds(streamer) != {"DeviceDrag", "ConnectionCreate"}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        parent.helper.send(Stop(id="a"))
        assert (await parent.expect(Ended)).outcome == "ok"
        parent.helper.send(Drain())
        await parent.expect(Drained)


def test_a_helper_ends_when_its_parent_is_killed() -> None:
    program = (
        "from system.client.hosts import HelperProcess\n"
        "helper = HelperProcess()\n"
        "next(helper.events())\n"
        "print(helper.pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Whether it is there and no zombie that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
