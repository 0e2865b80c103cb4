"""When a waiting session can expect a worker: from observed boot times and turnover."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from typing import Final

from system.protocol.states import LAUNCHING, SERVING, Worker, WorkerState
from system.store.ledger import PoolSnapshot

KEPT_BOOTS: Final = 32
KEPT_DEPARTURES: Final = 64
WINDOW_MS: Final = 600_000
MAX_ETA_MS: Final = 24 * 3600 * 1000


def eta_ms(
    position: int, boots_left_ms: Iterable[float], slots: int, freed_per_ms: float
) -> int | None:
    """Milliseconds until ``position`` slots have come free; None where nobody can say.

    Slots come free steadily, as sessions end, and ``slots`` at a time as boots are done.
    """
    booted = 0
    for left_ms in sorted(boots_left_ms):
        if freed_per_ms * left_ms + booted >= position:
            break
        booted += slots
        if freed_per_ms * left_ms + booted >= position:
            return int(left_ms)
    if freed_per_ms <= 0:
        return None
    return min(MAX_ETA_MS, int((position - booted) / freed_per_ms))


class Turnover:
    """What one pool's snapshots show of boot times and of slots that come free."""

    def __init__(self) -> None:
        self._boots_ms: deque[int] = deque(maxlen=KEPT_BOOTS)
        self._departures_ms: deque[int] = deque(maxlen=KEPT_DEPARTURES)
        self._since_ms: int | None = None
        self._since_ms_of: dict[str, int] = {}
        """Workers on their way into the pool, and since when."""
        self._held: frozenset[str] = frozenset()
        self._last: PoolSnapshot | None = None

    def see(self, snapshot: PoolSnapshot) -> None:
        """Take the next snapshot in."""
        if self._since_ms is None:
            self._since_ms = snapshot.now_ms
        for worker in snapshot.workers:
            began_ms = self._since_ms_of.get(worker.worker_id)
            if began_ms is not None and worker.state in SERVING:
                self._boots_ms.append(worker.ready_ms - began_ms)
        held = frozenset(s for worker in snapshot.workers for s in worker.sessions)
        self._departures_ms.extend(snapshot.now_ms for _ in self._held - held)
        self._held = held
        self._since_ms_of = {
            w.worker_id: _since_ms(w) for w in snapshot.workers if w.state in LAUNCHING
        }
        self._last = snapshot

    @property
    def boot_ms(self) -> float | None:
        """Median of the boots seen."""
        return statistics.median(self._boots_ms) if self._boots_ms else None

    def freed_per_ms(self, now_ms: int) -> float:
        """Slots that came free per millisecond over the last minutes."""
        recent = [at for at in self._departures_ms if now_ms - at <= WINDOW_MS]
        if not recent or self._since_ms is None:
            return 0.0
        full = len(self._departures_ms) == KEPT_DEPARTURES
        start = recent[0] if full else max(self._since_ms, now_ms - WINDOW_MS)
        return len(recent) / max(1000, now_ms - start)

    def eta_ms(self, position: int, slots: int) -> int | None:
        """ETA of a place in the queue as of the last snapshot."""
        snapshot = self._last
        if snapshot is None:
            return None
        booting = [w for w in snapshot.workers if w.state in LAUNCHING]
        left_ms = [] if self.boot_ms is None else [self._left_ms(w, snapshot) for w in booting]
        return eta_ms(position, left_ms, slots, self.freed_per_ms(snapshot.now_ms))

    def _left_ms(self, worker: Worker, snapshot: PoolSnapshot) -> float:
        """What is left of a boot; one that takes longer than usual may still take a tenth."""
        boot_ms = self.boot_ms or 0.0
        return max(boot_ms - (snapshot.now_ms - _since_ms(worker)), boot_ms / 10)


def _since_ms(worker: Worker) -> int:
    """When it was launched, or started from stopped."""
    return worker.changed_ms if worker.state is WorkerState.STARTING else worker.created_ms
