"""One pool's control loop: on every change and tick it looks, serves the queue, and decides."""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import Mapping
from typing import Any, Final

from system.orchestrator import pools
from system.orchestrator.boots import BootTimes
from system.orchestrator.clock import Clock
from system.orchestrator.eta import Turnover
from system.orchestrator.fleet import Fleet
from system.orchestrator.metrics import Metrics
from system.orchestrator.notices import Notices
from system.orchestrator.policy import (
    LAUNCH,
    OBSERVATION_FIELDS,
    START,
    STOP,
    TERMINATE,
    Numbers,
)
from system.orchestrator.pools import PolicySpec, PoolSpec
from system.orchestrator.providers.base import Exit, Provider
from system.protocol.states import FINAL, LAUNCHING, SERVING, Worker, WorkerState
from system.store.base import StoreUnavailable
from system.store.ledger import Ledger, PoolSnapshot
from system.store.schema import PoolSettings, pool_channel
from system.telemetry import logs

TICK_S: Final = 1.0
"""The pool is looked at this often even when nothing is announced."""

LEAD_AGAIN_S: Final = 1.0
"""A leader says so in the store this often; it is replaced after LEADER_MS without."""

MAX_PAUSE_S: Final = 0.25
PAUSE_PER_LOOK: Final = 3.0
"""After a look that took t, the next one starts 3 t later at the earliest: a busy pool's
changes are looked at together, and looking never takes more than a quarter of the time."""

RETRY_S: Final = 0.25

_ACTIONS: Final = (("launch", LAUNCH), ("terminate", TERMINATE), ("start", START), ("stop", STOP))

_log = logs.get(__name__)


class Reconciler:
    """The pool as it was last seen, and what is done about it.

    ``run`` is the loop; ``changed`` lets others wait for the next look.
    """

    def __init__(
        self,
        spec: PoolSpec,
        ledger: Ledger,
        provider: Provider,
        notices: Notices,
        metrics: Metrics,
        *,
        clock: Clock,
    ) -> None:
        self.spec = spec
        self._clock = clock
        self.policy = self._policy(spec.policy, spec.max_workers)
        self.max_workers = spec.max_workers
        self.snapshot = PoolSnapshot(spec.name, 0, (), ())
        self.turnover = Turnover()
        self.fleet = Fleet(spec, ledger, provider, notices, metrics, clock)
        self.leads = False
        """Whether this orchestrator decides for the pool; others serve its sessions only."""
        self.arrivals = 0
        """Sessions that asked since the last decision."""
        self._ledger = ledger
        self._metrics = metrics
        self._led_s = -math.inf
        self._name = uuid.uuid4().hex
        self._memories = self.policy.memories
        self._due_s = -math.inf
        """When the policy is asked next, where it has an interval."""
        self._started = False
        self._settled = False
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._exits: list[Exit] = []

    # --- for others ------------------------------------------------------------

    def wake(self) -> None:
        """Look soon."""
        self._wake.set()

    def worker_exited(self, ended: Exit) -> None:
        """A process of this pool has ended."""
        self._exits.append(ended)
        self._wake.set()

    async def changed(self) -> None:
        """Wait for the next look at the pool."""
        await self._changed.wait()

    def eta_ms(self, position: int) -> int | None:
        """When a place in the queue can expect a worker; None where nobody can say."""
        return self.turnover.eta_ms(position, self.spec.slots)

    @property
    def scrubbing(self) -> int:
        """Workers that have served and will serve again in a moment."""
        return sum(_scrubbing(worker, self.spec) for worker in self.snapshot.workers)

    async def change_policy(self, given: dict[str, Any] | None, max_workers: int | None) -> None:
        """Change the policy or the quota at run time.

        Raises:
            BadPool: it cannot be used; nothing has changed.
        """
        quota = self.max_workers if max_workers is None else max_workers
        given = self.policy.given if given is None else given
        policy = self._policy(given, quota)
        await self._ledger.set_pool(self.spec.name, self._settings(policy, quota))
        self.policy = policy
        self.max_workers = quota
        self._memories = policy.memories
        self._due_s = -math.inf
        self.wake()

    # --- loop ------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the pool, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name=f"pool {self.spec.name} listener")
            tasks.create_task(self._loop(), name=f"pool {self.spec.name} loop")

    async def _listen(self) -> None:
        while True:
            try:
                async with self._ledger.store.subscribe(pool_channel(self.spec.name)) as messages:
                    self.wake()
                    async for _ in messages:
                        self.wake()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    async def _loop(self) -> None:
        while True:
            began_s = self._clock.monotonic()
            try:
                await self.step()
            except StoreUnavailable as error:
                self._metrics.store_failures.inc()
                _log.warning("pool.unseen", pool=self.spec.name, error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            took_s = self._clock.monotonic() - began_s
            await asyncio.sleep(min(MAX_PAUSE_S, PAUSE_PER_LOOK * took_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_s()):
                    await self._wake.wait()

    def _idle_s(self) -> float:
        """How long to wait for a change."""
        now_s = self._clock.monotonic()
        due_s = min(self.fleet.scrubbed_s, now_s + TICK_S)
        if self.policy.interval_s > 0 and self._due_s > -math.inf:
            due_s = min(due_s, max(self._due_s, self.fleet.launch_from_s))
        return max(0.0, due_s - now_s)

    async def step(self) -> None:
        """One look at the pool and what follows from it."""
        self._wake.clear()
        await self._settle()
        if self.leads and not self._started:
            await self._start()
        exits, self._exits = self._exits, []
        try:
            await self.fleet.mind_exits(exits)
        except StoreUnavailable:
            self._exits = exits + self._exits
            raise
        snapshot = await self._ledger.pool_view(self.spec.name)
        if await self.fleet.tend(snapshot, leads=self.leads):
            snapshot = await self._ledger.pool_view(self.spec.name)
        if await self._serve_queue(snapshot):
            snapshot = await self._ledger.pool_view(self.spec.name)
        self._see(snapshot)
        if self.leads:
            await self._decide(snapshot)

    async def resign(self) -> None:
        """Leave the pool to another orchestrator, at the end."""
        if self.leads:
            self.leads = False
            with contextlib.suppress(StoreUnavailable):
                await self._ledger.resign(self.spec.name, self._name)

    async def _settle(self) -> None:
        """Who decides, and with which settings.

        The one that leads first brings its own; the others take those, and what
        was changed through any of them since.
        """
        name = self.spec.name
        if not self.leads or self._clock.monotonic() - self._led_s >= LEAD_AGAIN_S:
            self._led_s = self._clock.monotonic()
            led, self.leads = self.leads, await self._ledger.lead(name, self._name)
            if self.leads != led:
                _log.info("pool.leads" if self.leads else "pool.follows", pool=name)
                self._due_s = -math.inf
            self._metrics.leads.labels(name).set(self.leads)
        settings = await self._ledger.pool_settings(name)
        ours = self._settings(self.policy, self.max_workers)
        if settings is None or (self.leads and not self._settled):
            await self._ledger.set_pool(name, ours)
        elif settings != ours:
            self._adopt(settings)
        self._settled = True

    def _adopt(self, settings: PoolSettings) -> None:
        try:
            self.policy = self._policy(settings.policy, settings.max_workers)
        except pools.BadPool as error:
            _log.warning("pool.settings_refused", pool=self.spec.name, error=str(error))
            return
        self.max_workers = settings.max_workers
        self._memories = self.policy.memories
        self._due_s = -math.inf

    async def _start(self) -> None:
        """Launch what the pool starts with."""
        snapshot = await self._ledger.pool_view(self.spec.name)
        there = sum(worker.state not in FINAL for worker in snapshot.workers)
        initial = self.spec.initial
        if initial is None:
            empty = PoolSnapshot(self.spec.name, 0, (), ())
            observation = observe(empty, self.spec, self._clock.monotonic(), 0)
            initial = int(self.policy.decide(observation, self._memories)[0][LAUNCH])
        self._started = True
        await self.fleet.launch(max(0, initial - there), delayed=False)

    async def _serve_queue(self, snapshot: PoolSnapshot) -> bool:
        """Give free slots to those who wait longest."""
        first = snapshot.waiting[: snapshot.free_slots]
        if not first:
            return False
        served = await asyncio.gather(
            *(self._ledger.reserve_queued(session_id, self.spec.name) for session_id in first)
        )
        return any(reservation is not None for reservation in served)

    def _see(self, snapshot: PoolSnapshot) -> None:
        self.turnover.see(snapshot)
        self.snapshot = snapshot
        self._metrics.show(snapshot)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _decide(self, snapshot: PoolSnapshot) -> None:
        now_s = self._clock.monotonic()
        if now_s < self._due_s or self.fleet.backing_off:
            return
        self._due_s = _next_due_s(self._due_s, self.policy.interval_s, now_s)
        before = self._memories
        observation = observe(snapshot, self.spec, now_s, self.arrivals)
        actions, self._memories = self.policy.decide(observation, before)
        self.arrivals = 0
        wanted = {name: int(actions[index]) for name, index in _ACTIONS}
        write = _log.info if any(actions) else _log.debug
        write(
            "policy.decided",
            pool=self.spec.name,
            observation=dict(zip(OBSERVATION_FIELDS, observation, strict=True)),
            **self.policy.asked_with(before),
            **wanted,
        )
        for name, count in wanted.items():
            self._metrics.actions.labels(self.spec.name, name).inc(count)
        await self.fleet.start(snapshot, wanted["start"])
        await self.fleet.launch(wanted["launch"])
        await self.fleet.retire(snapshot, stop=wanted["stop"], terminate=wanted["terminate"])

    def _policy(self, given: Mapping[str, Any], quota: int | None) -> PolicySpec:
        lead_s = BootTimes(self.spec.boot, seed=self.spec.seed).mean_s
        clock = self._clock
        return pools.policy(given, quota, lead_s=lead_s, clock=clock.monotonic, wall=clock.wall)

    def _settings(self, policy: PolicySpec, max_workers: int | None) -> PoolSettings:
        return PoolSettings(
            scrub=self.spec.scrubs,
            max_workers=max_workers,
            policy=policy.given,
        )


def _next_due_s(due_s: float, interval_s: float, now_s: float) -> float:
    """Intervals are counted from the first decision, however late one is; missed ones are over."""
    if interval_s <= 0:
        return -math.inf
    if due_s == -math.inf:
        return now_s + interval_s
    return due_s + interval_s * (1 + max(0, math.floor((now_s - due_s) / interval_s)))


def observe(snapshot: PoolSnapshot, spec: PoolSpec, now_s: float, arrivals: int) -> Numbers:
    """The policy's observation of a pool; see system.orchestrator.policy for its fields."""
    idle = busy = booting = stopped = total = 0
    for worker in snapshot.workers:
        if worker.state in FINAL:
            continue
        if worker.state in (WorkerState.STOPPED, WorkerState.STOPPING):
            stopped += 1
            continue
        total += 1
        if worker.state in LAUNCHING or _scrubbing(worker, spec):
            booting += 1
        elif worker.state in SERVING and worker.sessions:
            busy += 1
        elif worker.state in SERVING:
            idle += 1
    return (
        now_s,
        float(idle),
        float(busy),
        float(booting),
        float(stopped),
        float(len(snapshot.waiting)),
        float(total),
        float(arrivals),
        float(snapshot.free_slots),
        float(spec.slots),
    )


def _scrubbing(worker: Worker, spec: PoolSpec) -> bool:
    """It will serve again in a moment."""
    return (
        worker.state is WorkerState.DRAINING
        and not worker.draining
        and not worker.sessions
        and spec.reuse
    )
