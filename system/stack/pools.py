"""Asks the stack's orchestrator for its pools and workers, and processes for what they use."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import psutil

from system.protocol import tokens
from system.protocol.messages import PoolView, WorkerView
from system.stack.errors import StackError

T = TypeVar("T")

TIMEOUT_S: Final = 2.0
MAX_BODY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """Workers of all pools together by state, and sessions that wait for one.

    As policies and the simulator count: one that is scrubbed is on its way into
    the pool, like one that boots; one that drains is busy until it is gone.
    """

    ready: int = 0
    booting: int = 0
    busy: int = 0
    stopped: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process of the stack. ``cpu`` is cores used since the last look, 0.0 at the first."""

    node: str
    role: str
    pid: int
    cpu: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``pool`` is None while the orchestrator cannot say (it restarts, its store is away)."""

    pool: PoolCounts | None
    processes: tuple[ProcessUse, ...]


class PoolApi:
    """What one orchestrator lists, over http.client: no proxy, no event loop."""

    def __init__(self, url: str, keys: tokens.Keys | None) -> None:
        self._authority = urlsplit(url).netloc
        self._keys = keys

    def views(self) -> list[PoolView]:
        """The pools now.

        Raises:
            StackError: no answer in time, or not one that can be read.
        """
        return self._get("/pools", list[PoolView])

    def workers(self) -> list[WorkerView]:
        """The workers now, those that went lately included. Raises StackError like ``views``."""
        return self._get("/workers", list[WorkerView])

    def counts(self) -> PoolCounts:
        """The pools summed. Raises StackError like ``views``."""
        views = self.views()
        return PoolCounts(
            ready=sum(view.ready for view in views),
            booting=sum(view.booting + view.scrubbing for view in views),
            busy=sum(view.busy + view.draining - view.scrubbing for view in views),
            stopped=sum(view.stopped for view in views),
            waiting=sum(view.waiting for view in views),
        )

    def change_policy(self, pool: str, policy: Mapping[str, Any]) -> None:
        """Give a pool another policy. Raises StackError like ``views``, and where it is refused."""
        body = msgspec.json.encode({"policy": policy})
        self._ask("PATCH", f"/pools/{pool}", body)

    def _get(self, path: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._ask("GET", path), type=kind)
        except msgspec.MsgspecError as error:
            raise StackError(f"orchestrator: GET {path}: {error}") from None

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection(self._authority, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, self._headers())
            response = connection.getresponse()
            answer = response.read(MAX_BODY_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise StackError(f"orchestrator: {method} {path}: {error}") from None
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise StackError(f"orchestrator: {method} {path} answered {response.status}")
        return answer

    def _headers(self) -> dict[str, str]:
        if self._keys is None:
            return {}
        token = tokens.sign(
            self._keys,
            tokens.Audience.SERVICE,
            "stack",
            now_s=time.time(),
            ttl_s=tokens.SERVICE_TTL_S,
        )
        return {"Authorization": f"Bearer {token}"}


def answer_s(url: str) -> float:
    """How long a service takes to say that it lives: how late its event loop is.

    The deadline where it does not.
    """
    began = time.monotonic()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/livez")
        connection.getresponse().read(MAX_BODY_BYTES)
    except (OSError, http.client.HTTPException):
        return TIMEOUT_S
    finally:
        connection.close()
    return time.monotonic() - began


class ProcessMeter:
    """CPU and memory of processes between two looks; knows workers by their command line."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[psutil.Process, float, float]] = {}

    def use(self, node: str, role: str, process: psutil.Process) -> ProcessUse | None:
        """None where the process is gone."""
        now = time.monotonic()
        try:
            with process.oneshot():
                times = process.cpu_times()
                rss = int(process.memory_info().rss)
        except psutil.Error:
            self._seen.pop(process.pid, None)
            return None
        cpu_s = times.user + times.system
        known = self._seen.get(process.pid)
        self._seen[process.pid] = (process, now, cpu_s)
        cpu = 0.0
        if known is not None and known[0] == process and now > known[1]:
            cpu = (cpu_s - known[2]) / (now - known[1])
        return ProcessUse(node, role, process.pid, cpu, rss)


def workers_below(pid: int) -> dict[str, psutil.Process]:
    """Worker id to process, of the workers that the orchestrator ``pid`` has started."""
    try:
        children = psutil.Process(pid).children()
    except psutil.Error:
        return {}
    found = {}
    for child in children:
        try:
            worker = worker_id(child.cmdline())
        except psutil.Error:
            continue
        if worker is not None:
            found[worker] = child
    return found


def worker_id(argv: Sequence[str]) -> str | None:
    """The id in a worker's command line; None for any other process."""
    if "system.worker" not in argv or "--id" not in argv[:-1]:
        return None
    return argv[argv.index("--id") + 1]
