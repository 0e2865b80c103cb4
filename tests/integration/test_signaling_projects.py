"""Projects through signaling: edits in log order for everybody, snapshots, and catching up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from signaling_harness import Stage, stage

from system.media.project import Project, apply_edit
from system.signaling.edits import last_index
from system.signaling.snapshots import EVERY
from system.store.base import Store, open_store
from system.store.memory import MemoryStore
from system.store.valkey import EmbeddedValkey


@pytest.fixture(scope="module")
def valkey() -> object:
    server = EmbeddedValkey()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "valkey"])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Nodes a and b over one store, each store in its turn."""
    store: Store = MemoryStore()
    if request.param == "valkey":
        server = request.getfixturevalue("valkey")
        store = open_store(server.url)
    async with stage(store) as made:
        await made.start("a")
        yield await made.start("b")
        for worker in await made.ledger.workers():
            await made.ledger.fail(worker.worker_id, "the test is over")


def fresh(prefix: str) -> str:
    """An id that no earlier test of this store has used."""
    return f"{prefix}-{time.monotonic_ns()}"


def drag(project: Project, number: int) -> dict[str, Any]:
    """The n-th edit of a project; every fifth is one that no project takes."""
    devices = sorted(project.devices)
    device = "nobody" if number % 5 == 4 else devices[number % len(devices)]
    data = {"deviceId": device, "position": [number % 10, -(number % 7), 0.0]}
    return {"editId": f"e{number}", "type": "device:drag", "data": data}


async def test_edits_from_two_nodes_reach_every_worker_in_one_order(two: Stage) -> None:
    project = fresh("p")
    workers = []
    for node in ("a", "b"):
        worker = await two.worker(fresh("w"), node=node, slots=1)
        _, created = await two.active(worker, user=node, project=project, node=node)
        workers.append((worker, created["sessionId"]))

    async def edit(worker: Any, session_id: str) -> None:
        for n in range(40):
            data = {"deviceId": "d", "position": [n, 0, 0]}
            edit = {"editId": f"{worker.worker_id}-{n}", "type": "device:drag", "data": data}
            await worker.about(session_id, "edit", edit=edit)

    await asyncio.gather(*(edit(*worker) for worker in workers))
    seen = []
    for worker, _ in workers:
        applied = [(await worker.expect("edit-applied"))["edit"] for _ in range(80)]
        assert [edit["index"] for edit in applied] == list(range(1, 81))
        seen.append([edit["edit"]["editId"] for edit in applied])
    assert seen[0] == seen[1]
    state = await two.ledger.project(project)
    assert [logged.edit.edit_id for logged in state.log] == seen[0]


async def test_a_long_log_becomes_a_snapshot_that_a_new_worker_begins_with(two: Stage) -> None:
    project_id = fresh("p")
    expected = Project.default(project_id)
    worker = await two.worker(fresh("w"), node="a", slots=1)
    _, created = await two.active(worker, project=project_id, node="a")
    for n in range(EVERY + 3):
        edit = drag(expected, n)
        await worker.about(created["sessionId"], "edit", edit=edit)
        if n % 5 != 4:
            expected = apply_edit(expected, edit)

    async def known() -> tuple[int, int]:
        state = await two.ledger.project(project_id)
        return state.snapshot_index // EVERY, last_index(state)

    await two.eventually(known, (1, EVERY + 3))
    other = await two.worker(fresh("w"), node="b", slots=1)
    await two.active(other, user="u2", project=project_id, node="b")
    state = other.of("session-assigned")[0]["project"]
    project = Project.from_json(json.dumps(state["snapshot"]))
    assert len(state["log"]) == EVERY + 3 - state["snapshotIndex"] <= 3
    for logged in state["log"]:
        if int(logged["edit"]["editId"][1:]) % 5 != 4:
            project = apply_edit(project, logged["edit"])
    assert project.digest() == expected.digest()


async def test_an_older_snapshot_never_takes_a_newer_ones_place(two: Stage) -> None:
    project_id = fresh("p")
    snapshot = json.loads(Project.default(project_id).to_json())
    assert await two.ledger.save_snapshot(project_id, 512, snapshot)
    assert not await two.ledger.save_snapshot(project_id, 256, {})
    assert not await two.ledger.save_snapshot(project_id, 512, {})
    assert (await two.ledger.project(project_id)).snapshot == snapshot
    assert (await two.ledger.project(project_id, after=600)).snapshot is None
