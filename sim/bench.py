"""Measures the engines on one diurnal day, and beside them simpy as its manual would have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from scenarios.loader import loads
from sim import reference
from sim.from_scenario import Case
from sim.model import SECOND_US, Day, NeedsMoreDraws, Outcome, PoolModel
from sim.run import Draws

SESSION_S = 1800
INTERVAL_S = 10
SHARE = 0.1


def diurnal(peak_users: int) -> Case:
    """A day whose users rise from a twentieth of ``peak_users`` to it and fall again."""
    peak = peak_users / SESSION_S
    rates = [peak * (0.525 - 0.475 * np.cos(2 * np.pi * hour / 24)) for hour in range(25)]
    stages = ", ".join(
        f"{{name: h{hour}, for: 1h, rate: {rates[hour]:.9f}/s, to: {rates[hour + 1]:.9f}/s}}"
        for hour in range(24)
    )
    text = f"""
version: 1
name: diurnal
seed: 1
load:
  model: open
  session: {{dist: lognormal, mean: {SESSION_S}s, cv: 1.2}}
  patience: {{dist: exponential, mean: 60s}}
  stages: [{stages}]
pool:
  boot: {{dist: lognormal, median: 90s, p95: 180s}}
  initial: {max(5, peak_users // 12)}
  policy: {{kind: buffer, warm: {SHARE:.0%}, min: 5, interval: {INTERVAL_S}s}}
"""
    return Case(loads(text, "diurnal.yaml", host="simulated"))


@dataclass(frozen=True)
class Timing:
    """Seconds of the engine alone and with drawing the day; share of arrivals that waited."""

    engine: str
    users: int
    arrivals: int
    engine_s: float
    with_draws_s: float
    waited: float


def measure(engine: str, peak_users: int) -> Timing:
    """Simulate the day once; the fast engine is compiled before."""
    case = diurnal(peak_users)
    run = ENGINES[engine]
    if engine == "fast":
        _once(run, diurnal(10))
    began_s = time.perf_counter()
    draws = Draws(case)
    draws.of(1)
    drawn_s = time.perf_counter() - began_s
    while True:
        _, days, _ = draws.of(1)
        began_s = time.perf_counter()
        try:
            waited = run(case.pool_model(0), days[0])
            break
        except NeedsMoreDraws as lack:
            draws.more(1, lack.what)
    engine_s = time.perf_counter() - began_s
    count = len(days[0].arrival_us)
    return Timing(engine, peak_users, count, engine_s, engine_s + drawn_s, waited)


def _once(run: Callable[[PoolModel, Day], float], case: Case) -> None:
    run(case.pool_model(0), Draws(case).of(1)[1][0])


def _fast(pool: PoolModel, day: Day) -> float:
    from sim.fast import engine

    return _waited(engine.simulate(pool, day))


def _callbacks(pool: PoolModel, day: Day) -> float:
    return _waited(reference.simulate(pool, day))


def _waited(outcome: Outcome) -> float:
    return float(((outcome.wait_us > 0) | (outcome.outcome != 0)).mean())


def _processes(pool: PoolModel, day: Day) -> float:
    """Idle workers in a Store, a process per session and per boot, one for the policy."""
    environment = simpy.Environment()
    idle = simpy.Store(environment)
    counts = {"busy": 0, "booting": 0, "waiting": 0, "launches": 0, "late": 0}
    end_s = day.end_us / SECOND_US

    def session(index: int) -> Generator[Any, Any, None]:
        asked = idle.get()
        if not asked.triggered:
            counts["late"] += 1
            counts["waiting"] += 1
            patience = environment.timeout(day.patience_us[index] / SECOND_US)
            yield asked | patience
            counts["waiting"] -= 1
            if not asked.triggered:
                asked.cancel()
                return
        else:
            yield asked
        counts["busy"] += 1
        yield environment.timeout(day.hold_us[index] / SECOND_US)
        counts["busy"] -= 1
        yield idle.put(asked.value)

    def arrivals() -> Generator[Any, Any, None]:
        for index, at_us in enumerate(day.arrival_us):
            yield environment.timeout(max(0.0, at_us / SECOND_US - environment.now))
            environment.process(session(index))

    def boot(index: int) -> Generator[Any, Any, None]:
        yield environment.timeout(day.boot_us[index] / SECOND_US)
        counts["booting"] -= 1
        yield idle.put(object())

    def policy() -> Generator[Any, Any, None]:
        while True:
            warm = max(5, int(np.ceil(SHARE * counts["busy"])))
            spare = len(idle.items)
            for _ in range(warm - (spare + counts["booting"] - counts["waiting"])):
                counts["booting"] += 1
                environment.process(boot(counts["launches"]))
                counts["launches"] += 1
            for _ in range(spare - counts["waiting"] - warm):
                yield idle.get()
            yield environment.timeout(INTERVAL_S)

    for _ in range(pool.initial):
        idle.put(object())
    environment.process(arrivals())
    environment.process(policy())
    environment.run(end_s)
    return counts["late"] / max(1, len(day.arrival_us))


ENGINES: dict[str, Callable[[PoolModel, Day], float]] = {
    "fast": _fast,
    "callbacks": _callbacks,
    "processes": _processes,
}
"""``callbacks`` is the reference engine on simpy, ``processes`` the idiomatic use of simpy."""
