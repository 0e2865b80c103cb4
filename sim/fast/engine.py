"""Runs the fast engine on a pool and a day."""

from __future__ import annotations

import numpy as np

from sim.fast import kernel, queue, state
from sim.model import KINDS, NEVER_US, WAITING, BadModel, Day, NeedsMoreDraws, Outcome, PoolModel
from system.orchestrator.policy import MEMORIES, OBSERVATION_FIELDS


def unsupported(pool: PoolModel) -> str:
    """What keeps the fast engine from simulating this pool; empty if nothing does."""
    if pool.kills:
        return "killing chosen workers"
    return "" if pool.region is None else "a region whose limits several pools share"


def simulate(pool: PoolModel, day: Day) -> Outcome:
    """One pool's day.

    Raises:
        NeedsMoreDraws: the day has too few.
        BadModel: more workers are launched in a day than anybody can mean.
        ValueError: the pool is ``unsupported``.
    """
    if unsupported(pool):
        raise ValueError(f"the fast engine lacks {unsupported(pool)}")
    parts = pool.policy.parts
    parameters = np.zeros((len(parts), max(len(part.parameters) for part in parts)))
    memories = np.zeros((len(parts), max(len(MEMORIES[part.kind]) for part in parts)))
    for index, part in enumerate(parts):
        parameters[index, : len(part.parameters)] = part.parameters
        memory = MEMORIES[part.kind]
        memories[index, : len(memory)] = memory
    count = pool.initial + pool.stopped + len(day.boot_us)
    if count > queue.WORKER_MASK:
        raise BadModel(f"pool: over {queue.WORKER_MASK} workers are launched in one day")
    expires = pool.expiry_us < NEVER_US
    fleet = state.Fleet.of(count, pool.slots, _stops(pool, day, count), expires)
    crowd = state.Crowd.of(day.sessions)
    now = state.counters(pool, day)
    meter = np.zeros((len(day.edges_us), 9), dtype=np.int64)
    meter[:, 0] = day.edges_us
    kernel.simulate(
        now,
        state.limits(pool, day),
        *queue.new(
            now, day.begin_us, day.end_us, 2 * day.sessions + 16, _capacity(pool, day, count)
        ),
        fleet.workers,
        fleet.idle_since,
        fleet.stack,
        fleet.by_slot,
        fleet.lists,
        crowd.sessions,
        crowd.queued,
        crowd.outcome,
        crowd.interrupted,
        meter,
        day.arrival_us,
        day.hold_us,
        day.patience_us,
        day.scrub_us,
        day.retry_us,
        day.boot_us,
        day.boot_fails,
        day.life_us,
        day.spot_us,
        day.start_us,
        np.array(pool.outages_us, dtype=np.int64).reshape(-1, 2),
        np.array([KINDS.index(part.kind) for part in parts], dtype=np.int64),
        parameters,
        memories,
        np.zeros(len(OBSERVATION_FIELDS)),
        np.zeros(4),
        np.zeros(4),
    )
    lacks = state.LACKS.get(int(now[state.STATUS]))
    if lacks is not None:
        raise NeedsMoreDraws(lacks)
    wait_us = crowd.sessions[:, state.WAITED]
    waiting = crowd.outcome == WAITING
    wait_us[waiting] += day.end_us - crowd.sessions[waiting, state.WAITS_SINCE]
    return Outcome(
        crowd.sessions[:, state.ARRIVED_AT],
        wait_us,
        crowd.outcome,
        crowd.interrupted,
        crowd.queued[:, state.LEFT].astype(np.int64),
        meter[:-1, 5:],
        meter[:, 1:5],
        int(now[state.LAUNCHES]),
        int(now[state.DECISIONS]),
    )


def _capacity(pool: PoolModel, day: Day, workers: int) -> int:
    """Moments that can be awaited at one time; unused room costs no memory."""
    per_session = 3 + int(day.retry_us.shape[1])
    per_worker = 12 if pool.expiry_us < NEVER_US else 6
    return per_session * day.sessions + per_worker * workers + len(pool.outages_us) + 64


def _stops(pool: PoolModel, day: Day, workers: int) -> int:
    """Room for stopped workers, which keep their place in the stack when they fail."""
    if all(part.kind != "two-tier" for part in pool.policy.parts):
        return pool.stopped
    return workers + len(day.start_us)
