"""What the orchestrator logs of a worker's life, for runs that are calibrated from it."""

from __future__ import annotations

import logging

import pytest
from test_orchestrator_reconciler import Bench

from system.protocol.states import WorkerState


async def test_launches_boots_and_scrubs_are_logged_with_their_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    boot = {"dist": "deterministic", "mean": 4.0}
    bench = Bench(initial=1, scrub_s=2, boot=boot, policy={"kind": "fixed", "size": 2})
    await bench.pool.step()
    bench.now_s += 5
    await bench.steady()
    worker = await bench.watch("s1")
    await bench.ledger.release("s1", fence=None, reason="bye")
    await bench.pool.step()
    assert bench.pool.scrubbing == 1
    assert bench.pool.snapshot.count(WorkerState.DRAINING) == 1
    bench.now_s += 2.5
    bench.monotonic_s += 2.5
    await bench.steady()
    assert bench.pool.scrubbing == 0
    told: dict[str, list[dict[str, object]]] = {}
    for record in caplog.records:
        told.setdefault(str(record.msg), []).append(getattr(record, "fields", {}))
    assert [each["delay_s"] for each in told["worker.launched"]] == [None, 4.0]
    assert {each["worker_id"] for each in told["worker.launched"]} == {
        each["worker_id"] for each in told["worker.ready"]
    }
    assert [each["boot_s"] for each in told["worker.ready"]] == [5.0, 5.0]
    (scrubbed,) = told["worker.scrubbed"]
    assert scrubbed == {"worker_id": worker, "scrub_s": 2.5}
