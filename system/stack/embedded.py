"""The whole stack as child processes of this one, started and ended together.

Order: store, then orchestrator and signaling at once, then the workers, which
the orchestrator's local provider starts. Nothing outlives ``stop``, a failed
or interrupted ``start``, or a ``kill -9`` of this process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from system.protocol import tokens
from system.protocol.messages import WorkerView
from system.stack import arguments, reach, remains
from system.stack.component import Component, child_environment, log_tail
from system.stack.config import StackConfig
from system.stack.errors import StackError
from system.stack.lifeline import Lifeline
from system.stack.listen import authority, listen
from system.stack.pools import (
    PoolApi,
    PoolCounts,
    ProcessMeter,
    Snapshot,
    answer_s,
    workers_below,
)
from system.store.base import StoreUnavailable
from system.store.valkey import EmbeddedValkey
from system.telemetry import lifeline, priority
from system.telemetry.config import LISTEN_VARIABLE, SECRET_VARIABLE

POLL_S: Final = 0.05
STORE: Final = "store"
ORCHESTRATOR: Final = "orchestrator"
SIGNALING: Final = "signaling"


class EmbeddedStack:
    """A store, a signaling node, an orchestrator and its workers on this machine.

    Synchronous; waits only in ``time.sleep``, ``select`` and socket calls, so a
    process patched by gevent may use it. A context manager; lives once.
    """

    def __init__(self, config: StackConfig | None = None) -> None:
        self.config = config or StackConfig()
        self.stack_id = secrets.token_hex(8)
        self.secret = (
            secrets.token_urlsafe(32) if self.config.secret is None else self.config.secret
        )
        self.url = ""
        """``ws://host:port`` of signaling; known once started."""
        self.http_url = ""
        self.orchestrator_url = ""
        self.store_url = ""
        self.log_dir = Path()
        self.ready_s = 0.0
        """How long ``start`` took until the wanted workers were ready."""
        self._owner = 0
        self._lifeline: Lifeline | None = None
        self._sockets: list[socket.socket] = []
        self._components: list[Component] = []
        self._store: EmbeddedValkey | None = None
        self._api: PoolApi | None = None
        self._meter = ProcessMeter()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return once the wanted number of workers is ready.

        Raises:
            StackError: what did not start, in one line; nothing is left running.
        """
        if self._owner:
            raise StackError("this stack was started before")
        self._owner = os.getpid()
        began = time.monotonic()
        try:
            self._start(began + self.config.ready_timeout_s)
        except BaseException as error:
            self._stop(keep_logs=isinstance(error, StackError))
            raise
        self.ready_s = time.monotonic() - began

    def stop(self) -> None:
        """End every process of the stack; bounded, idempotent, harmless in a fork."""
        if self._owner == os.getpid():
            self._stop(keep_logs=False)

    def check(self) -> None:
        """Raise StackError where a component, not counting workers, has ended by itself."""
        for component in self._components:
            component.check()
        if self._store is not None and self._store.pid is None:
            raise StackError(f"{STORE} ended")

    def pool_snapshot(self) -> Snapshot:
        """Pool counts and what each process uses; CPU since the previous call."""
        counts: PoolCounts | None = None
        if self._api is not None:
            with contextlib.suppress(StackError):
                counts = self._api.counts()
        uses = []
        for role, pid in self.component_pids().items():
            with contextlib.suppress(psutil.Error):
                uses.append(self._meter.use(f"{role}-0", role, psutil.Process(pid)))
        for worker, process in self._worker_processes().items():
            uses.append(self._meter.use(worker, "worker", process))
        return Snapshot(counts, tuple(use for use in uses if use is not None))

    def workers(self) -> list[WorkerView]:
        """What the orchestrator knows of its workers.

        Raises:
            StackError: it did not answer, or nothing runs.
        """
        if self._api is None:
            raise StackError("the stack does not run")
        return self._api.workers()

    def change_policy(self, policy: Mapping[str, Any], pool: str = "default") -> None:
        """Give a pool another policy; raises StackError like ``workers``."""
        if self._api is None:
            raise StackError("the stack does not run")
        self._api.change_policy(pool, policy)

    def answer_s(self) -> float:
        """How long signaling takes to answer the simplest question."""
        return answer_s(self.http_url)

    def log_lines(self, role: str) -> list[str]:
        """What a component has logged, JSON objects most of them; nothing once it has ended."""
        found = [component.log_path for component in self._components if component.role == role]
        try:
            return found[0].read_text(encoding="utf-8", errors="replace").splitlines()
        except (IndexError, OSError):
            return []

    def worker_pids(self) -> dict[str, int]:
        """Worker id to process id, of the workers that run now."""
        return {worker: process.pid for worker, process in self._worker_processes().items()}

    def component_pids(self) -> dict[str, int]:
        """Role to process id of ``store`` (where embedded), ``orchestrator`` and ``signaling``."""
        pids = {component.role: component.pid for component in self._components}
        guard = None if self._store is None else self._store.pid
        if guard is not None:
            with contextlib.suppress(psutil.Error):
                servers = psutil.Process(guard).children()
                if servers:
                    pids[STORE] = servers[0].pid
        return pids

    def _worker_processes(self) -> dict[str, psutil.Process]:
        pids = [c.pid for c in self._components if c.role == ORCHESTRATOR]
        return workers_below(pids[0]) if pids else {}

    # --- start -----------------------------------------------------------------

    def _start(self, deadline: float) -> None:
        config = self.config
        signaling = self._listen(config.host, config.port)
        orchestrator = self._listen("127.0.0.1", config.orchestrator_port)
        self.url = f"ws://{authority(signaling)}"
        self.http_url = f"http://{authority(signaling)}"
        self.orchestrator_url = f"http://{authority(orchestrator)}"
        if config.store_url is not None:
            reach.store(config.store_url)
        self.log_dir = self._make_log_dir()
        self._lifeline = Lifeline()
        self.store_url = config.store_url or self._start_store()
        pools = self.log_dir / "pools.json"
        pools.write_text(json.dumps(arguments.pool_file(config)))
        components = [
            self._spawn(
                ORCHESTRATOR,
                arguments.orchestrator(
                    config,
                    store_url=self.store_url,
                    signaling_url=self.url,
                    pool_path=pools,
                ),
                orchestrator,
            ),
            self._spawn(
                SIGNALING,
                arguments.signaling(
                    config, store_url=self.store_url, orchestrator_url=self.orchestrator_url
                ),
                signaling,
            ),
        ]
        for listener in self._sockets:
            listener.close()
        for component in components:
            component.wait_ready(deadline)
        keys = tokens.Keys.from_secret(self.secret) if self.secret else None
        self._api = PoolApi(self.orchestrator_url, keys)
        self._wait_workers(self._api, deadline)

    def _make_log_dir(self) -> Path:
        try:
            if self.config.log_dir is None:
                return Path(tempfile.mkdtemp(prefix="remote-render-"))
            self.config.log_dir.mkdir(parents=True, exist_ok=True)
            if not os.access(self.config.log_dir, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "not writable")
        except OSError as error:
            where = self.config.log_dir or tempfile.gettempdir()
            raise StackError(f"logs cannot be written to {where}: {error.strerror}") from None
        return self.config.log_dir

    def _start_store(self) -> str:
        self._store = EmbeddedValkey()
        try:
            return self._store.start()
        except StoreUnavailable as error:
            raise StackError(f"{STORE}: {error}") from None

    def _listen(self, host: str, port: int) -> socket.socket:
        listener = listen(host, port)
        self._sockets.append(listener)
        return listener

    def _spawn(self, role: str, argv: list[str], listener: socket.socket) -> Component:
        assert self._lifeline is not None
        component = Component(
            role,
            argv,
            env=self._environment() | {LISTEN_VARIABLE: str(listener.fileno())},
            pass_fds=[listener.fileno(), self._lifeline.read_fd],
            log_dir=self.log_dir,
        )
        self._components.append(component)
        if self.config.nice:
            # Workers inherit it from the orchestrator, which starts none before this.
            for _ in range(priority.TRIES):
                if priority.lower(component.pid, self.config.nice):
                    break
                time.sleep(priority.AGAIN_S)
        return component

    def _environment(self) -> dict[str, str]:
        assert self._lifeline is not None
        ours = {remains.VARIABLE: self.stack_id, lifeline.VARIABLE: str(self._lifeline.read_fd)}
        return child_environment(ours | ({SECRET_VARIABLE: self.secret} if self.secret else {}))

    def _wait_workers(self, api: PoolApi, deadline: float) -> None:
        target = self.config.ready_target
        while api.counts().ready < target:
            self.check()
            if time.monotonic() > deadline:
                logs = sorted(self.log_dir.glob("worker-*.log"), key=lambda p: p.stat().st_mtime)
                tail = log_tail((logs or [self.log_dir / f"{ORCHESTRATOR}.log"])[-1])
                waited = f"{self.config.ready_timeout_s:g} s"
                raise StackError(f"{target} ready workers are not there after {waited}: {tail}")
            time.sleep(POLL_S)

    # --- stop ------------------------------------------------------------------

    def _stop(self, *, keep_logs: bool) -> None:
        """Ask all, wait, then insist; an interruption of the polite part goes on to the rest."""
        for listener in self._sockets:
            listener.close()
        try:
            self._ask_to_end()
        finally:
            if self._lifeline is not None:
                self._lifeline.close()
            remains.kill(self.stack_id)
            for component in self._components:
                component.close()
                component.reap()
            if self._store is not None:
                self._store.stop()
            self._forget(keep_logs)

    def _ask_to_end(self) -> None:
        """SIGTERM to all but the store, which they need to leave in order."""
        processes = remains.find(self.stack_id) if self._components else []
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        remains.wait_gone(processes, self.config.stop_timeout_s)

    def _forget(self, keep_logs: bool) -> None:
        self._components.clear()
        self._store = None
        self._api = None
        temporary = self.config.log_dir is None and self.log_dir != Path()
        if temporary and not keep_logs:
            shutil.rmtree(self.log_dir, ignore_errors=True)
