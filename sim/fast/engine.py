"""Runs the fast engine on a pool and a day."""

from __future__ import annotations

import numpy as np

from sim.fast import kernel, queue, state
from sim.meter import STATES
from sim.model import KINDS, NEVER_US, WAITING, Day, NeedsMoreDraws, Outcome, PoolModel
from system.orchestrator.policy import MEMORIES


def unsupported(pool: PoolModel) -> str:
    """What keeps the fast engine from simulating this pool; empty if nothing does."""
    return "killing chosen workers" if pool.kills else ""


def simulate(pool: PoolModel, day: Day) -> Outcome:
    """One pool's day.

    Raises:
        NeedsMoreDraws: the day has too few.
        ValueError: the pool is ``unsupported``.
    """
    if unsupported(pool):
        raise ValueError(f"the fast engine lacks {unsupported(pool)}")
    parts = pool.policy.parts
    width = max(10, *(len(part.parameters) for part in parts))
    depth = max(len(MEMORIES[part.kind]) for part in parts)
    parameters = np.zeros((len(parts), width))
    memories = np.zeros((len(parts), depth))
    for index, part in enumerate(parts):
        parameters[index, : len(part.parameters)] = part.parameters
        memory = MEMORIES[part.kind]
        memories[index, : len(memory)] = memory
    worker_count = pool.initial + pool.stopped + len(day.boot_us)
    stops = _stops(pool, day, worker_count)
    arrays_of_sessions = state.sessions(day.sessions)
    now = np.zeros(state.COUNTERS, dtype=np.int64)
    now[state.QUEUE_HEAD] = now[state.QUEUE_TAIL] = -1
    now[state.TOKENS] = pool.burst * pool.refill_us
    now[state.TOKENS_AT] = now[state.SINCE] = day.begin_us
    edges = len(day.edges_us)
    areas = np.zeros((edges - 1, len(STATES)), dtype=np.int64)
    states = np.zeros((edges, len(STATES)), dtype=np.int64)
    moments = 2 * day.sessions + 16
    kernel.simulate(
        now,
        state.limits(pool, day),
        queue.new(day.begin_us, day.end_us, moments, _capacity(pool, day, worker_count)),
        state.workers(worker_count, pool.slots, stops),
        arrays_of_sessions,
        (day.edges_us, areas, states),
        (day.arrival_us, day.hold_us, day.patience_us, day.scrub_us, day.retry_us),
        (day.boot_us, day.boot_fails, day.life_us, day.spot_us, day.start_us),
        np.array(pool.outages_us, dtype=np.int64).reshape(-1, 2),
        np.array([KINDS.index(part.kind) for part in parts], dtype=np.int64),
        parameters,
        memories,
    )
    lacks = state.LACKS.get(int(now[state.STATUS]))
    if lacks is not None:
        raise NeedsMoreDraws(lacks)
    _, at_us, since, wait_us, outcome, interrupted, _, _, _ = arrays_of_sessions
    waiting = outcome == WAITING
    wait_us[waiting] += day.end_us - since[waiting]
    return Outcome(
        at_us,
        wait_us,
        outcome,
        interrupted,
        areas,
        states,
        int(now[state.LAUNCHES]),
        int(now[state.DECISIONS]),
    )


def _capacity(pool: PoolModel, day: Day, workers: int) -> int:
    """Moments that can be awaited at one time; unused room costs no memory."""
    per_session = 3 + day.retry_us.shape[1]
    per_worker = 6 + (8 if pool.expiry_us < NEVER_US else 0)
    return per_session * day.sessions + per_worker * workers + len(pool.outages_us) + 64


def _stops(pool: PoolModel, day: Day, workers: int) -> int:
    """Room for stopped workers, which keep their place in the stack when they fail."""
    if all(part.kind != "two-tier" for part in pool.policy.parts):
        return pool.stopped
    return workers + len(day.start_us)
