"""Keeps one pool's records and its provider's processes in step, and carries out actions."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import Final

from system.orchestrator.boots import BootTimes
from system.orchestrator.clock import Clock
from system.orchestrator.metrics import Metrics
from system.orchestrator.notices import Notices
from system.orchestrator.pools import PoolSpec
from system.orchestrator.providers.base import Exit, Launch, Provider, ProviderError
from system.protocol.states import FINAL, LAUNCHING, Worker, WorkerState
from system.store.ledger import Ledger, PoolSnapshot
from system.telemetry import logs

GRACE_S: Final = 5.0
"""A worker that was told to go gets so long before it is killed."""

FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Coming:
    """A worker on its way into the pool."""

    delay_s: float
    since_ms: int
    anew: bool
    """Launched; else it was stopped."""


class Fleet:
    """The workers of one pool. Every method may be repeated, and raises only StoreUnavailable."""

    def __init__(
        self,
        spec: PoolSpec,
        ledger: Ledger,
        provider: Provider,
        notices: Notices,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._spec = spec
        self._ledger = ledger
        self._provider = provider
        self._notices = notices
        self._metrics = metrics
        self._clock = clock
        self._boots = BootTimes(spec.boot, seed=spec.seed)
        self._starts = BootTimes(spec.start, seed=spec.seed, what="start")
        self._delayed = self._started = 0
        self._coming: dict[str, _Coming] = {}
        self.failed_boots = 0
        """Boots that failed since one last succeeded."""
        self.launch_from_s = -math.inf
        """Boots have failed lately: nothing is launched before this time."""
        self.scrubbed_s = math.inf
        """When the next worker has rested enough, so that a look is due."""

    @property
    def backing_off(self) -> bool:
        """Nothing is launched for a while."""
        return self._clock.monotonic() < self.launch_from_s

    async def launch(self, count: int, *, delayed: bool = True) -> None:
        """Start ``count`` workers, each with its drawn boot delay."""
        for _ in range(count):
            if self.backing_off:
                return
            worker_id = f"{self._spec.name}-{uuid.uuid4().hex[:8]}"
            delay_s = 0.0
            if delayed:
                delay_s = self._boots.delay_s(self._delayed)
                self._delayed += 1
            worker = await self._ledger.launch(worker_id, self._spec.name)
            _log.info(
                "worker.launched",
                worker_id=worker_id,
                pool=self._spec.name,
                delay_s=round(delay_s, 6) if delayed else None,
            )
            await self._begin(worker, _Coming(delay_s, worker.created_ms, anew=True))

    async def start(self, snapshot: PoolSnapshot, count: int) -> None:
        """Start ``count`` stopped workers, those that were stopped last, each with its delay."""
        running = self._provider.running()
        rest = [w for w in snapshot.workers if w.state is WorkerState.STOPPED]
        for worker in [w for w in reversed(rest) if w.worker_id not in running][:count]:
            if self.backing_off:
                return
            starting = await self._ledger.start(worker.worker_id)
            if starting is None:
                continue
            delay_s = self._starts.delay_s(self._started)
            self._started += 1
            _log.info(
                "worker.starting",
                worker_id=worker.worker_id,
                pool=self._spec.name,
                delay_s=round(delay_s, 6),
            )
            await self._begin(starting, _Coming(delay_s, starting.changed_ms, anew=False))

    async def _begin(self, worker: Worker, coming: _Coming) -> None:
        worker_id = worker.worker_id
        self._coming[worker_id] = coming
        launch = Launch(
            worker_id,
            worker.generation + 1,
            self._spec.name,
            self._spec.slots,
            coming.delay_s,
            anew=coming.anew,
        )
        try:
            await self._provider.start(launch)
        except ProviderError as error:
            await self._boot_failed(worker_id, f"not started: {error}")

    async def retire(self, snapshot: PoolSnapshot, *, stop: int, terminate: int) -> None:
        """Of the idle workers those that have been idle longest: stop some, end the next ones.

        One that another provider runs could not be started again: it ends.
        """
        idle = [w for w in snapshot.workers if w.state is WorkerState.READY and w.free_slots > 0]
        running = self._provider.running()
        for place, worker in enumerate(idle[: stop + terminate]):
            if place < stop and worker.worker_id in running:
                await self._stop(worker)
            else:
                await self._terminate(worker, "scale in")

    async def _stop(self, worker: Worker) -> None:
        if await self._ledger.stop(worker.worker_id) is None:
            return
        _log.info("worker.stopping", worker_id=worker.worker_id)
        await self._provider.stop(worker.worker_id, GRACE_S)

    async def mind_exits(self, exits: list[Exit]) -> None:
        """Workers of this pool whose processes have ended."""
        for ended in exits:
            self._coming.pop(ended.worker_id, None)
            worker = await self._ledger.get_worker(ended.worker_id)
            if worker is None or worker.state in FINAL:
                continue
            if worker.state in (WorkerState.STOPPING, WorkerState.STOPPED):
                await self._ledger.stopped(worker.worker_id)
                continue
            expected = worker.draining or worker.state is WorkerState.TERMINATING
            if expected:
                self._notices.worker_ended(await self._ledger.gone(worker.worker_id))
            elif worker.state in LAUNCHING:
                await self._boot_failed(worker.worker_id, _how(ended.status))
            else:
                await self._fail(worker.worker_id, _how(ended.status))

    async def tend(self, snapshot: PoolSnapshot, *, leads: bool = True) -> bool:
        """Move workers on that wait for the orchestrator; True if a record changed.

        One that does not lead minds the processes of its own provider only.
        """
        changed = False
        self.scrubbed_s = math.inf
        running = self._provider.running()
        for worker in snapshot.workers:
            if worker.state in FINAL:
                self._coming.pop(worker.worker_id, None)
                overstays = snapshot.now_ms - worker.changed_ms > 1000 * GRACE_S
                if worker.worker_id in running and (
                    overstays or worker.state is WorkerState.FAILED
                ):
                    await self._provider.stop(worker.worker_id, 0)
            elif leads:
                changed |= await self._tend(worker, snapshot.now_ms, worker.worker_id in running)
            if worker.ready_ms and worker.state not in LAUNCHING:
                coming = self._coming.pop(worker.worker_id, None)
                if coming is not None:
                    self._came(worker, coming)
        known = {worker.worker_id for worker in snapshot.workers}
        for worker_id, pool in running.items():
            if pool == self._spec.name and worker_id not in known:
                # The store has lost it; it registers again when its next heartbeat is refused.
                await self._ledger.launch(worker_id, pool)
                changed = True
        return changed

    async def _tend(self, worker: Worker, now_ms: int, running: bool) -> bool:
        in_state_ms = now_ms - worker.changed_ms
        match worker.state:
            case WorkerState.DRAINING if worker.sessions:
                return False
            case WorkerState.DRAINING if worker.draining or not self._spec.reuse:
                await self._terminate(worker, "drained" if worker.draining else "used")
                return True
            case WorkerState.DRAINING:
                return await self._rested(worker, in_state_ms)
            case WorkerState.TERMINATING if not running and in_state_ms > 2000 * GRACE_S:
                await self._ledger.gone(worker.worker_id)
                return True
            case WorkerState.STOPPING if not running and in_state_ms > 2000 * GRACE_S:
                return await self._ledger.stopped(worker.worker_id) is not None
        if worker.state in LAUNCHING and in_state_ms > 1000 * self._boot_deadline_s(worker):
            await self._boot_failed(worker.worker_id, "not ready in time")
            await self._provider.stop(worker.worker_id, 0)
            return True
        return False

    async def _rested(self, worker: Worker, rested_ms: int) -> bool:
        """Let a used worker serve again once it has rested enough."""
        left_s = self._spec.scrub_s - rested_ms / 1000
        if left_s > 0:
            self.scrubbed_s = min(self.scrubbed_s, self._clock.monotonic() + left_s)
            return False
        scrubbed = await self._ledger.scrubbed(worker.worker_id)
        if scrubbed is None:
            return False
        scrub_s = (scrubbed.changed_ms - worker.changed_ms) / 1000
        _log.info("worker.scrubbed", worker_id=worker.worker_id, scrub_s=scrub_s)
        return True

    def _boot_deadline_s(self, worker: Worker) -> float:
        coming = self._coming.get(worker.worker_id)
        return self._spec.boot_deadline_s + (0.0 if coming is None else coming.delay_s)

    async def _terminate(self, worker: Worker, reason: str) -> None:
        if await self._ledger.terminate(worker.worker_id, reason) is None:
            return
        _log.info("worker.terminated", worker_id=worker.worker_id, reason=reason)
        if not await self._provider.stop(worker.worker_id, GRACE_S):
            self._notices.drain(worker)

    async def _boot_failed(self, worker_id: str, reason: str) -> None:
        self.failed_boots += 1
        pause_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (self.failed_boots - 1))
        self.launch_from_s = self._clock.monotonic() + pause_s
        self._metrics.boot_failures.labels(self._spec.name).inc()
        await self._fail(worker_id, reason)

    async def _fail(self, worker_id: str, reason: str) -> None:
        _log.warning("worker.failed", worker_id=worker_id, pool=self._spec.name, reason=reason)
        self._coming.pop(worker_id, None)
        self._notices.worker_ended(await self._ledger.fail(worker_id, reason))

    def _came(self, worker: Worker, coming: _Coming) -> None:
        self.failed_boots = 0
        self.launch_from_s = -math.inf
        took_s = (worker.ready_ms - coming.since_ms) / 1000
        if coming.anew:
            self._metrics.boot.labels(self._spec.name).observe(took_s)
            _log.info("worker.ready", worker_id=worker.worker_id, boot_s=round(took_s, 3))
        else:
            _log.info("worker.started", worker_id=worker.worker_id, start_s=round(took_s, 3))


def _how(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exited with status {status}"
