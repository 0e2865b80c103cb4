"""One pool of the reference model: its workers, its queue, its limits, its policy.

Written to be read. ``sim.fast`` does the same with numbers only; the order in
which moments are scheduled here is part of the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from sim import journal as log
from sim.fleet import Fleet
from sim.journal import NOBODY, Journal
from sim.model import (
    NEVER_US,
    RANK_FAILURE,
    RANK_SERVICE,
    RANK_TICK,
    SECOND_US,
    Day,
    Kill,
    NeedsMoreDraws,
    PoolModel,
)
from sim.provider import Provider
from sim.worker import Worker
from sim.world import Clock
from system.orchestrator.policy import (
    ALL,
    LAUNCH,
    MEMORIES,
    START,
    STOP,
    TERMINATE,
    Numbers,
)
from system.orchestrator.policy.combined import highest
from system.protocol.states import WorkerState


class Pool:
    """Calls ``serves(session)`` when a session has a slot, ``over(session, whole)`` at its end."""

    def __init__(
        self,
        model: PoolModel,
        day: Day,
        clock: Clock,
        serves: Callable[[int], None],
        over: Callable[[int, bool], None],
        journal: Journal | None = None,
        region: Provider | None = None,
    ) -> None:
        self.model = model
        self.queue: deque[int] = deque()
        self.arrivals = 0
        """Sessions that have asked since the last decision."""
        self.launches = 0
        self.decisions = 0
        self.log: list[tuple[Numbers, Numbers]] | None = None
        """Where it is a list: every observation with the actions that followed."""
        self.fleet = Fleet(model.slots, day, clock)
        self.meter = self.fleet.meter
        self._day = day
        self._clock = clock
        self._serves = serves
        self._over = over
        self._journal = journal
        self._place: dict[int, Worker] = {}
        self._starts = 0
        self._own = Provider(model, clock)
        self._providers = [self._own] if region is None else [self._own, region]
        for provider in self._providers:
            provider.pools.append(self)
        self._memories = [MEMORIES[part.kind] for part in model.policy.parts]

    # --- beginning and policy ----------------------------------------------------

    def begin(self) -> None:
        """Set up the workers of the start, what is known to go wrong, and the policy."""
        self.meter.begin((self.model.initial, 0, 0, self.model.stopped))
        for _ in range(self.model.initial):
            self.fleet.booting += 1
            self._ready(self.fleet.new())
        for _ in range(self.model.stopped):
            worker = self.fleet.new()
            worker.state = WorkerState.STOPPED
            self.fleet.stopped.append(worker)
        for kill in self.model.kills:
            self._at(kill.at_us, RANK_FAILURE, partial(self._kill, kill))
        self._own.begin()
        self._at(self._clock.now_us, RANK_TICK, self._tick)

    def _tick(self) -> None:
        self._decide()
        if self.model.policy.interval_us > 0:
            self._at(self._clock.now_us + self.model.policy.interval_us, RANK_TICK, self._tick)

    def changed(self) -> None:
        """Something has happened; it may have made room for other pools of the region."""
        self.decide_if_asked()
        for provider in self._providers[1:]:
            for pool in provider.pools:
                if pool is not self:
                    pool.decide_if_asked()

    def decide_if_asked(self) -> None:
        """A policy without an interval decides on every event."""
        if self.model.policy.interval_us == 0:
            self._decide()

    def observe(self) -> Numbers:
        """The pool as its policy sees it."""
        return (
            self._clock.now_us / SECOND_US,
            float(self.fleet.idle),
            float(self.fleet.busy),
            float(self.fleet.booting),
            float(len(self.fleet.stopped)),
            float(len(self.queue)),
            float(self.running),
            float(self.arrivals),
            float(self.fleet.free_slots),
            float(self.model.slots),
        )

    def _decide(self) -> None:
        observation = self.observe()
        parts = self.model.policy.parts
        decisions = [
            ALL[part.kind](observation, part.parameters, memory)
            for part, memory in zip(parts, self._memories, strict=True)
        ]
        self._memories = [memory for _, memory in decisions]
        actions = highest(decisions)
        self.arrivals = 0
        self.decisions += 1
        if self.log is not None:
            self.log.append((observation, actions))
        self._start(int(actions[START]))
        self._launch(int(actions[LAUNCH]))
        self._stop(int(actions[STOP]))
        self._terminate(int(actions[TERMINATE]))

    # --- sessions ------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Workers that count against the quota."""
        return self.fleet.running

    def serve(self, session: int) -> None:
        """Give it a slot of the fullest worker with room, the one that got there last.

        Where workers are launched per request, it is the newest one.
        """
        worker = self.fleet.fullest(newest=self.model.per_request)
        self._occupy(worker, session)

    def _occupy(self, worker: Worker, session: int) -> None:
        self.fleet.mark()
        self.fleet.close(worker)
        if not worker.sessions:
            self.fleet.idle -= 1
            self.fleet.busy += 1
        worker.sessions.append(session)
        worker.state = WorkerState.ACTIVE
        self.fleet.open_up(worker)
        self._place[session] = worker
        self._note(log.SERVED, worker, session)
        self._serves(session)
        hold_us = int(self._day.hold_us[session])
        if hold_us < NEVER_US:
            self._at(self._clock.now_us + hold_us, RANK_SERVICE, lambda: self._end(session))

    def _end(self, session: int) -> None:
        worker = self._place.pop(session, None)
        if worker is None:
            return
        self.fleet.mark()
        self.fleet.close(worker)
        worker.sessions.remove(session)
        self._note(log.ENDS, worker, session)
        self._over(session, True)
        if worker.sessions:
            self.fleet.open_up(worker)
        elif worker.noticed:
            self.fleet.leaving -= 1
            worker.state = WorkerState.GONE
        else:
            self.fleet.busy -= 1
            scrubs = len(self._day.scrub_us) > 0
            self._freed(worker, int(self._day.scrub_us[session]) if scrubs else 0)
        self._serve_queue()
        self.changed()

    def _freed(self, worker: Worker, scrub_us: int) -> None:
        """Its last session has ended."""
        if not self.model.reuse:
            worker.state = WorkerState.GONE
            self._note(log.TERMINATED, worker)
        elif scrub_us > 0:
            worker.state = WorkerState.DRAINING
            self.fleet.booting += 1
            at_us = self._clock.now_us + scrub_us
            self._at(at_us, RANK_SERVICE, lambda: self._scrubbed(worker))
        else:
            self._rest(worker)

    def _scrubbed(self, worker: Worker) -> None:
        if worker.state is not WorkerState.DRAINING or worker.noticed:
            return
        self.fleet.mark()
        self.fleet.booting -= 1
        self._note(log.SCRUBBED, worker)
        self._rest(worker)
        self._serve_queue()
        self.changed()

    def _rest(self, worker: Worker) -> None:
        """It is idle from now on."""
        worker.state = WorkerState.READY
        worker.idle_since_us = self._clock.now_us
        self.fleet.idle += 1
        self.fleet.open_up(worker)
        if self.model.expiry_us < NEVER_US:
            since_us = worker.idle_since_us
            at_us = since_us + self.model.expiry_us
            self._at(at_us, RANK_FAILURE, lambda: self._expire(worker, since_us))

    def _serve_queue(self) -> None:
        while self.queue and self.fleet.has_room:
            self.serve(self.queue.popleft())

    # --- workers come ----------------------------------------------------------------

    def launch_for(self, session: int) -> bool:
        """Launch a worker for this session alone, which waits for it; False at the quota."""
        if not self._may_run:
            return False
        self._launch_one(session)
        return True

    def _launch(self, count: int) -> None:
        for _ in range(count):
            if not self._may_run or not self._token():
                return
            self._launch_one()

    def _launch_one(self, bound: int = -1) -> None:
        index = self.launches
        if index >= len(self._day.boot_us):
            raise NeedsMoreDraws("launches")
        self.launches += 1
        self.fleet.mark()
        self.fleet.booting += 1
        worker = self.fleet.new()
        worker.state = WorkerState.BOOTING
        worker.bound = bound
        self._note(log.LAUNCHED, worker)
        at_us = self._clock.now_us + int(self._day.boot_us[index])
        if self._day.boot_fails[index]:
            self._at(at_us, RANK_FAILURE, lambda: self._boot_failed(worker))
        else:
            self._at(at_us, RANK_SERVICE, lambda: self._booted(worker))

    def _boot_failed(self, worker: Worker) -> None:
        if worker.state is WorkerState.BOOTING:
            self._lose(worker, WorkerState.FAILED)

    def _booted(self, worker: Worker) -> None:
        if worker.state not in (WorkerState.BOOTING, WorkerState.STARTING):
            return
        self._note(log.READY, worker)
        self._ready(worker)
        if worker.bound >= 0:
            self._occupy(worker, worker.bound)
        self._serve_queue()
        self.changed()

    def _ready(self, worker: Worker) -> None:
        self.fleet.mark()
        self.fleet.booting -= 1
        self._rest(worker)
        if worker.was_ready:
            return
        worker.was_ready = True
        now_us = self._clock.now_us
        for drawn, action in (
            (self._day.life_us, self._failed),
            (self._day.spot_us, self._noticed),
        ):
            if len(drawn):
                if worker.index >= len(drawn):
                    raise NeedsMoreDraws("launches")
                at_us = now_us + int(drawn[worker.index])
                if at_us < NEVER_US:
                    self._at(at_us, RANK_FAILURE, partial(action, worker))

    def _start(self, count: int) -> None:
        for _ in range(count):
            if not self.fleet.stopped or not self._may_run:
                return
            if self._starts >= len(self._day.start_us):
                raise NeedsMoreDraws("starts")
            at_us = self._clock.now_us + int(self._day.start_us[self._starts])
            self._starts += 1
            self.fleet.mark()
            worker = self.fleet.stopped.pop()
            worker.state = WorkerState.STARTING
            self._note(log.STARTED, worker)
            self.fleet.booting += 1
            self._at(at_us, RANK_SERVICE, partial(self._booted, worker))

    @property
    def _may_run(self) -> bool:
        """Whether there is capacity and quota for one more worker."""
        return all(provider.has_room and not provider.is_out for provider in self._providers)

    def _token(self) -> bool:
        """Take a launch token of each provider, if all have one."""
        if not all(provider.has_token() for provider in self._providers):
            return False
        for provider in self._providers:
            provider.take_token()
        return True

    # --- workers go ------------------------------------------------------------------

    def _terminate(self, count: int) -> None:
        """Of the idle ones those that have been idle longest."""
        for worker in self.fleet.idle_longest(count):
            self.fleet.drop(worker, WorkerState.GONE)
            self._note(log.TERMINATED, worker)

    def _stop(self, count: int) -> None:
        for worker in self.fleet.idle_longest(count):
            self.fleet.drop(worker, WorkerState.STOPPED)
            self.fleet.stopped.append(worker)
            self._note(log.STOPPED, worker)

    def _expire(self, worker: Worker, since_us: int) -> None:
        if worker.state is WorkerState.READY and worker.idle_since_us == since_us:
            self._lose(worker, WorkerState.GONE)

    def _failed(self, worker: Worker) -> None:
        if worker.exists:
            self._lose(worker, WorkerState.FAILED)

    def _noticed(self, worker: Worker) -> None:
        if not worker.exists or worker.noticed:
            return
        if not worker.sessions:
            self._lose(worker, WorkerState.GONE)
            return
        self.fleet.mark()
        self.fleet.close(worker)
        worker.noticed = True
        worker.state = WorkerState.DRAINING
        self.fleet.busy -= 1
        self.fleet.leaving += 1
        at_us = self._clock.now_us + self.model.notice_us
        self._at(at_us, RANK_FAILURE, lambda: self._failed(worker))
        self.changed()

    def _kill(self, kill: Kill) -> None:
        chosen = [
            worker
            for worker in self.fleet.workers
            if worker.exists
            and worker.state is not WorkerState.STOPPED
            and (kill.target != "busy" or worker.sessions)
            and (kill.target != "idle" or worker.state is WorkerState.READY)
        ]
        if chosen and kill.target != "all":
            chosen = [chosen[int(kill.draw * len(chosen))]]
        for worker in chosen:
            self._lose(worker, WorkerState.FAILED)

    def _lose(self, worker: Worker, state: WorkerState) -> None:
        """It is gone against the policy's will, and its sessions with it."""
        self.fleet.drop(worker, state)
        self._note(log.LOST, worker)
        for session in worker.sessions:
            del self._place[session]
            self._note(log.INTERRUPTED, worker, session)
            self._over(session, False)
        worker.sessions.clear()
        self.changed()

    def _note(self, what: str, worker: Worker, session: int = NOBODY) -> None:
        if self._journal is not None:
            self._journal.note(self._clock.now_us, what, session, worker.index)

    def _at(self, at_us: int, rank: int, action: Callable[[], None]) -> None:
        self._clock.at(at_us, rank, action)
