"""Days for tests: exponential everything unless said otherwise."""

from __future__ import annotations

import numpy as np

from sim.model import NEVER_US, Day, Ints, PolicyModel, PolicyPart

MINUTE = 60_000_000


def exponential(rng: np.random.Generator, mean_us: float, count: int) -> Ints:
    return np.rint(rng.standard_exponential(count) * mean_us).astype(np.int64)


def policy(kind: str, *own: float, interval_us: int = 0, **common: float) -> PolicyModel:
    known = {
        "size": 0.0,
        "ratio": 0.0,
        "low": 0.0,
        "high": float("inf"),
        "cooldown_s": 0.0,
        "delay_s": 0.0,
        **common,
    }
    return PolicyModel(
        (PolicyPart(kind, (*(float(v) for v in known.values()), *own)),), interval_us
    )


def day(
    arrival_us: Ints,
    hold_us: Ints,
    *,
    end_us: int,
    begin_us: int = 0,
    patience_us: Ints | None = None,
    scrub_us: Ints | None = None,
    boot_us: Ints | None = None,
    boot_fails: np.ndarray | None = None,
    life_us: Ints | None = None,
    spot_us: Ints | None = None,
    start_us: Ints | None = None,
    edges_us: Ints | None = None,
    **more: object,
) -> Day:
    count = len(arrival_us)
    boots = np.zeros(4 * count + 100, dtype=np.int64) if boot_us is None else boot_us
    none = np.zeros(0, dtype=np.int64)
    return Day(
        arrival_us=np.asarray(arrival_us, dtype=np.int64),
        hold_us=np.asarray(hold_us, dtype=np.int64),
        patience_us=np.full(count, NEVER_US) if patience_us is None else patience_us,
        scrub_us=np.zeros(count, dtype=np.int64) if scrub_us is None else scrub_us,
        boot_us=boots,
        boot_fails=np.zeros(len(boots), dtype=np.bool_) if boot_fails is None else boot_fails,
        life_us=none if life_us is None else life_us,
        spot_us=none if spot_us is None else spot_us,
        start_us=np.zeros(4 * count + 100, dtype=np.int64) if start_us is None else start_us,
        begin_us=begin_us,
        end_us=end_us,
        edges_us=np.array([max(begin_us, 0), end_us]) if edges_us is None else edges_us,
        **more,
    )
