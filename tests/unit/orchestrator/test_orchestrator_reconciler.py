"""The control loop, one look at a time, on a memory store with a provider that only notes."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from system.orchestrator.clock import Clock
from system.orchestrator.metrics import Metrics
from system.orchestrator.notices import Notices
from system.orchestrator.pools import BadPool, PoolSpec
from system.orchestrator.providers.base import Exit, Launch, Provider, ProviderError
from system.orchestrator.reconciler import Reconciler, observe
from system.protocol.messages import Register
from system.protocol.states import LAUNCHING
from system.store.ledger import Ledger
from system.store.memory import MemoryStore


class NotingProvider(Provider):
    """Starts nothing; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: dict[str, Launch] = {}
        self.all_launches: list[Launch] = []
        self.stopped: list[tuple[str, float]] = []
        self.broken = False

    async def start(self, launch: Launch) -> None:
        if self.broken:
            raise ProviderError("out of stock")
        self.launches[launch.worker_id] = launch
        self.all_launches.append(launch)

    async def stop(self, worker_id: str, grace_s: float) -> bool:
        self.stopped.append((worker_id, grace_s))
        return worker_id in self.launches

    def running(self) -> dict[str, str]:
        return {worker_id: launch.pool for worker_id, launch in self.launches.items()}

    def exited(self) -> list[Exit]:
        return []

    async def close(self) -> None:
        pass


class Bench:
    """A reconciler and everything around it, with a clock that the test moves."""

    def __init__(self, **spec) -> None:
        self.now_s = 1_700_000_000.0
        self.store = MemoryStore(lambda: self.now_s)
        self.ledger = Ledger(self.store, rng=random.Random(1))
        self.provider = NotingProvider()
        self.notices = Notices(self.store, self.ledger)
        self.metrics = Metrics()
        self.monotonic_s = 50.0
        self.pool = Reconciler(
            PoolSpec(**spec),
            self.ledger,
            self.provider,
            self.notices,
            self.metrics,
            clock=Clock(monotonic=lambda: self.monotonic_s),
        )

    async def boot(self) -> None:
        """Every launched worker registers."""
        for launch in list(self.provider.launches.values()):
            worker = await self.ledger.get_worker(launch.worker_id)
            if worker is not None and worker.state in LAUNCHING:
                await self.ledger.register(
                    Register(
                        worker_id=launch.worker_id,
                        generation=launch.generation,
                        pool=launch.pool,
                        slots=launch.slots,
                    ),
                    "n1",
                )

    async def steady(self) -> None:
        """Look and boot until nothing changes."""
        for _ in range(4):
            await self.pool.step()
            await self.boot()
        await self.pool.step()

    def die(self, worker_id: str, status: int = -9) -> None:
        launch = self.provider.launches.pop(worker_id)
        self.pool.worker_exited(Exit(worker_id, launch.pool, status))

    async def states(self) -> list[str]:
        return sorted(w.state.value for w in await self.ledger.workers())

    async def watch(self, session_id: str) -> str:
        """A session that the worker has confirmed; the worker's id."""
        reservation = await self.ledger.reserve(session_id, "c", "p", "default")
        assert reservation is not None
        assert await self.ledger.confirm(session_id, reservation.fence)
        return reservation.worker_id


FIXED_TWO = {"kind": "fixed", "size": 2}


async def test_the_pool_starts_with_its_initial_workers_without_a_boot_delay() -> None:
    bench = Bench(initial=3, policy={"kind": "fixed", "size": 3}, boot={"mean": "9s"})
    await bench.steady()
    assert await bench.states() == ["ready"] * 3
    assert [launch.boot_delay_s for launch in bench.provider.all_launches] == [0, 0, 0]


async def test_without_initial_the_pool_starts_as_the_policy_rests() -> None:
    bench = Bench(policy={"kind": "buffer", "warm": 2, "interval_s": 3600})
    await bench.steady()
    assert await bench.states() == ["ready"] * 2
    assert all(launch.boot_delay_s == 0 for launch in bench.provider.all_launches)


async def test_later_launches_have_the_drawn_boot_delay() -> None:
    bench = Bench(initial=1, policy=FIXED_TWO, boot={"mean": "9s"})
    await bench.steady()
    assert [launch.boot_delay_s for launch in bench.provider.all_launches] == [0, 9]


async def test_a_buffer_follows_the_sessions() -> None:
    bench = Bench(policy={"kind": "buffer", "warm": 1}, max_workers=3)
    await bench.steady()
    assert await bench.states() == ["ready"]
    for i in range(3):
        await bench.watch(f"s{i}")
        await bench.steady()
    assert await bench.states() == ["active"] * 3
    for i in range(3):
        await bench.ledger.release(f"s{i}", fence=None, reason="bye")
    await bench.pool.step()
    await bench.pool.step()
    assert await bench.states() == ["ready", "terminating", "terminating"]
    assert len(bench.provider.stopped) == 2


async def test_a_policy_with_an_interval_waits_for_it() -> None:
    bench = Bench(initial=0, policy={"kind": "buffer", "warm": 1, "interval_s": 3600})
    await bench.pool.step()
    assert len(bench.provider.launches) == 1
    await bench.boot()
    await bench.watch("s1")
    bench.monotonic_s += 3599
    await bench.steady()
    assert len(bench.provider.launches) == 1
    bench.monotonic_s += 1
    await bench.steady()
    assert len(bench.provider.launches) == 2


async def test_a_late_decision_does_not_put_off_those_that_follow() -> None:
    bench = Bench(initial=0, policy={"kind": "buffer", "warm": 1, "interval_s": 10})
    asked_s = []
    for passed_s in (0, 13, 6.9, 0.1, 35, 4.9, 0.1):
        bench.monotonic_s += passed_s
        bench.pool.arrivals = 1
        await bench.pool.step()
        if bench.pool.arrivals == 0:
            asked_s.append(bench.monotonic_s - 50)
    assert asked_s == pytest.approx([0, 13, 20, 55, 60])


async def test_policies_may_be_combined() -> None:
    parts = [{"kind": "fixed", "size": 1}, {"kind": "buffer", "warm": 2, "max": 3}]
    bench = Bench(policy={"kind": "max", "of": parts})
    await bench.steady()
    assert await bench.states() == ["ready"] * 2
    for i in range(2):
        await bench.watch(f"s{i}")
    await bench.steady()
    assert await bench.states() == ["active", "active", "ready"]


async def test_what_is_spare_is_stopped_and_started_again_before_anything_is_launched() -> None:
    bench = Bench(
        initial=3,
        policy={"kind": "two-tier", "warm": 1, "stopped": 2},
        start={"mean": "4s"},
        boot={"mean": "60s"},
    )
    await bench.steady()
    assert await bench.states() == ["ready", "stopping", "stopping"]
    stopped = [worker_id for worker_id, _ in bench.provider.stopped]
    for worker_id in stopped:
        bench.die(worker_id, status=0)
    await bench.steady()
    assert await bench.states() == ["ready", "stopped", "stopped"]
    await bench.watch("s1")
    await bench.pool.step()
    (again,) = [launch for launch in bench.provider.all_launches if not launch.anew]
    assert (again.worker_id, again.generation, again.boot_delay_s) == (stopped[-1], 2, 4)
    await bench.steady()
    assert await bench.states() == ["active", "ready", "stopped", "stopping"]


async def test_a_stopped_worker_is_not_started_while_its_process_still_ends() -> None:
    bench = Bench(initial=2, policy={"kind": "two-tier", "warm": 1, "stopped": 1})
    await bench.steady()
    ((worker_id, _),) = bench.provider.stopped
    await bench.ledger.worker_lost(worker_id, 1, "socket closed")
    await bench.watch("s1")
    await bench.pool.step()
    assert [launch.worker_id for launch in bench.provider.all_launches].count(worker_id) == 1
    bench.die(worker_id, status=0)
    await bench.steady()
    await bench.watch("s2")
    await bench.steady()
    assert [launch.worker_id for launch in bench.provider.all_launches].count(worker_id) == 2


async def test_a_worker_that_another_provider_runs_ends_where_it_would_be_stopped() -> None:
    bench = Bench(policy={"kind": "two-tier", "warm": 1, "stopped": 1}, initial=0)
    for i in range(2):
        await bench.ledger.register(Register(worker_id=f"old{i}", generation=1), "n1")
    await bench.pool.step()
    assert await bench.states() == ["ready", "terminating"]


async def test_waiting_sessions_are_served_in_order_when_a_worker_is_ready() -> None:
    bench = Bench(initial=0, policy={"kind": "buffer", "warm": 0}, max_workers=2)
    await bench.pool.step()
    for i in range(3):
        await bench.ledger.enqueue(f"s{i}", "c", "p", "default", limit=9)
    await bench.pool.step()
    assert len(bench.provider.launches) == 2
    await bench.boot()
    await bench.pool.step()
    assert await bench.ledger.reservation("s0") is not None
    assert await bench.ledger.reservation("s1") is not None
    assert await bench.ledger.reservation("s2") is None
    assert bench.pool.snapshot.waiting == ("s2",)


async def test_a_dead_worker_is_failed_and_replaced_and_its_client_told() -> None:
    bench = Bench(policy=FIXED_TWO)
    await bench.steady()
    worker_id = await bench.watch("s1")
    await bench.ledger.attach_client("s1", "n7", "digest")
    bench.die(worker_id)
    await bench.steady()
    assert await bench.states() == ["failed", "ready", "ready"]
    session = await bench.ledger.get_session("s1")
    assert session is not None
    assert (session.state.value, session.reason) == ("ended", "worker_lost")
    assert [(n, to, peer) for n, to, peer, _ in bench.notices._pending] == [("n7", "client", "s1")]


async def test_failing_boots_are_tried_again_ever_more_slowly() -> None:
    bench = Bench(initial=0, policy={"kind": "fixed", "size": 1})
    starts = []
    for _ in range(400):
        await bench.pool.step()
        for worker_id in list(bench.provider.launches):
            starts.append(bench.monotonic_s)
            bench.die(worker_id, status=3)
        bench.monotonic_s += 0.1
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(starts)]
    assert gaps == pytest.approx([0.6, 1.1, 2.1, 4.1, 8.1, 16.1], abs=0.11)
    assert bench.pool.fleet.failed_boots == len(starts)
    bench.monotonic_s += 60
    await bench.steady()
    assert bench.pool.fleet.failed_boots == 0


async def test_a_provider_that_cannot_start_is_a_failed_boot() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1})
    bench.provider.broken = True
    await bench.pool.step()
    assert await bench.states() == ["failed"]
    assert bench.pool.fleet.backing_off


async def test_a_worker_that_never_registers_is_failed_and_killed() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1}, boot_deadline_s=60)
    await bench.pool.step()
    (worker_id,) = bench.provider.launches
    bench.now_s += 61
    await bench.pool.step()
    assert (worker_id, 0) in bench.provider.stopped
    assert "failed" in await bench.states()


async def test_a_failed_worker_whose_process_still_runs_is_killed() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1})
    await bench.steady()
    (worker_id,) = bench.provider.launches
    await bench.ledger.worker_lost(worker_id, 1, "socket closed")
    await bench.pool.step()
    assert bench.provider.stopped == [(worker_id, 0)]


async def test_a_drained_worker_ends_after_its_last_session_and_is_gone() -> None:
    bench = Bench(policy=FIXED_TWO)
    await bench.steady()
    worker_id = await bench.watch("s1")
    await bench.ledger.drain(worker_id)
    await bench.steady()
    assert bench.provider.stopped == []
    assert await bench.states() == ["draining", "ready", "ready"]
    await bench.ledger.release("s1", fence=None, reason="bye")
    await bench.pool.step()
    assert [stopped for stopped, _ in bench.provider.stopped] == [worker_id]
    bench.die(worker_id, status=0)
    await bench.pool.step()
    assert await bench.states() == ["gone", "ready", "ready"]


async def test_a_used_worker_is_scrubbed_before_it_serves_again() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1}, scrub_s=2)
    await bench.steady()
    await bench.watch("s1")
    await bench.ledger.release("s1", fence=None, reason="bye")
    await bench.steady()
    assert await bench.states() == ["draining"]
    bench.now_s += 0.5
    await bench.pool.step()
    assert bench.pool.fleet.scrubbed_s == bench.monotonic_s + 1.5
    bench.now_s += 1.5
    await bench.pool.step()
    assert await bench.states() == ["ready"]


async def test_a_worker_that_has_rested_serves_who_waits_before_the_policy_sees_it_idle() -> None:
    bench = Bench(
        initial=2, policy={"kind": "target", "utilisation": 1.0, "interval": "1s"}, scrub_s=2
    )
    await bench.steady()
    for session_id in ("s1", "s2"):
        await bench.watch(session_id)
    await bench.ledger.enqueue("s3", "c", "p", "default", limit=9)
    await bench.ledger.release("s1", fence=None, reason="bye")
    await bench.pool.step()
    bench.now_s += 2
    bench.monotonic_s += 2
    await bench.pool.step()
    assert await bench.ledger.reservation("s3") is not None


async def test_a_used_worker_that_may_not_be_reused_is_replaced() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1}, reuse=False)
    await bench.steady()
    (worker_id,) = bench.provider.launches
    await bench.watch("s1")
    await bench.ledger.release("s1", fence=None, reason="bye")
    await bench.steady()
    assert [stopped for stopped, _ in bench.provider.stopped] == [worker_id]
    assert await bench.states() == ["ready", "terminating"]


async def test_a_worker_of_a_former_orchestrator_is_kept_until_it_must_go() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1})
    for i in range(2):
        await bench.ledger.register(Register(worker_id=f"old{i}", generation=1), "n1")
        bench.now_s += 1
    await bench.pool.step()
    assert bench.provider.launches == {}
    assert await bench.states() == ["ready", "terminating"]
    ((node, to, peer, message),) = bench.notices._pending
    assert (node, to, peer, type(message).__name__) == ("n1", "worker", "old0", "Drain")
    bench.now_s += 11
    await bench.pool.step()
    assert await bench.states() == ["gone", "ready"]


async def test_a_running_worker_that_the_store_has_lost_is_not_launched_twice() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1})
    await bench.steady()
    for key in list(bench.store._records):
        bench.store._drop(key)
    await bench.steady()
    assert len(bench.provider.all_launches) == 1
    assert await bench.states() == ["ready"]


async def test_the_policy_can_be_changed_at_run_time() -> None:
    bench = Bench(policy={"kind": "fixed", "size": 1})
    await bench.steady()
    await bench.pool.change_policy({"kind": "buffer", "warm": 5}, 3)
    await bench.steady()
    assert await bench.states() == ["ready"] * 3
    with pytest.raises(BadPool):
        await bench.pool.change_policy({"kind": "nonsense"}, None)
    assert bench.pool.policy.kind == "buffer"


async def test_the_observation_counts_every_worker_once() -> None:
    spec = PoolSpec(slots=2, scrub_s=1)
    bench = Bench(slots=2, scrub_s=1, policy={"kind": "fixed", "size": 4}, initial=0)
    await bench.steady()
    await bench.ledger.launch("boots", "default")
    await bench.watch("s1")
    await bench.ledger.enqueue("s2", "c", "p", "default", limit=9)
    seen = observe(await bench.ledger.pool_view("default"), spec, 7.0, 3)
    assert seen == (7.0, 3, 1, 1, 0, 1, 5, 3, 7, 2)
