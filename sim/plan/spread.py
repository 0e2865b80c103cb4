"""Looks at many candidates at once: in processes on all cores, or on a cluster.

The days are those that ``Evaluator`` would simulate here, and so are the
figures: a search with helpers decides as one without, only sooner.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scenarios.policies import Policy
from sim import scale
from sim.model import Floats
from sim.plan.evaluate import Candidate, Evaluator
from sim.scale import Backend, Parcel

CHUNK_MAX = 16
"""Candidates to a task: few enough that all processes end at about the same time."""

Seen = tuple[list[Floats], list[float]]
"""Of a candidate: statistics of the gates and the cost, day by day."""


@dataclass(frozen=True)
class Spread:
    """Where candidates are looked at; ``auto``: on all cores, once it is worth it."""

    parcel: Parcel
    backend: Backend = "auto"
    cluster: str | None = None

    def looks(
        self, evaluator: Evaluator, every: Sequence[Candidate], days: int
    ) -> Iterator[Candidate]:
        """Look at each until it was seen on so many days; yields them in order, when they were.

        Raises:
            BadModel: the backend is not installed, or its cluster is out of reach.
        """
        import joblib

        backend: Backend = "loky" if self.backend == "auto" else self.backend
        with scale.connected(backend, self.cluster):
            parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
            size = max(1, min(CHUNK_MAX, len(every) // (4 * joblib.effective_n_jobs(-1))))
            chunks = [every[start : start + size] for start in range(0, len(every), size)]
            told = parallel(
                joblib.delayed(_look)(
                    self.parcel,
                    evaluator.first_day,
                    [(one.policy, one.days, days) for one in chunk],
                )
                for chunk in chunks
            )
            for chunk, found in zip(chunks, told, strict=True):
                for one, (values, costs) in zip(chunk, found, strict=True):
                    one.values += values
                    one.costs += costs
                    yield one


_known: dict[tuple[Parcel, int], Evaluator] = {}


def _look(parcel: Parcel, first_day: int, wanted: list[tuple[Policy, int, int]]) -> list[Seen]:
    """In another process, which keeps the days that it has drawn."""
    with contextlib.suppress(ValueError):  # not the main thread: on a cluster
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends us
    key = (parcel, first_day)
    if key not in _known:
        _known.clear()
        _known[key] = Evaluator(scale.unpacked(parcel).scenario, first_day)
    return [_known[key].days(policy, seen, until) for policy, seen, until in wanted]
