"""The workers of one pool of the reference model: who is in which state, who has room.

It keeps counts and their areas over time; it schedules nothing and decides nothing.
"""

from __future__ import annotations

from sim.meter import Meter
from sim.model import Day
from sim.worker import Worker
from sim.world import Clock
from system.protocol.states import WorkerState


class Fleet:
    """``idle``, ``booting`` (or being scrubbed), ``busy`` and ``leaving`` (under a spot notice)
    are counts; ``stopped`` workers are listed, who was stopped last stands last."""

    def __init__(self, slots: int, day: Day, clock: Clock) -> None:
        self.meter = Meter(day.begin_us, day.edges_us)
        self.workers: list[Worker] = []
        self.stopped: list[Worker] = []
        self.idle = self.booting = self.busy = self.leaving = 0
        self._slots = slots
        self._clock = clock
        self._open: list[dict[int, Worker]] = [{} for _ in range(slots)]
        """Workers with room by the number of their sessions; who came last stands last."""

    @property
    def running(self) -> int:
        """Workers that count against the quota."""
        return self.idle + self.busy + self.booting + self.leaving

    @property
    def free_slots(self) -> int:
        return sum((self._slots - used) * len(workers) for used, workers in enumerate(self._open))

    @property
    def has_room(self) -> bool:
        return any(self._open)

    def fullest(self, newest: bool) -> Worker:
        """Of the workers with room the fullest; of those who got there last, or the newest."""
        workers = self._open[max(used for used, workers in enumerate(self._open) if workers)]
        return workers[max(workers) if newest else next(reversed(workers))]

    def idle_longest(self, count: int) -> list[Worker]:
        """So many idle workers, who has been idle longest first."""
        return list(self._open[0].values())[:count]

    def new(self) -> Worker:
        """A worker that is in no count yet."""
        worker = Worker(len(self.workers), self._slots)
        self.workers.append(worker)
        return worker

    def open_up(self, worker: Worker) -> None:
        """It takes sessions if it serves and has room."""
        used = len(worker.sessions)
        if worker.serves and used < self._slots:
            self._open[used][worker.index] = worker

    def close(self, worker: Worker) -> None:
        """It takes no session, if it did."""
        used = len(worker.sessions)
        if used < self._slots:
            self._open[used].pop(worker.index, None)

    def drop(self, worker: Worker, state: WorkerState) -> None:
        """It leaves the counts of its state."""
        self.mark()
        self.close(worker)
        if worker.state is WorkerState.STOPPED:
            self.stopped.remove(worker)
        elif worker.on_its_way:
            self.booting -= 1
        elif worker.noticed:
            self.leaving -= 1
        elif worker.sessions:
            self.busy -= 1
        else:
            self.idle -= 1
        worker.state = state

    def mark(self) -> None:
        """The counts are about to change."""
        self.finish(self._clock.now_us)

    def finish(self, end_us: int) -> None:
        """The counts have held until then."""
        held = (self.idle, self.booting, self.busy + self.leaving, len(self.stopped))
        self.meter.advance(end_us, held)
