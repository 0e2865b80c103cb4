from __future__ import annotations

import os
import subprocess

import psutil
import pytest

from system.stack import pools
from system.stack.errors import StackError
from system.stack.pools import PoolApi, ProcessMeter


def test_the_first_look_at_a_process_knows_its_memory_and_no_cpu() -> None:
    use = ProcessMeter().use("me", "test", psutil.Process())
    assert use is not None
    assert (use.node, use.role, use.pid, use.cpu) == ("me", "test", os.getpid(), 0.0)
    assert use.rss_bytes > 1_000_000


def test_cpu_is_cores_used_since_the_look_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(pools.time, "monotonic", lambda: next(clock))
    meter, process = ProcessMeter(), psutil.Process()
    meter.use("me", "test", process)
    spent = process.cpu_times().user + process.cpu_times().system
    until = spent + 0.1
    while process.cpu_times().user + process.cpu_times().system < until:
        sum(range(10_000))
    use = meter.use("me", "test", process)
    assert use is not None
    assert 0.04 <= use.cpu < 0.5


def test_a_process_that_is_gone_uses_nothing() -> None:
    child = subprocess.Popen(["true"])
    process = psutil.Process(child.pid)
    child.wait()
    assert ProcessMeter().use("x", "worker", process) is None


@pytest.mark.parametrize(
    ("argv", "worker"),
    [
        (["python", "-m", "system.worker", "--id", "w-1", "--slots", "1"], "w-1"),
        (["python", "-m", "system.worker", "--id"], None),
        (["python", "-m", "system.signaling", "--id", "w-1"], None),
        ([], None),
    ],
)
def test_a_worker_is_known_by_its_command_line(argv: list[str], worker: str | None) -> None:
    assert pools.worker_id(argv) == worker


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(503, b"{}", "answered 503"), (200, b"<html>", "malformed"), (200, b'{"a": 1}', "array")],
)
def test_an_answer_that_is_no_list_of_pools_is_one_line(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, said: str
) -> None:
    monkeypatch.setattr(pools.http.client, "HTTPConnection", _connection(status, body))
    with pytest.raises(StackError) as failed:
        PoolApi("http://127.0.0.1:1", None).counts()
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)


def test_the_counts_are_the_sum_of_all_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = b'{"name":"a","ready":1,"booting":2,"busy":3,"draining":4,"stopped":5,"failed":6,'
    pool += b'"waiting":7,"maxWorkers":9,"policy":{}}'
    body = b"[" + pool + b"," + pool + b"]"
    monkeypatch.setattr(pools.http.client, "HTTPConnection", _connection(200, body))
    counts = PoolApi("http://127.0.0.1:1", None).counts()
    assert (counts.ready, counts.booting, counts.busy) == (2, 4, 14)
    assert (counts.stopped, counts.waiting) == (10, 14)


def test_a_worker_that_is_scrubbed_counts_as_one_that_boots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the simulator and the policies count."""
    body = b'[{"name":"a","ready":1,"booting":2,"busy":3,"draining":4,"stopped":5,"failed":6,'
    body += b'"waiting":7,"maxWorkers":9,"policy":{},"scrubbing":3}]'
    monkeypatch.setattr(pools.http.client, "HTTPConnection", _connection(200, body))
    counts = PoolApi("http://127.0.0.1:1", None).counts()
    assert (counts.booting, counts.busy) == (5, 4)


def test_workers_come_with_what_their_heartbeats_said(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'[{"workerId":"w1","pool":"a","state":"ready","slots":1,"sessions":[],"vitals":{"cpu":'
    monkeypatch.setattr(pools.http.client, "HTTPConnection", _connection(200, body + b"0.5}}]"))
    (worker,) = PoolApi("http://127.0.0.1:1", None).workers()
    assert (worker.worker_id, worker.vitals) == ("w1", {"cpu": 0.5})


def test_a_policy_that_the_orchestrator_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str, bytes | None]] = []
    monkeypatch.setattr(pools.http.client, "HTTPConnection", _connection(400, b"{}", asked))
    with pytest.raises(StackError, match="PATCH /pools/default answered 400"):
        PoolApi("http://127.0.0.1:1", None).change_policy("default", {"kind": "fixed"})
    assert asked == [("PATCH", "/pools/default", b'{"policy":{"kind":"fixed"}}')]


def test_a_service_that_does_not_answer_took_the_whole_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(pools.http.client.HTTPConnection, "request", refused)
    assert pools.answer_s("http://127.0.0.1:1") == pools.TIMEOUT_S


def _connection(
    status: int, body: bytes, asked: list[tuple[str, str, bytes | None]] | None = None
) -> type:
    asked = [] if asked is None else asked

    class Connection:
        def __init__(self, authority: str, timeout: float) -> None:
            assert (authority, timeout) == ("127.0.0.1:1", 2.0)

        def request(
            self, method: str, path: str, body: bytes | None = None, headers: object = None
        ) -> None:
            asked.append((method, path, body))

        def getresponse(self) -> Connection:
            return self

        def read(self, limit: int) -> bytes:
            return body[:limit]

        def close(self) -> None:
            pass

    Connection.status = status  # type: ignore[attr-defined]
    return Connection
