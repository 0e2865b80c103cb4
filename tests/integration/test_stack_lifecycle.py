"""Starts and ends real embedded stacks; what counts is what is left behind: nothing."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from terminal import heed_ctrl_c

from system.client.client import RemoteRenderClient
from system.client.config import ClientConfig
from system.client.errors import JoinFailed
from system.media.rtc.ice import LOOPBACK
from system.protocol import tokens
from system.protocol.errors import Unauthorized
from system.stack import EmbeddedStack, PoolConfig, StackConfig, StackError, StreamConfig
from system.stack.errors import AddressInUse

ROOT = Path(__file__).resolve().parents[2]
MARK = "STACK_TEST_MARK"
SMALL = StreamConfig(width=320, height=180, fps=15, bitrate_bps=300_000)


def small(workers: int = 1, **settings: object) -> StackConfig:
    pool = PoolConfig(initial=workers, max_workers=max(1, workers))
    return StackConfig(pools=(pool,), stream=SMALL, renderer="painter", **settings)  # type: ignore[arg-type]


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A value that every process started by this test inherits, and a directory for its files."""
    value = f"/tmp/{secrets.token_hex(8)}"
    Path(value).mkdir()
    monkeypatch.setenv(MARK, value)
    monkeypatch.setenv("TMPDIR", value)
    monkeypatch.setattr(tempfile, "tempdir", value)
    yield value
    left = marked(value)
    for process in left:
        process.kill()
    shutil.rmtree(value)
    assert left == []


def marked(value: str) -> list[psutil.Process]:
    """The live processes with the mark; this one had its environment before it.

    Valkey overwrites its environment, but works in its own temporary directory.
    """
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK) == value or process.cwd().startswith(value)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_none(value: str, timeout_s: float) -> list[str]:
    """What is still there after the time given, as command lines."""
    deadline = time.monotonic() + timeout_s
    while (left := marked(value)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [" ".join(process.cmdline()) for process in left]


def up(mark: str, *options: str) -> subprocess.Popen[str]:
    """``remote-render system up`` in its own session, as a terminal would start it."""
    command = [
        sys.executable,
        "-c",
        "import sys; from system.cli.system_group import group; group()",
    ]
    return subprocess.Popen(
        [
            *command,
            "up",
            "--workers",
            "1",
            "--resolution",
            "320x180",
            "--renderer",
            "painter",
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedStack]:
    with EmbeddedStack(small(workers=2, min_ready=2, nice=3)) as stack:
        yield stack


def test_a_stack_that_is_measured_yields_to_what_measures_it(running: EmbeddedStack) -> None:
    for pid in running.worker_pids().values():
        assert psutil.Process(pid).nice() == 3
        group = Path(f"/proc/{pid}/autogroup")  # absent where the kernel has no such groups
        assert not group.exists() or group.read_text().endswith(" nice 3\n")


def test_a_snapshot_tells_the_pool_and_what_each_process_uses(running: EmbeddedStack) -> None:
    assert sorted(running.component_pids()) == ["orchestrator", "signaling", "store"]
    snapshot = running.pool_snapshot()
    assert snapshot.pool is not None
    assert (snapshot.pool.ready, snapshot.pool.booting, snapshot.pool.busy) == (2, 0, 0)
    roles = sorted(use.role for use in snapshot.processes)
    assert roles == ["orchestrator", "signaling", "store", "worker", "worker"]
    assert len({use.node for use in snapshot.processes}) == 5
    assert all(use.rss_bytes > 1_000_000 for use in snapshot.processes)
    workers = {use.node: use.pid for use in snapshot.processes if use.role == "worker"}
    assert workers == running.worker_pids()


async def test_only_a_token_holder_joins_a_stack_with_a_secret(running: EmbeddedStack) -> None:
    keys = tokens.Keys.from_secret(running.secret)
    now_s, audience = time.time(), tokens.Audience.CLIENT
    token = tokens.sign(keys, audience, "ada", now_s=now_s, ttl_s=60, project_id="p1")

    async def join(token: str | None) -> float:
        client = RemoteRenderClient(ClientConfig(url=f"{running.url}/ws", ice=LOOPBACK))
        try:
            await client.connect("ada", "p1", token)
            return client.timeline.join_time_s
        finally:
            await client.disconnect()

    assert await join(token) < 5
    with pytest.raises(JoinFailed):
        await join(None)


@pytest.mark.parametrize("url", ["redis://:hidden@127.0.0.1:1/0", "unix:///nowhere/valkey.sock"])
def test_a_store_that_is_not_there_is_said_at_once(url: str) -> None:
    with pytest.raises(StackError, match=r"^store: .*; start a server there") as told:
        EmbeddedStack(small(store_url=url)).start()
    assert "hidden" not in str(told.value)


def test_logs_that_cannot_be_written_are_said_in_one_line() -> None:
    with pytest.raises(StackError, match=r"^logs cannot be written to /proc/logs: "):
        EmbeddedStack(small(log_dir=Path("/proc/logs"))).start()


def test_a_worker_is_handed_its_own_token_and_no_secret(running: EmbeddedStack) -> None:
    keys = tokens.Keys.from_secret(running.secret)
    for worker_id, pid in running.worker_pids().items():
        environment = psutil.Process(pid).environ()
        assert running.secret not in " ".join(environment.values())
        for audience in (tokens.Audience.CLIENT, tokens.Audience.SERVICE):
            with pytest.raises(Unauthorized):
                tokens.verify(keys, audience, environment["RR_TOKEN"], now_s=time.time())
        claims = tokens.verify(
            keys, tokens.Audience.WORKER, environment["RR_TOKEN"], now_s=time.time()
        )
        assert claims.subject == worker_id


def test_two_stacks_do_not_disturb_each_other(running: EmbeddedStack, mark: str) -> None:
    before = running.worker_pids()
    with EmbeddedStack(small(min_ready=0)) as second:
        assert running.url != second.url
        others = {process.pid for process in marked(mark)}
        assert set(second.component_pids().values()) <= others
        assert not set(before.values()) & others
    running.check()
    assert running.worker_pids() == before


def test_a_stack_that_is_stopped_leaves_nothing(mark: str) -> None:
    with EmbeddedStack(small(min_ready=0)) as stack:
        names = {process.name() for process in marked(mark)}
        assert any("valkey" in name or "redis" in name for name in names)
        log_dir = stack.log_dir
        assert log_dir.is_dir()
    assert marked(mark) == []
    assert not log_dir.exists()
    assert list(Path(mark).iterdir()) == []
    stack.stop()
    with pytest.raises(StackError, match="started before"):
        stack.start()


def test_a_taken_port_is_one_line_and_starts_nothing(mark: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = EmbeddedStack(small(port=port))
        with pytest.raises(AddressInUse, match=rf"^port {port} on 127\.0\.0\.1 is in use; "):
            stack.start()
        assert marked(mark) == []
        process = up(mark, "--port", str(port))
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (2, "")
        assert err == (
            f"Error: port {port} on 127.0.0.1 is in use; give another --port, or 0 for a free one\n"
        )


def test_a_component_that_cannot_start_is_told_in_one_line(mark: str) -> None:
    """The store's port takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        stack = EmbeddedStack(small(store_url=f"redis://127.0.0.1:{port}/0", ready_timeout_s=2.5))
        with pytest.raises(StackError) as failed:
            stack.start()
    assert "\n" not in str(failed.value)
    assert str(failed.value).startswith(("orchestrator ", "signaling ", "1 ready workers"))
    assert stack.log_dir.is_dir(), "the logs of a failed start are kept"
    assert marked(mark) == []


def test_a_killed_parent_leaves_nothing(mark: str) -> None:
    process = up(mark)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Up in ")
    assert len(marked(mark)) >= 5
    process.kill()
    process.communicate(timeout=5)
    assert wait_none(mark, 5) == []


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.5, 0.8, 1.5])
def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing(mark: str, after_s: float) -> None:
    process = up(mark)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert wait_none(mark, 1) == []


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, "1"), (signal.SIGTERM, "0")])
def test_a_running_stack_ends_cleanly_on_a_signal(
    mark: str, number: signal.Signals, workers: str
) -> None:
    process = up(mark, "--workers", workers)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Up in ")
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "stopping\n")
    assert marked(mark) == []


def test_a_lost_component_ends_the_command_with_one_line(mark: str) -> None:
    process = up(mark, "--workers", "0")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Up in ")
    victim = next(p for p in marked(mark) if "system.signaling" in p.cmdline())
    victim.kill()
    _, err = process.communicate(timeout=15)
    assert process.returncode == 5
    assert err.startswith("Error: signaling ended (SIGKILL): ")
    assert err.count("\n") == 1
    assert marked(mark) == []


def test_a_stack_works_in_a_process_that_gevent_has_patched(mark: str) -> None:
    script = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import gevent\n"
        "from system.stack import EmbeddedStack, PoolConfig, StackConfig, StreamConfig\n"
        "ticks = []\n"
        "def tick():\n"
        "    while True:\n"
        "        gevent.sleep(0.02); ticks.append(1)\n"
        "ticker = gevent.spawn(tick)\n"
        "pools, stream = (PoolConfig(initial=1),), StreamConfig(320, 180)\n"
        "with EmbeddedStack(StackConfig(pools, stream, renderer='painter')) as stack:\n"
        "    stack.pool_snapshot()\n"
        "    print(len(ticks), stack.ready_s, stack.pool_snapshot().pool.ready)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    ticks, ready_s, ready = done.stdout.split()
    assert int(ready) == 1
    assert int(ticks) > float(ready_s) / 0.02 / 4, "other greenlets went on during the start"
    assert marked(mark) == []
