"""Several orchestrators on one store: one decides for a pool, and another when it is gone."""

from __future__ import annotations

import asyncio
from typing import Any

from test_orchestrator_reconciler import Bench, NotingProvider

from system.orchestrator.clock import Clock
from system.orchestrator.metrics import Metrics
from system.orchestrator.notices import Notices
from system.orchestrator.pools import PoolSpec
from system.orchestrator.reconciler import LEAD_AGAIN_S, Reconciler
from system.store.pool_ledger import LEADER_MS

FIXED: dict[str, Any] = {"policy": {"kind": "fixed", "size": 3}, "max_workers": 5}


class Replica(Bench):
    """One more orchestrator on the store, the clocks and the provider of another."""

    def __init__(self, first: Bench, **spec: Any) -> None:
        self.first = first
        self.store, self.ledger, self.provider = first.store, first.ledger, NotingProvider()
        self.metrics = Metrics()
        self.pool = Reconciler(
            PoolSpec(**spec),
            self.ledger,
            self.provider,
            Notices(self.store, self.ledger),
            self.metrics,
            clock=Clock(monotonic=lambda: first.monotonic_s),
        )


def two() -> tuple[Bench, Replica]:
    first = Bench(**FIXED)
    return first, Replica(first, **FIXED)


def pass_time(first: Bench, seconds: float) -> None:
    first.now_s += seconds
    first.monotonic_s += seconds


async def test_two_that_start_at_once_launch_the_pool_once() -> None:
    first, second = two()
    await asyncio.gather(first.pool.step(), second.pool.step())
    for _ in range(3):
        await asyncio.gather(first.steady(), second.steady())
        pass_time(first, LEAD_AGAIN_S)
    assert await first.states() == ["ready"] * 3
    assert [first.pool.leads, second.pool.leads].count(True) == 1
    assert len(first.provider.launches) + len(second.provider.launches) == 3


async def test_the_other_takes_over_when_the_leader_has_died_and_not_before() -> None:
    first, second = two()
    await first.steady()
    await second.steady()
    for worker_id in list(first.provider.launches):
        await first.ledger.fail(worker_id, "its machine is gone")
    pass_time(first, LEADER_MS / 1000 - 0.1)
    await second.steady()
    assert not second.provider.launches
    pass_time(first, 0.2)
    await second.steady()
    assert second.pool.leads
    assert len(second.provider.launches) == 3
    await first.pool.step()
    assert not first.pool.leads


async def test_one_that_resigns_is_followed_at_once() -> None:
    first, second = two()
    await first.steady()
    await second.pool.step()
    await first.pool.resign()
    await second.pool.step()
    assert second.pool.leads


async def test_a_change_through_one_is_carried_out_by_the_other() -> None:
    first, second = two()
    await first.steady()
    await second.steady()
    await second.pool.change_policy({"kind": "fixed", "size": 4}, None)
    await first.steady()
    assert first.pool.policy.given["size"] == 4
    assert await first.states() == ["ready"] * 4
    assert not second.provider.launches


async def test_a_late_comer_takes_the_settings_that_the_leader_has() -> None:
    first = Bench(**FIXED)
    await first.steady()
    await first.pool.change_policy(None, 4)
    late = Replica(first, **FIXED)
    await late.steady()
    assert late.pool.max_workers == 4
    assert not late.provider.launches
