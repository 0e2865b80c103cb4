"""The real orchestrator on a virtual clock, fed a simulated day; it writes the same event log.

Real are all of ``system.orchestrator`` but the HTTP in front of it, the ledger,
and the memory store. Played are the provider, whose n-th boot takes the day's
n-th boot time; workers, which register, beat, confirm and
die; and signaling, which allocates, polls its tickets and releases.

The event log is read off the store: a change of a session's or a worker's
record is an event, whoever has made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field
from typing import Any

from virtual_time import MICRO, VirtualLoop

from sim import journal as log
from sim.journal import NOBODY, Journal
from sim.model import (
    NEVER_US,
    RANK_ARRIVAL,
    RANK_FAILURE,
    RANK_RENEGE,
    RANK_SERVICE,
    Day,
)
from system.orchestrator.clock import Clock
from system.orchestrator.pools import PoolSpec
from system.orchestrator.providers.base import Exit, Launch, Provider
from system.orchestrator.service import Orchestrator
from system.protocol.messages import (
    Allocated,
    AllocateRequest,
    Register,
    ReleaseRequest,
    Ticket,
)
from system.store.base import Change
from system.store.ledger import Ledger
from system.store.memory import MemoryStore
from system.telemetry.logs import JsonFormatter

UNIX_S = 1_700_000_000
"""When the day begins."""

POLL_S = 1.0 - 1e-7
"""A tenth of a microsecond short, so that none of it is left by rounding when the poll is due."""
HEARTBEAT_MS = 10_000
RANK_END = -1
KILLED = -9

_ENDS = {"abandoned": log.LEAVES, "bye": log.ENDS, "worker_lost": log.INTERRUPTED}
_IN_SERVICE = ("reserved", "connecting", "active")
_WORKER_EVENTS = {
    "booting": log.LAUNCHED,
    "starting": log.STARTED,
    "stopping": log.STOPPED,
    "terminating": log.TERMINATED,
    "failed": log.LOST,
}


def clock(loop: VirtualLoop) -> Clock:
    """The loop's time, for the orchestrator."""
    return Clock(monotonic=lambda: loop.now_us / MICRO, wall=lambda: UNIX_S + loop.now_us / MICRO)


@dataclass
class Lived:
    """What came of a day."""

    journal: Journal
    decisions: list[str]
    """The orchestrator's log, JSON lines."""
    others: list[str] = field(default_factory=list)
    """Its warnings."""


def live(spec: PoolSpec, day: Day) -> Lived:
    """Let the orchestrator live a day with one pool."""
    loop = VirtualLoop(day.begin_us)
    lines = _Lines()
    logger = logging.getLogger("system.orchestrator")
    before = logger.level, logger.propagate
    logger.addHandler(lines)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            twin = Twin(loop, spec, day)
            runner.run(twin.run())
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        logger.removeHandler(lines)
    return Lived(twin.journal, lines.decisions, lines.others)


class Twin:
    """One orchestrator, its provider, its workers and its clients."""

    def __init__(self, loop: VirtualLoop, spec: PoolSpec, day: Day) -> None:
        self.loop = loop
        self.spec = spec
        self.day = day
        self.journal = Journal()
        self.store = WatchedStore(self)
        self.ledger = Ledger(self.store, heartbeat_ms=HEARTBEAT_MS, rng=random.Random(1))
        self.provider = PlayedProvider(self)
        self.orchestrator = Orchestrator(
            self.store, self.ledger, self.provider, [spec], clock=clock(loop)
        )
        self.workers: dict[str, int] = {}
        """Index by id, in the order in which they came to be."""
        self.recording = False
        self.in_service: set[int] = set()
        self._clients: dict[int, asyncio.Task[None]] = {}
        self._placed: dict[int, Allocated] = {}
        self._over = asyncio.Event()

    async def run(self) -> None:
        """The day, from its beginning to just before its end."""
        for index in range(self.spec.initial or 0):
            await self.provider.adopt(f"first-{index}")
        self.recording = True
        for session in range(self.day.sessions):
            at_us = int(self.day.arrival_us[session])
            self.loop.at(at_us, RANK_ARRIVAL, lambda s=session: self._arrive(s))
        self.loop.at(self.day.end_us, RANK_END, self._end_of_day)
        parts = [self.orchestrator.run(), self.provider.beat()]
        tasks = [asyncio.create_task(part) for part in parts]
        await self._over.wait()
        for task in [*tasks, *self._clients.values()]:
            task.cancel()
        for task in [*tasks, *self._clients.values()]:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _end_of_day(self) -> None:
        self.recording = False
        self._over.set()

    # --- clients, and signaling on their behalf ----------------------------------

    def _arrive(self, session: int) -> None:
        self.journal.note(self.loop.now_us, log.ARRIVES, session)
        self._clients[session] = self.loop.create_task(self._client(session))

    async def _client(self, session: int) -> None:
        allocator = self.orchestrator.allocator
        answer = await allocator.allocate(
            AllocateRequest(client_id="c", project_id="p", session_id=f"s{session}")
        )
        patience_us = int(self.day.patience_us[session])
        if isinstance(answer, Ticket):
            if patience_us == 0:
                await allocator.abandon(answer.ticket)
                return
            if patience_us < NEVER_US:
                at_us = self.loop.now_us + patience_us
                self.loop.at(at_us, RANK_RENEGE, lambda: self._renege(session))
        while isinstance(answer, Ticket):
            answer = await allocator.wait(answer.ticket, POLL_S, answer.position)
        assert await self.ledger.confirm(answer.session_id, answer.fence)
        assert await self.ledger.activate(answer.session_id, answer.fence)
        self._placed[session] = answer

    def _renege(self, session: int) -> None:
        if session in self.in_service or session in self._placed:
            return
        self._clients[session].cancel()
        self.loop.create_task(self.orchestrator.allocator.abandon(f"s{session}"))

    def served(self, session: int) -> None:
        """It has its slot; how long it stays counts from here."""
        self.in_service.add(session)
        hold_us = int(self.day.hold_us[session])
        if hold_us < NEVER_US:
            at_us = self.loop.now_us + hold_us
            self.loop.at(at_us, RANK_SERVICE, lambda: self._leave(session))

    def _leave(self, session: int) -> None:
        if session not in self.in_service:
            return
        placed = self._placed[session]
        request = ReleaseRequest(session_id=placed.session_id, fence=placed.fence, reason="bye")
        self.loop.create_task(self.orchestrator.allocator.release(request))


class PlayedProvider(Provider):
    """Starts nothing: workers register when the time drawn for their boot has passed."""

    def __init__(self, twin: Twin) -> None:
        super().__init__()
        self._twin = twin
        self._running: dict[str, Launch] = {}
        self._registered: dict[str, Launch] = {}
        self._exited: list[Exit] = []
        self._launches = self._starts = 0

    async def adopt(self, worker_id: str) -> None:
        """A worker that is there already when the day begins."""
        twin = self._twin
        worker = await twin.ledger.launch(worker_id, twin.spec.name)
        launch = Launch(worker_id, worker.generation + 1, twin.spec.name, twin.spec.slots)
        self._running[worker_id] = launch
        await self._register(launch)

    async def start(self, launch: Launch) -> None:
        loop = self._twin.loop
        self._running[launch.worker_id] = launch
        if launch.anew:
            drawn = self._twin.day.boot_us[self._launches]
            self._launches += 1
        else:
            drawn = self._twin.day.start_us[self._starts]
            self._starts += 1
        at_us = loop.now_us + int(drawn)
        loop.at(at_us, RANK_SERVICE, lambda: loop.create_task(self._register(launch)))

    async def stop(self, worker_id: str, grace_s: float) -> bool:
        return self._exit(worker_id, 0)

    def running(self) -> dict[str, str]:
        return {worker_id: launch.pool for worker_id, launch in self._running.items()}

    def exited(self) -> list[Exit]:
        exited, self._exited = self._exited, []
        return exited

    async def close(self) -> None:
        pass

    async def beat(self) -> None:
        """All workers' heartbeats, for ever."""
        while True:
            for worker_id, launch in self._registered.items():
                assert await self._twin.ledger.heartbeat(worker_id, launch.generation)
            await asyncio.sleep(HEARTBEAT_MS / 1000)

    async def _register(self, launch: Launch) -> None:
        if self._running.get(launch.worker_id) is not launch:
            return
        twin = self._twin
        first = launch.generation == 1
        self._registered[launch.worker_id] = launch
        await twin.ledger.register(
            Register(
                worker_id=launch.worker_id,
                generation=launch.generation,
                pool=launch.pool,
                slots=launch.slots,
            ),
            "node",
        )
        index = twin.workers[launch.worker_id]
        if first and len(twin.day.life_us):
            at_us = twin.loop.now_us + int(twin.day.life_us[index])
            twin.loop.at(at_us, RANK_FAILURE, lambda: self._exit(launch.worker_id, KILLED))

    def _exit(self, worker_id: str, status: int) -> bool:
        launch = self._running.pop(worker_id, None)
        self._registered.pop(worker_id, None)
        if launch is None:
            return False
        self._exited.append(Exit(worker_id, launch.pool, status))
        self.changed.set()
        return True


class WatchedStore(MemoryStore):
    """Notes what becomes of sessions and workers."""

    def __init__(self, twin: Twin) -> None:
        # Half a microsecond on, so that no rounding shows the millisecond before.
        super().__init__(lambda: UNIX_S + (twin.loop.now_us + 0.5) / MICRO)
        self._twin = twin

    async def compare_and_set(self, *changes: Change, publish: str | None = None) -> bool:
        before = {change.key: self._read(change.key) for change in changes}
        done = await super().compare_and_set(*changes, publish=publish)
        for change in changes if done else ():
            record = before[change.key]
            if change.value is not None:
                self._changed(change.key, {} if record is None else record.value, change.value)
        return done

    def _changed(self, key: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        collection, _, name = key.partition(":")
        if collection == "worker":
            self._worker(name, str(old.get("state")), str(new["state"]))
        elif collection == "session":
            self._session(int(name[1:]), old, new)

    def _worker(self, name: str, old: str, new: str) -> None:
        twin = self._twin
        index = twin.workers.setdefault(name, len(twin.workers))
        what = _WORKER_EVENTS.get(new)
        if new == "ready":
            what = {"booting": log.READY, "starting": log.READY, "draining": log.SCRUBBED}.get(old)
        if what is not None and old != new and twin.recording:
            twin.journal.note(twin.loop.now_us, what, NOBODY, index)

    def _session(self, session: int, old: dict[str, Any], new: dict[str, Any]) -> None:
        twin = self._twin
        state, was = str(new["state"]), str(old.get("state"))
        if state == was or not twin.recording:
            return
        loses = twin.day.patience_us[session] == 0
        worker = new["worker_id"] or old.get("worker_id")
        index = NOBODY if worker is None else twin.workers[worker]
        now_us = twin.loop.now_us
        if state == "queued" and not loses:
            twin.journal.note(now_us, log.WAITS, session)
        elif state == "reserved":
            twin.journal.note(now_us, log.SERVED, session, index)
            twin.served(session)
        elif state == "ended" and was in _IN_SERVICE:
            twin.in_service.discard(session)
            twin.journal.note(now_us, _ENDS.get(new["reason"], new["reason"]), session, index)
        elif state == "ended":
            what = log.BLOCKED if loses else _ENDS.get(new["reason"], new["reason"])
            twin.journal.note(now_us, what, session)


class _Lines(logging.Handler):
    """Keeps what the orchestrator logs."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("orchestrator", "twin"))
        self.decisions: list[str] = []
        self.others: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "policy.decided":
            self.decisions.append(self.format(record))
        elif record.levelno >= logging.WARNING:
            self.others.append(self.format(record))
