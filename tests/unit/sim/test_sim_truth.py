"""Published and exact results against the simulation's 95 % intervals.

Each check states how wide the interval may be, as a share of the truth, so that
it cannot pass by being vague. There are so many checks that a few truths must
lie just outside of a 95 % interval; none may lie outside of 1.6 times it (99.9 %).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sim_days import day, exponential, policy
from simulated import case, days, steady

from scenarios.policies import Buffer
from sim.fast import engine
from sim.figures import Figure, figure, of_sessions, statistic, watched
from sim.from_scenario import Case
from sim.model import NEVER_US, SECOND_US, PoolModel
from sim.run import Engine, replicate

pytestmark = pytest.mark.timeout(600)
"""The first use of the fast engine compiles it, which takes a quarter of a minute."""


def check(found: Figure, truth: float, within: float) -> None:
    assert found.ci95 is not None
    half = (found.ci95[1] - found.ci95[0]) / 2
    assert half <= within * truth, (found, within)
    assert abs(found.mean - truth) <= 1.6 * half, (found, truth)


def warm_pool(hours: float) -> Case:
    return case(
        steady(
            "0.5/min", hours, "{dist: exponential, mean: 10min}", "{dist: exponential, mean: 5min}"
        ),
        "{boot: {dist: exponential, mean: 3min}, max_workers: 30, "
        "policy: {kind: buffer, warm: 3, interval: 0s}}",
        "{warmup: 5h}",
    )


@pytest.mark.parametrize(("engine_name", "hours", "width"), [("fast", 300, 4), ("simpy", 20, 24)])
def test_a_warm_pool_with_reuse_is_as_the_exact_table_says(
    engine_name: Engine, hours: float, width: float
) -> None:
    model = warm_pool(hours)
    found = days(model, 20, engine_name, first=1)
    minute = 60.0
    check(figure(model, found, "pool.wait"), 0.0397338, 0.01 * width)
    check(figure(model, found, "session.abandoned"), 0.00399709, 0.03 * width)
    check(figure(model, found, "pool.wait_time"), 0.0199855 * minute, 0.012 * width)
    check(figure(model, found, "pool.workers.ready"), 2.36372, 0.001 * width)
    check(figure(model, found, "pool.workers.booting"), 1.01482, 0.003 * width)
    check(figure(model, found, "pool.workers.busy"), 4.98001, 0.003 * width)


@pytest.mark.parametrize(
    "session",
    [
        "{dist: exponential, mean: 100s}",
        "{dist: deterministic, mean: 100s}",
        "{dist: lognormal, mean: 100s, cv: 2}",
    ],
)
@pytest.mark.parametrize(("erlangs", "servers"), [(4.461, 10), (12.03, 20), (84.06, 100)])
def test_erlang_b_blocks_one_percent_whatever_the_session_length(
    session: str, erlangs: float, servers: int
) -> None:
    hours = 2000 / erlangs
    model = case(
        steady(f"{erlangs / 100}/s", hours, session, "0s"),
        f"{{policy: {{kind: fixed, size: {servers}, interval: 1h}}}}",
        "{warmup: 1h}",
    )
    found = days(model, 20, first=1)
    blocked = figure(model, found, "session.abandoned")
    check(blocked, 0.01, 0.1)
    assert figure(model, found, "pool.wait") == blocked
    assert figure(model, found, "pool.wait_time").mean == 0.0


def test_erlang_c_waits_as_long_as_the_formula_says() -> None:
    model = case(
        steady("48/min", 60, "{dist: exponential, mean: 1min}"),
        "{policy: {kind: fixed, size: 50, interval: 1h}}",
        "{warmup: 2h}",
    )
    found = days(model, 40, first=1)
    check(figure(model, found, "pool.wait_time"), 20.83, 0.1)
    tenth = [
        float(np.quantile(of_sessions("pool.wait_time", one, watched(model, one)), 0.9))
        for one in found
    ]
    check(Figure.of(tenth), 58.14, 0.13)


def test_erlang_a_loses_as_many_as_the_formula_says() -> None:
    model = case(
        steady("48/min", 100, "{dist: exponential, mean: 1min}", "{dist: exponential, mean: 2min}"),
        "{policy: {kind: fixed, size: 50, interval: 1h}}",
        "{warmup: 1h}",
    )
    found = days(model, 20, first=1)
    check(figure(model, found, "session.abandoned"), 0.0309, 0.04)
    check(figure(model, found, "pool.wait_time"), 3.71, 0.04)


@pytest.mark.parametrize(
    "boot",
    ["120s", "{dist: exponential, mean: 120s}", "{dist: lognormal, mean: 120s, cv: 1.5}"],
)
def test_single_use_workers_are_a_base_stock(boot: str) -> None:
    single_use = f"{{reuse: false, boot: {boot}, policy: {{kind: buffer, warm: 18, interval: 0s}}}}"
    session = "{dist: exponential, mean: 60s}"
    model = case(steady("0.1/s", 120, session), single_use, "{warmup: 1h}")
    found = days(model, 20, first=1)
    check(figure(model, found, "pool.wait"), 0.06297, 0.07)
    if boot == "120s":
        over = [
            float((of_sessions("pool.wait_time", one, watched(model, one)) > 2.0).mean())
            for one in found
        ]
        check(Figure.of(over), 0.05562, 0.07)
    lost = case(steady("0.1/s", 120, session, "0s"), single_use, "{warmup: 1h}")
    check(figure(lost, days(lost, 20, first=1), "session.abandoned"), 0.02654, 0.08)


def per_request(rate_per_s: float, warm_s: float, cold_s: float, hours: float, seed: int):
    """(P(cold), instances, running) of a platform that keeps idle instances for ten minutes."""
    rng = np.random.default_rng(seed)
    end_us = round(hours * 3600 * SECOND_US)
    count = int(rate_per_s * hours * 3600 * 1.1) + 100
    at_us = np.cumsum(exponential(rng, SECOND_US / rate_per_s, count))
    at_us = at_us[at_us < end_us]
    boots = np.full(len(at_us) + 10, round((cold_s - warm_s) * SECOND_US))
    drawn = day(
        at_us,
        exponential(rng, warm_s * SECOND_US, len(at_us)),
        end_us=end_us,
        begin_us=0,
        boot_us=boots,
        edges_us=np.array([3600 * SECOND_US, end_us]),
    )
    pool = PoolModel(
        policy=policy("fixed", high=0, interval_us=end_us),
        per_request=True,
        expiry_us=600 * SECOND_US,
        max_workers=1 << 20,
    )
    found = engine.simulate(pool, drawn)
    late = found.at_us >= 3600 * SECOND_US
    ready, booting, busy, _ = found.areas[0] / (end_us - 3600 * SECOND_US)
    return float((found.wait_us[late] > 0).mean()), ready + booting + busy, booting + busy


def test_a_function_platform_is_as_simfaas_says() -> None:
    found = np.array([per_request(0.9, 1.991, 2.244, 30, seed) for seed in range(10)])
    cold, instances, running = (Figure.of(column) for column in found.T)
    assert cold.mean == pytest.approx(0.0014, abs=0.0001)
    assert instances.mean == pytest.approx(7.66, rel=0.02)
    assert running.mean == pytest.approx(1.79, rel=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """200 macro-replications of 8 days of the exact warm pool; tests/validation has more."""
    model = warm_pool(24)
    values = [
        statistic("mean", of_sessions("pool.wait", one, watched(model, one)))
        for one in days(model, 1600, first=1)
    ]
    covered = sum(Figure.of(row).covers(0.0397338) for row in np.array(values).reshape(200, 8))
    assert 0.91 * 200 <= covered <= 0.99 * 200, covered


def test_common_random_numbers_tell_policies_apart_with_fewer_days() -> None:
    model = warm_pool(24)

    def cost_and_waits(warm: int, number: int) -> tuple[float, float]:
        tried = Buffer.model_validate({"kind": "buffer", "warm": warm, "interval": "0s"})
        found = replicate(model, number, policies=[tried])
        return float(found.pools[0].areas[:, :3].sum()), float((found.wait_us > 0).mean())

    def differences(offset: int) -> np.ndarray:
        """Between two policies, on the same days or on others."""
        return np.array(
            [np.subtract(cost_and_waits(6, n), cost_and_waits(5, offset + n)) for n in range(1, 41)]
        )

    same, other = differences(0).var(axis=0), differences(1000).var(axis=0)
    assert same[0] < other[0] / 20
    assert same[1] < other[1] / 1.5


def test_replications_are_the_same_whoever_asks() -> None:
    model = warm_pool(20)
    first, again = days(model, 2), days(warm_pool(20), 2)
    assert [one.wait_us.tolist() for one in first] == [one.wait_us.tolist() for one in again]
    slow = days(model, 2, "simpy")
    assert [one.wait_us.tolist() for one in first] == [one.wait_us.tolist() for one in slow]
    assert first[0].wait_us.tolist() != first[1].wait_us.tolist()


def test_a_day_with_more_launches_drawn_is_the_same_day() -> None:
    model = warm_pool(20)
    crowd = model.crowd(3)
    sizes = model.sizes(crowd)
    small = model.day(0, 3, crowd, sizes)
    large = model.day(0, 3, crowd, replace(sizes, launches=4 * sizes.launches))
    assert np.array_equal(small.boot_us, large.boot_us[: len(small.boot_us)])
    assert small.patience_us.max() < NEVER_US
