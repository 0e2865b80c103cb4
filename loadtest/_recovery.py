"""Judges when a system that lost workers is whole again, from what is seen of it. Pure.

A fault has passed when, together and for CONFIRM_S,

- the pool is back at its target: as many workers serve as before the fault,
  without those that were hit, unless they were woken again; or nothing boots
  any more QUIET_S after the last of those hit was given up, because the policy
  wants no more by now;
- every session that had a picture has one again: none is stalled.

The time to recovery runs from the fault to the beginning of that. It is as
coarse as the looks and the viewers' reports, a second or two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from system.protocol.messages import WorkerView
from system.protocol.states import LAUNCHING, SERVING, WorkerState

CONFIRM_S: Final = 3.0
"""Longer than a stall needs to be seen: STALL_S, and two reports on their way."""
QUIET_S: Final = 5.0

Target = Literal["random", "busy", "idle", "all"]


def choose(target: Target, workers: Iterable[WorkerView], rng: Random) -> list[str]:
    """The workers that ``target`` means now; empty where there is none."""
    serving = [worker for worker in workers if WorkerState(worker.state) in SERVING]
    if target == "busy":
        serving = [worker for worker in serving if worker.sessions]
    elif target == "idle":
        serving = [worker for worker in serving if not worker.sessions]
    names = sorted(worker.worker_id for worker in serving)
    if target == "all" or not names:
        return names
    return [names[int(rng.random() * len(names))]]


@dataclass(frozen=True, slots=True)
class _Counts:
    serving: int
    booting: int


class Recovery:
    """One fault, from the moment before it to the recovery, if there is one."""

    def __init__(self, before: Sequence[WorkerView], hit: Collection[str], at_s: float) -> None:
        self.whole_s: float | None = None
        """Time to recovery, once it is certain."""
        self._hit = set(hit)
        self._at_s = at_s
        self._target = _counts(before, ()).serving
        self._quiet_since_s: float | None = None
        self._whole_since_s: float | None = None

    def woken(self) -> None:
        """What was hit goes on again."""
        self._hit.clear()

    def look(self, now_s: float, workers: Sequence[WorkerView], stalled: int) -> None:
        """Take in how things are now."""
        if self.whole_s is not None:
            return
        if not self._at_target(now_s, workers) or stalled:
            self._whole_since_s = None
            return
        if self._whole_since_s is None:
            self._whole_since_s = now_s
        if now_s - max(self._whole_since_s, self._at_s) >= CONFIRM_S:
            self.whole_s = self._whole_since_s - self._at_s

    def _at_target(self, now_s: float, workers: Sequence[WorkerView]) -> bool:
        counts = _counts(workers, self._hit)
        there = {worker.worker_id for worker in workers if _serves(worker)}
        if counts.booting or self._hit & there:
            self._quiet_since_s = None
        elif self._quiet_since_s is None:
            self._quiet_since_s = now_s
        if counts.serving >= self._target:
            return True
        return self._quiet_since_s is not None and now_s - self._quiet_since_s >= QUIET_S


def _serves(worker: WorkerView) -> bool:
    return WorkerState(worker.state) in SERVING


def _counts(workers: Iterable[WorkerView], without: Collection[str]) -> _Counts:
    others = [worker for worker in workers if worker.worker_id not in without]
    return _Counts(
        serving=sum(map(_serves, others)),
        booting=sum(WorkerState(worker.state) in LAUNCHING for worker in others),
    )
