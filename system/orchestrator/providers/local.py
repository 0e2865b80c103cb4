"""Workers as child processes of the orchestrator, on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from system.orchestrator.providers.base import Exit, Launch, Provider, ProviderError
from system.protocol import tokens
from system.telemetry import lifeline, logs, priority

CLOSE_S: Final = 2.0
"""Workers that still run when the provider closes get so long."""

COMMAND: Final = (sys.executable, "-m", "system.worker")
_NOT_INHERITED: Final = (
    *("RR_HOST", "RR_PORT", "RR_READY_FD", "RR_LISTEN_FD", "RR_STORE"),
    *("RR_SECRET", "RR_TOKEN", "RR_TURN_SECRET"),
)
"""The orchestrator's own settings, which mean something else to a worker, or are secret."""

_log = logs.get(__name__)


@dataclass(slots=True)
class _Child:
    launch: Launch
    process: Process
    waiter: asyncio.Task[None] | None = None
    killer: asyncio.TimerHandle | None = None


class LocalProvider(Provider):
    """See Provider.

    Args:
        signaling: WebSocket URL that workers connect to.
        worker_args: further arguments of every worker.
        keys: sign the token that each worker is handed; None is development mode.
        log_dir: each worker's standard error goes to a file there; None: to ours.
        command: what to run.
    """

    def __init__(
        self,
        *,
        signaling: str,
        worker_args: Sequence[str] = (),
        keys: tokens.Keys | None = None,
        log_dir: Path | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        super().__init__()
        self._signaling = signaling
        self._worker_args = tuple(worker_args)
        self._keys = keys
        self._log_dir = log_dir
        self._command = tuple(command)
        self._children: dict[str, _Child] = {}
        self._exited: list[Exit] = []

    async def start(self, launch: Launch) -> None:
        fd = lifeline.descriptor()
        with contextlib.ExitStack() as files:
            output = self._open_log(files, launch.worker_id)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    *self._arguments(launch),
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environment(launch.worker_id),
                    pass_fds=() if fd is None else (fd,),
                    start_new_session=True,
                )
            except OSError as error:
                raise ProviderError(error.strerror or type(error).__name__) from None
        child = _Child(launch, process)
        self._children[launch.worker_id] = child
        child.waiter = asyncio.create_task(self._wait(child), name=f"worker {launch.worker_id}")
        _log.info("worker.started", worker_id=launch.worker_id, pid=process.pid)

    async def stop(self, worker_id: str, grace_s: float) -> bool:
        child = self._children.get(worker_id)
        if child is None:
            return False
        _signal(child.process, kill=grace_s <= 0)
        if child.killer is None:
            loop = asyncio.get_running_loop()
            child.killer = loop.call_later(max(grace_s, 0), _signal, child.process)
        return True

    def running(self) -> dict[str, str]:
        return {worker_id: child.launch.pool for worker_id, child in self._children.items()}

    def exited(self) -> list[Exit]:
        exited, self._exited = self._exited, []
        return exited

    async def close(self) -> None:
        children = list(self._children.values())
        for child in children:
            await self.stop(child.launch.worker_id, CLOSE_S)
        waiters = [child.waiter for child in children if child.waiter is not None]
        if waiters:
            await asyncio.wait(waiters, timeout=2 * CLOSE_S)

    def _arguments(self, launch: Launch) -> list[str]:
        return [
            *("--id", launch.worker_id),
            *("--generation", str(launch.generation)),
            *("--pool", launch.pool),
            *("--slots", str(launch.slots)),
            *("--signaling", self._signaling),
            *("--boot-delay", f"{launch.boot_delay_s:.3f}s"),
            *self._worker_args,
        ]

    def _environment(self, worker_id: str) -> dict[str, str]:
        """Ours, without secrets and with the worker's token."""
        kept = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
        if self._keys is None:
            return kept
        return kept | {"RR_TOKEN": tokens.worker_token(self._keys, worker_id, now_s=time.time())}

    def _open_log(self, files: contextlib.ExitStack, worker_id: str) -> IO[bytes] | None:
        if self._log_dir is None:
            return None
        try:
            path = self._log_dir / f"worker-{worker_id}.log"
            return files.enter_context(path.open("ab"))
        except OSError as error:
            raise ProviderError(f"log file: {error.strerror}") from None

    async def _wait(self, child: _Child) -> None:
        await priority.follow(child.process.pid)
        status = await child.process.wait()
        if child.killer is not None:
            child.killer.cancel()
        worker_id = child.launch.worker_id
        del self._children[worker_id]
        self._exited.append(Exit(worker_id, child.launch.pool, status))
        self.changed.set()
        _log.info("worker.exited", worker_id=worker_id, status=status)


def _signal(process: Process, *, kill: bool = True) -> None:
    with contextlib.suppress(ProcessLookupError):
        if kill:
            process.kill()
        else:
            process.terminate()
