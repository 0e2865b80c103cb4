"""Fuzzed days for both hosts of a policy: the orchestrator's pool, the simulator's, and draws.

Times are whole milliseconds, because the store's clock counts those. On a
policy's ticks there is nothing else: all other events fall on odd milliseconds.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from twin import UNIX_S, live

from sim import journal as log
from sim.journal import Event, Journal
from sim.model import NEVER_US, Day, Ints, Outcome, PolicyModel, PolicyPart, PoolModel
from sim.reference import Reference
from sim.replay import replay
from system.orchestrator import pools
from system.orchestrator.boots import BootTimes
from system.orchestrator.policy import OBSERVATION_FIELDS, Numbers
from system.orchestrator.pools import PolicySpec, PoolSpec

MILLI = 1_000
SECOND = 1_000_000

FORECAST = {"origin_s": float(UNIX_S), "step_s": 40.0, "values": [1.0, 4.0, 9.0, 6.0, 2.0, 3.0]}
STEPS = [{"at_s": 0.0, "warm": 1}, {"at_s": 60.0, "warm": 4}, {"at_s": 150.0, "warm": "30%"}]

TIMELESS = ("fixed", "buffer", "target", "two-tier")
"""Kinds that decide the same however often they are asked: those are fit for interval 0s."""
ON_TICKS = (*TIMELESS, "schedule", "ewma", "holt-winters", "mtginf")


@dataclass(frozen=True)
class Case:
    """One day of one pool, for either host."""

    spec: PoolSpec
    model: PoolModel
    day: Day


def policy_of(kind: str, rng: random.Random) -> dict[str, Any]:
    """A policy of this kind as it is written in a pool's configuration."""
    warm = rng.choice([0, 1, 2, 4, "30%"])
    method = {"kind": "predictive", "method": kind, "headroom": warm}
    match kind:
        case "fixed":
            return {"kind": kind, "size": rng.randrange(1, 9)}
        case "buffer":
            return {"kind": kind, "warm": warm}
        case "two-tier":
            return {"kind": kind, "warm": rng.choice([1, 2]), "stopped": rng.choice([1, 3])}
        case "target":
            return {"kind": kind, "utilisation": rng.choice([0.5, 0.8, 1.0]), "min": 1}
        case "schedule":
            return {"kind": kind, "steps": STEPS, "midnight_s": float(UNIX_S)}
        case "mtginf":
            return method | {"forecast": FORECAST}
        case "holt-winters":
            return method | {"half_life_s": 30.0, "season_s": 120.0}
    return method | {"half_life_s": 20.0}


def fuzzed(seed: int, kind: str, *, interval_s: float = 0.0) -> Case:
    """A day that is the same for one seed; kinds joined by a plus are combined."""
    attempts = (_drawn(f"{seed} {n}", kind, interval_s) for n in range(9))
    return next(case for case in attempts if not scrub_ties(simulate(case)[1]))


def _drawn(seed: str, kind: str, interval_s: float) -> Case:
    rng = random.Random(f"twin {seed} {kind} {interval_s}")
    draw = np.random.default_rng(rng.getrandbits(64))
    unit_us = rng.choice([2 * MILLI, SECOND])
    tiers = "two-tier" in kind
    bounded = interval_s > 0 or not tiers
    """Bounds let the two tiers fill up one after the other, each time that they are asked."""
    parts = [policy_of(one, rng) for one in kind.split("+")]
    for part in parts:
        part["interval_s"] = interval_s
        if bounded:
            part["min"] = rng.choice([part.get("min", 0), 2])
            part["max"] = rng.choice([None, 6, 12])
        if interval_s > 0:
            part["cooldown_s"] = rng.choice([0.0, 0.0, 15.0])
            part["scale_in_delay_s"] = rng.choice([0.0, 0.0, 20.0])
    boot = rng.choice(
        [
            None,
            {"dist": "deterministic", "mean_s": 12.0},
            {"dist": "exponential", "mean_s": 15.0},
            {"dist": "lognormal", "mean_s": 20.0, "cv": 0.7},
        ]
    )
    reuse = rng.random() < 0.8
    scrub_us = rng.choice([0, 3 * SECOND]) if reuse and unit_us < SECOND else 0
    boot_seed = rng.getrandbits(30)
    spec = PoolSpec(
        slots=rng.choice([1, 1, 1, 2, 4]),
        initial=rng.choice([0, 2, 5]),
        max_workers=rng.choice([None, 5, 9]) if bounded else None,
        policy=parts[0] if len(parts) == 1 else {"kind": "max", "of": parts},
        boot=boot,
        seed=boot_seed,
        scrub_s=scrub_us / SECOND,
        reuse=reuse,
    )

    def times(mean_s: float, size: int) -> Ints:
        drawn = draw.standard_exponential(size) * mean_s * SECOND
        return np.asarray(np.ceil(drawn / unit_us), dtype=np.int64) * unit_us

    count = rng.randrange(10, 70)
    hold_us = times(rng.choice([5, 20, 60]), count)
    if rng.random() < 0.3:
        hold_us = np.full(count, 30 * SECOND)
    patience_us = rng.choice(
        [
            np.full(count, NEVER_US),
            np.zeros(count, dtype=np.int64),
            times(15, count),
            np.full(count, 20 * SECOND),
        ]
    )
    boots = BootTimes(boot, seed=boot_seed)
    odd_us = MILLI if interval_s > 0 else 0
    many = 3000
    boot_us = np.array([boots.delay_s(index) for index in range(many)]) * SECOND
    life_us = times(120, many) if rng.random() < 0.25 and not tiers else np.zeros(0, dtype=np.int64)
    day = Day(
        arrival_us=np.cumsum(times(rng.choice([1, 3, 6]), count)) + MILLI,
        hold_us=hold_us,
        patience_us=patience_us,
        scrub_us=np.full(count if scrub_us else 0, scrub_us, dtype=np.int64),
        boot_us=np.asarray(np.ceil(boot_us / unit_us), dtype=np.int64) * unit_us + odd_us,
        boot_fails=np.zeros(many, dtype=np.bool_),
        life_us=life_us + (odd_us if interval_s > 0 else 0),
        spot_us=np.zeros(0, dtype=np.int64),
        start_us=times(5, many) + odd_us,
        begin_us=0,
        end_us=240 * SECOND,
        edges_us=np.array([0, 240 * SECOND]),
    )
    return Case(spec, model_of(spec), day)


def model_of(spec: PoolSpec) -> PoolModel:
    """The simulator's pool of the same configuration, asked with the very same numbers."""
    policy = asked(spec)
    return PoolModel(
        policy=PolicyModel(
            tuple(PolicyPart(part.kind, part.parameters) for part in policy.parts),
            round(policy.interval_s * SECOND),
        ),
        initial=spec.initial or 0,
        slots=spec.slots,
        reuse=spec.reuse,
        max_workers=1 << 30 if spec.max_workers is None else spec.max_workers,
    )


def asked(spec: PoolSpec) -> PolicySpec:
    """The policy as the orchestrator reads it at the beginning of the day."""
    return pools.policy(
        spec.policy,
        spec.max_workers,
        lead_s=BootTimes(spec.boot, seed=spec.seed).mean_s,
        clock=lambda: 0.0,
        wall=lambda: float(UNIX_S),
    )


def simulate(case: Case) -> tuple[Outcome, list[Event], list[tuple[Numbers, Numbers]]]:
    """The simulator's day: outcome, events, and each observation with its actions."""
    journal = Journal()
    world = Reference([(case.model, case.day)], journal=journal)
    (pool,) = world.pools
    pool.log = []
    (outcome,) = world.run()
    return outcome, journal.events, pool.log


def scrub_ties(events: list[Event]) -> bool:
    """Whether a scrub ends at the very millisecond of an event of another worker or session.

    The orchestrator learns by a timer that a scrub is over, which has no place
    in the order of events of one instant.
    """
    ends = [event for event in events if event.what == log.SCRUBBED]
    what_follows = (log.SCRUBBED, log.SERVED, log.LAUNCHED, log.TERMINATED)
    others = {event.at_us for event in events if event.what not in what_follows}
    at = [event.at_us for event in ends]
    return any(at_us in others for at_us in at) or len(set(at)) < len(at)


def differences(case: Case) -> list[str]:
    """What the two hosts did differently on a day; nothing, as it should be."""
    outcome, events, decisions = simulate(case)
    lived = live(case.spec, case.day)
    expected, got = sorted(events), sorted(lived.journal.events)
    found = [f"event {e} became {g}" for e, g in zip(expected, got, strict=False) if e != g]
    if len(expected) != len(got):
        found.append(f"{len(expected)} events became {len(got)}")
    waits = waits_us(lived.journal.events, case.day)
    found += [
        f"session {session} waited {waits[session]} us, not {outcome.wait_us[session]}"
        for session in np.flatnonzero(waits != outcome.wait_us)
    ]
    again = replay(lived.decisions)
    found += again.different
    found += [line for line in lived.others if '"event":"worker.failed"' not in line]
    asked = [decision_of(line) for line in lived.decisions]
    if case.model.policy.interval_us == 0:  # also asked when nothing has happened
        asked = [one for one in asked if any(one[1])]
        decisions = [one for one in decisions if any(one[1])]
        per_instant = acted(decisions), acted(asked)
    else:
        per_instant = decisions, asked
    if per_instant[0] != per_instant[1]:
        found.append(f"decisions {per_instant[0]} became {per_instant[1]}")
    return found


def waits_us(events: list[Event], day: Day) -> Ints:
    """How long each session waited until it was served, left, or the day was over."""
    since: dict[int, int] = {}
    waits = np.zeros(day.sessions, dtype=np.int64)
    for event in events:
        if event.what == log.WAITS:
            since[event.session] = event.at_us
        elif event.what in (log.SERVED, log.LEAVES) and event.session in since:
            waits[event.session] = event.at_us - since.pop(event.session)
    for session, at_us in since.items():
        waits[session] = day.end_us - at_us
    return waits


def decision_of(line: str) -> tuple[Numbers, Numbers]:
    """Observation and actions of a line of the orchestrator's log."""
    record = json.loads(line)
    observation = tuple(record["observation"][name] for name in OBSERVATION_FIELDS)
    names = ("launch", "terminate", "start", "stop")
    return observation, tuple(float(record.get(name, 0)) for name in names)


def acted(decisions: list[tuple[Numbers, Numbers]]) -> dict[float, Numbers]:
    """All actions of each instant together."""
    found: dict[float, Numbers] = {}
    for observation, actions in decisions:
        before = found.get(observation[0], (0.0,) * len(actions))
        found[observation[0]] = tuple(map(sum, zip(before, actions, strict=True)))
    return found
