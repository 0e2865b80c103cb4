"""The orchestrator without its HTTP: all pools, the sweep, the provider, and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from system.orchestrator.allocator import Allocator
from system.orchestrator.clock import Clock
from system.orchestrator.metrics import Metrics
from system.orchestrator.notices import Notices
from system.orchestrator.pools import PoolSpec
from system.orchestrator.providers.base import Provider
from system.orchestrator.reconciler import Reconciler
from system.protocol.messages import HealthStatus, PoolView, WorkerView
from system.protocol.states import LAUNCHING, WorkerState
from system.store.base import Store, StoreUnavailable
from system.store.ledger import Ledger
from system.telemetry import logs

SWEEP_S: Final = 0.5

_log = logs.get(__name__)


class Orchestrator:
    """Owns every task of the orchestrator; ``run`` holds them until it is cancelled."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        provider: Provider,
        specs: Sequence[PoolSpec],
        *,
        clock: Clock | None = None,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.metrics = Metrics()
        self._provider = provider
        self._clock = clock = clock or Clock()
        self._notices = Notices(store, ledger)
        self.pools = {
            spec.name: Reconciler(spec, ledger, provider, self._notices, self.metrics, clock=clock)
            for spec in specs
        }
        self.allocator = Allocator(self.pools, ledger, self.metrics, clock)

    async def run(self) -> None:
        """Run all parts, for ever; stops the provider's workers at the end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for pool in self.pools.values():
                    tasks.create_task(pool.run(), name=f"pool {pool.spec.name}")
                tasks.create_task(self._sweep(), name="sweep")
                tasks.create_task(self._notices.run(), name="notices")
                tasks.create_task(self._watch_exits(), name="exits")
        finally:
            for pool in self.pools.values():
                await pool.resign()
            await self._provider.close()

    async def health(self) -> dict[str, HealthStatus]:
        """State of the store and of each pool."""
        parts: dict[str, HealthStatus] = {"store": "healthy"}
        try:
            await self.store.now_ms()
        except StoreUnavailable:
            parts["store"] = "unhealthy"
        for name, pool in self.pools.items():
            parts[f"pool:{name}"] = "degraded" if pool.fleet.failed_boots else "healthy"
        return parts

    def pool_views(self) -> list[PoolView]:
        """All pools as they were last seen."""
        return [_view(pool) for pool in self.pools.values()]

    async def worker_views(self) -> list[WorkerView]:
        """All workers, those of the last minute that are gone included."""
        workers = await self.ledger.workers()
        vitals = await self.ledger.vitals(worker.worker_id for worker in workers)
        return [
            WorkerView(
                worker_id=worker.worker_id,
                pool=worker.pool,
                state=worker.state.value,
                slots=worker.slots,
                sessions=worker.sessions,
                renderer=worker.renderer,
                encoder=worker.encoder,
                endpoint=worker.endpoint,
                vitals=vitals.get(worker.worker_id, {}),
            )
            for worker in workers
        ]

    async def drain(self, worker_id: str, deadline_ms: int) -> bool:
        """Take a worker out of service; it ends when its last session has. False: not serving."""
        worker = await self.ledger.drain(worker_id, "drained")
        if worker is None:
            return False
        if worker.sessions:
            self._notices.drain(worker, deadline_ms)
        return True

    async def _sweep(self) -> None:
        silence_s = 3 * self.ledger.heartbeat_ms / 1000
        judge_from_s = self._clock.monotonic() + silence_s
        while True:
            try:
                judge = self._clock.monotonic() >= judge_from_s
                expired = await self.ledger.expire(judge_presence=judge)
            except StoreUnavailable:
                # Nobody could beat either: all workers get the time to do so again.
                judge_from_s = self._clock.monotonic() + silence_s
                self.metrics.store_failures.inc()
            else:
                self._notices.expired(expired)
                for session in expired.sessions:
                    self.metrics.expired.labels(session.reason).inc()
                    _log.info(
                        "session.expired", session_id=session.session_id, reason=session.reason
                    )
                for session in expired.moved:
                    _log.info("session.moves", session_id=session.session_id)
                for worker in expired.workers:
                    _log.warning("worker.lost", worker_id=worker.worker_id, reason="no heartbeat")
            await asyncio.sleep(SWEEP_S)

    async def _watch_exits(self) -> None:
        while True:
            await self._provider.changed.wait()
            self._provider.changed.clear()
            for ended in self._provider.exited():
                pool = self.pools.get(ended.pool)
                if pool is not None:
                    pool.worker_exited(ended)


def _view(pool: Reconciler) -> PoolView:
    snapshot = pool.snapshot
    limit = pool.max_workers
    return PoolView(
        name=pool.spec.name,
        ready=snapshot.count(WorkerState.READY),
        booting=snapshot.count(*LAUNCHING),
        busy=snapshot.count(WorkerState.RESERVED, WorkerState.ACTIVE),
        draining=snapshot.count(WorkerState.DRAINING, WorkerState.TERMINATING),
        scrubbing=pool.scrubbing,
        stopped=snapshot.count(WorkerState.STOPPED, WorkerState.STOPPING),
        failed=snapshot.count(WorkerState.FAILED),
        waiting=len(snapshot.waiting),
        max_workers=-1 if limit is None else limit,
        policy=pool.policy.given,
    )
