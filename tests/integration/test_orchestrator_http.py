"""The orchestrator over real HTTP, with a real Valkey and small real worker processes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

import aiohttp
import pytest
import redis
from aiohttp import web

from sim.replay import replay
from system.orchestrator.app import create_app
from system.orchestrator.pools import PoolSpec
from system.orchestrator.providers.local import LocalProvider
from system.orchestrator.service import Orchestrator
from system.protocol import tokens
from system.protocol.limits import MAX_MESSAGE_BYTES
from system.protocol.messages import Register
from system.protocol.states import Worker, WorkerState
from system.store.base import open_store
from system.store.ledger import Ledger
from system.store.valkey import EmbeddedValkey
from system.telemetry.logs import JsonFormatter

WORKER = (sys.executable, str(Path(__file__).with_name("orchestrator_worker.py")))
ASK = {"clientId": "c", "projectId": "p"}


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey() as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: EmbeddedValkey) -> EmbeddedValkey:
    """An empty store."""
    with redis.Redis.from_url(shared_valkey.url) as connection:
        connection.flushall()
    return shared_valkey


class Service:
    """A running orchestrator, a client of it, and the ledger beside it."""

    def __init__(
        self, url: str, client: aiohttp.ClientSession, ledger: Ledger, provider: LocalProvider
    ) -> None:
        self.url = url
        self.client = client
        self.ledger = ledger
        self.provider = provider

    async def call(self, method: str, path: str, body: object = None, **options):
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self.client.request(method, self.url + path, data=data, **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if text[:1] in ("{", "[") else text

    async def allocate(self, **fields):
        return await self.call("POST", "/allocate", {**ASK, **fields})

    async def pool(self):
        _, pools = await self.call("GET", "/pools")
        return pools[0]

    async def until(self, check: Callable[[dict], bool], seconds: float = 8.0) -> dict:
        """The first view of the pool that passes."""
        async with asyncio.timeout(seconds):
            while not check(pool := await self.pool()):  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.02)
        return pool

    async def worker(self, check: Callable[[Worker], bool], seconds: float = 8.0) -> Worker:
        """The first worker that is seen to pass."""
        async with asyncio.timeout(seconds):
            while True:
                for worker in await self.ledger.workers():
                    if check(worker):
                        return worker
                await asyncio.sleep(0.02)

    async def add_worker(self, worker_id: str, slots: int = 1) -> None:
        """A worker that no provider started."""
        await self.ledger.register(
            Register(worker_id=worker_id, generation=1, slots=slots), "test-node"
        )


@asynccontextmanager
async def serving(
    valkey: EmbeddedValkey,
    *specs: PoolSpec,
    keys: tokens.Keys | None = None,
    worker_args: tuple[str, ...] = (),
    lease_ms: int = 5000,
    heartbeat_ms: int = 2000,
    deadline_s: float = 2.0,
) -> AsyncIterator[Service]:
    async with AsyncExitStack() as stack:
        store = open_store(valkey.url, deadline_s=deadline_s)
        stack.push_async_callback(store.close)
        ledger = Ledger(store, lease_ms=lease_ms, heartbeat_ms=heartbeat_ms)
        provider = LocalProvider(signaling=valkey.url, worker_args=worker_args, command=WORKER)
        orchestrator = Orchestrator(store, ledger, provider, specs)
        runner = web.AppRunner(create_app(orchestrator, keys), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        # A worker that a test adds must not be there yet when the pool is first decided about.
        async with asyncio.timeout(10):
            while any(p.snapshot.now_ms == 0 for p in orchestrator.pools.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        yield Service(f"http://127.0.0.1:{port}", client, ledger, provider)


def empty_pool(**fields) -> PoolSpec:
    """A pool that launches nothing by itself."""
    return PoolSpec(policy={"kind": "fixed", "size": 0, "interval": "1h"}, initial=0, **fields)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    for left in Process.started:
        if left.process.poll() is None:
            left.process.kill()
            left.end()
    Process.started.clear()


@pytest.fixture(autouse=True)
def workers_find_our_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


async def test_a_warm_worker_is_allocated_at_once(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, PoolSpec(policy={"kind": "fixed", "size": 1})) as service:
        await service.until(lambda pool: pool["ready"] == 1)
        status, body = await service.allocate(requiredGPU="any")
        assert status == 200
        assert body["endpoint"] == "fake"
        assert body["leaseMs"] == 5000
        assert set(body["fence"]) == {"epoch", "n"}
        assert await service.allocate(sessionId=body["sessionId"]) == (
            200,
            body | {"leaseMs": pytest.approx(5000, abs=500)},
        )
        _, workers = await service.call("GET", "/workers")
        assert [(w["state"], w["sessions"]) for w in workers] == [("reserved", [body["sessionId"]])]


async def test_a_spare_worker_is_stopped_and_started_again_and_the_log_replays(
    valkey: EmbeddedValkey, caplog: pytest.LogCaptureFixture
) -> None:
    two_tier = {"kind": "two-tier", "warm": 1, "stopped": 1}
    policy = {"kind": "max", "of": [{"kind": "predictive", "method": "ewma"}, two_tier]}
    caplog.set_level(logging.DEBUG, "system.orchestrator.reconciler")
    async with serving(valkey, PoolSpec(policy=policy)) as service:
        await service.until(lambda pool: (pool["ready"], pool["stopped"]) == (1, 1))
        stopped = await service.worker(lambda worker: worker.state is WorkerState.STOPPED)
        status, _ = await service.allocate()
        assert status == 200
        again = await service.worker(lambda worker: worker.generation == 2)
        assert again.worker_id == stopped.worker_id
    lines = JsonFormatter("orchestrator", "test")
    decided = [lines.format(r) for r in caplog.records if r.msg == "policy.decided"]
    replayed = replay(decided)
    assert replayed.different == []
    assert replayed.decisions >= 3


async def test_a_waiting_session_is_served_when_a_slot_comes_free(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, empty_pool()) as service:
        await service.add_worker("w1")
        _, first = await service.allocate()
        status, second = await service.allocate()
        assert (status, second["position"], second["etaMs"]) == (202, 1, None)
        _, third = await service.allocate()
        assert third["position"] == 2
        wait = asyncio.create_task(
            service.call("GET", f"/tickets/{third['ticket']}?waitMs=5000&position=2")
        )
        status, body = await service.call(
            "GET", f"/tickets/{second['ticket']}?waitMs=50&position=1"
        )
        assert (status, body["position"]) == (202, 1)
        release = {"sessionId": first["sessionId"], "fence": first["fence"]}
        assert (await service.call("POST", "/release", release))[0] == 204
        path = f"/tickets/{second['ticket']}?waitMs=5000&position=1"
        status, body = await service.call("GET", path)
        assert (status, body["sessionId"], body["workerId"]) == (200, second["ticket"], "w1")
        assert body["fence"]["n"] > first["fence"]["n"]
        status, body = await wait
        assert (status, body["position"]) == (202, 1)


async def test_a_ticket_may_be_given_back(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, empty_pool()) as service:
        _, one = await service.allocate()
        _, two = await service.allocate()
        wait = asyncio.create_task(
            service.call("GET", f"/tickets/{two['ticket']}?waitMs=5000&position=2")
        )
        assert (await service.call("DELETE", f"/tickets/{one['ticket']}"))[0] == 204
        status, body = await wait
        assert (status, body["position"]) == (202, 1)
        for method in ("GET", "DELETE"):
            status, body = await service.call(method, "/tickets/unknown")
            assert (status, body["code"]) == (404, "not_found")
        assert (await service.call("GET", f"/tickets/{one['ticket']}"))[0] == 404


async def test_a_queued_session_is_served_by_a_worker_that_boots(valkey: EmbeddedValkey) -> None:
    spec = PoolSpec(initial=0, policy={"kind": "buffer", "warm": 0}, max_workers=1)
    async with serving(valkey, spec) as service:
        status, ticket = await service.allocate()
        assert status == 202
        status, body = await service.call(
            "GET", f"/tickets/{ticket['ticket']}?waitMs=8000&position=1"
        )
        assert (status, body["sessionId"]) == (200, ticket["ticket"])


async def test_a_full_queue_and_an_unknown_pool_are_refused(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, empty_pool(max_queue=1)) as service:
        assert (await service.allocate())[0] == 202
        status, body = await service.allocate()
        assert (status, body["code"], body["retryable"]) == (503, "queue_full", True)
        status, body = await service.allocate(requiredGPU="A10G")
        assert (status, body["code"]) == (503, "no_capacity")
    async with serving(valkey, empty_pool(name="none", max_workers=0)) as service:
        status, body = await service.allocate()
        assert (status, body["code"]) == (503, "no_capacity")


async def test_an_unconfirmed_lease_gives_its_slot_back(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, empty_pool(), lease_ms=300) as service:
        await service.add_worker("w1")
        async with service.ledger.store.subscribe("node:client-node") as told:
            _, first = await service.allocate()
            await service.ledger.attach_client(first["sessionId"], "client-node", "digest")
            began = time.monotonic()
            await service.until(lambda pool: pool["ready"] == 1)
            assert time.monotonic() - began < 2.0
            async with asyncio.timeout(5):
                _, text = await anext(told)
        assert json.loads(text) == {
            "to": "client",
            "id": first["sessionId"],
            "message": {
                "type": "session-ended",
                "sessionId": first["sessionId"],
                "reason": "lease_expired",
                "fence": None,
            },
        }
        status, body = await service.allocate(sessionId=first["sessionId"])
        assert (status, body["code"]) == (409, "conflict")


async def test_a_killed_worker_is_noticed_at_once_and_replaced(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, PoolSpec(policy={"kind": "fixed", "size": 2})) as service:
        await service.until(lambda pool: pool["ready"] == 2)
        _, held = await service.allocate()
        child = service.provider._children[held["workerId"]]
        began = time.monotonic()
        child.process.kill()
        await service.until(lambda pool: pool["failed"] == 1)
        assert time.monotonic() - began < 1.0
        session = await service.ledger.get_session(held["sessionId"])
        assert session is not None
        assert session.reason == "worker_lost"
        await service.until(lambda pool: pool["ready"] == 2)


async def test_a_worker_that_falls_silent_is_replaced(valkey: EmbeddedValkey) -> None:
    spec = PoolSpec(policy={"kind": "fixed", "size": 1})
    async with serving(valkey, spec, heartbeat_ms=300) as service:
        await service.until(lambda pool: pool["ready"] == 1)
        (child,) = service.provider._children.values()
        os.kill(child.process.pid, signal.SIGSTOP)
        await service.until(lambda pool: pool["failed"] == 1 and pool["ready"] == 1)
        assert await child.process.wait() == -signal.SIGKILL


async def test_a_drained_worker_goes_after_its_session(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, PoolSpec(policy={"kind": "fixed", "size": 1})) as service:
        await service.until(lambda pool: pool["ready"] == 1)
        _, held = await service.allocate()
        await service.ledger.confirm(
            held["sessionId"], (await service.ledger.get_session(held["sessionId"])).fence
        )
        path = f"/workers/{held['workerId']}/drain"
        assert (await service.call("POST", path))[0] == 204
        await service.until(lambda pool: pool["draining"] == 1 and pool["ready"] == 1)
        assert held["workerId"] in service.provider.running()
        await service.call("POST", "/release", {"sessionId": held["sessionId"]})
        await service.until(lambda pool: pool["draining"] == 0)
        assert held["workerId"] not in service.provider.running()
        status, body = await service.call("POST", "/workers/unknown/drain")
        assert (status, body["code"]) == (404, "not_found")


async def test_a_pools_policy_changes_at_run_time(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, empty_pool()) as service:
        patch = {"policy": {"kind": "fixed", "size": 2}, "maxWorkers": 1}
        status, body = await service.call("PATCH", "/pools/default", patch)
        assert (status, body["maxWorkers"], body["policy"]) == (200, 1, patch["policy"])
        await service.until(lambda pool: pool["ready"] == 1)
        wrong = {"policy": {"kind": "nonsense"}}
        status, body = await service.call("PATCH", "/pools/default", wrong)
        assert (status, body["code"]) == (400, "bad_message")
        assert "nonsense" in body["error"]
        assert (await service.call("PATCH", "/pools/other", patch))[0] == 404


async def test_the_provider_leaves_no_process_behind(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, PoolSpec(policy={"kind": "fixed", "size": 2})) as service:
        await service.until(lambda pool: pool["ready"] == 2)
        children = [child.process for child in service.provider._children.values()]
    assert [child.returncode for child in children] == [0, 0]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/allocate", b"{", 400, "bad_message"),
        ("POST", "/allocate", b"[" * 100_000, 413, "too_large"),
        ("POST", "/allocate", b"[" * 6000, 400, "bad_message"),
        ("POST", "/allocate", b"\xff\xfe", 400, "bad_message"),
        ("POST", "/allocate", b'{"clientId":1}', 400, "bad_message"),
        ("POST", "/allocate", b"", 400, "bad_message"),
        ("POST", "/release", b'{"sessionId":"unknown"}', 404, "not_found"),
        ("GET", "/tickets/x?waitMs=soon", None, 400, "bad_message"),
        ("GET", "/tickets/x?waitMs=99999999999999", None, 400, "bad_message"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("PUT", "/allocate", b"{}", 405, "bad_message"),
    ],
)
async def test_bad_requests_get_typed_errors(
    valkey: EmbeddedValkey, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    async with serving(valkey, empty_pool()) as service:
        got, refused = await service.call(method, path, body)
        assert (got, refused["code"]) == (status, code)
        assert "Traceback" not in refused["error"]


async def test_a_body_without_a_length_is_bounded_too(valkey: EmbeddedValkey) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_MESSAGE_BYTES // 1000 + 2):
            yield b" " * 1000

    async with (
        serving(valkey, empty_pool()) as service,
        service.client.post(service.url + "/allocate", data=endless()) as response,
    ):
        assert response.status == 413


async def test_only_services_are_answered_when_there_are_keys(valkey: EmbeddedValkey) -> None:
    keys = tokens.Keys.generate()

    def header(audience: tokens.Audience, keys: tokens.Keys = keys) -> dict[str, str]:
        token = tokens.sign(keys, audience, "test", now_s=time.time(), ttl_s=60)
        return {"Authorization": f"Bearer {token}"}

    async with serving(valkey, empty_pool(), keys=keys) as service:
        for headers in (
            {},
            {"Authorization": "Bearer nonsense"},
            {"Authorization": "Basic abc"},
            header(tokens.Audience.CLIENT),
            header(tokens.Audience.WORKER),
            header(tokens.Audience.SERVICE, tokens.Keys.generate()),
        ):
            status, body = await service.call("POST", "/allocate", ASK, headers=headers)
            assert (status, body["code"]) == (401, "unauthorized")
        good = header(tokens.Audience.SERVICE)
        assert (await service.call("POST", "/allocate", ASK, headers=good))[0] == 202
        assert (await service.call("GET", "/livez"))[0] == 200


async def test_health_metrics_and_description_are_open(valkey: EmbeddedValkey) -> None:
    async with serving(valkey, empty_pool()) as service:
        assert await service.call("GET", "/livez") == (200, "ok\n")
        assert (await service.call("GET", "/readyz"))[0] == 200
        status, health = await service.call("GET", "/health")
        assert (status, health["status"]) == (200, "healthy")
        assert health["parts"] == {"store": "healthy", "pool:default": "healthy"}
        await service.allocate()
        _, metrics = await service.call("GET", "/metrics")
        assert 'remote_render_allocations_total{pool="default",result="queued"} 1.0' in metrics
        _, document = await service.call("GET", "/openapi.json")
        assert document["openapi"].startswith("3.1")
        for path in document["paths"]:
            url = service.url + re.sub(r"{\w+}", "x", path)
            async with service.client.request("TRACE", url) as answer:
                assert answer.status == 405
                methods = {name.upper() for name in document["paths"][path]}
                assert methods <= set(answer.headers["Allow"].split(","))


async def test_without_its_store_the_orchestrator_says_so_and_recovers(tmp_path) -> None:
    valkey = EmbeddedValkey()
    valkey.start()
    try:
        async with serving(valkey, empty_pool()) as service:
            assert (await service.call("GET", "/readyz"))[0] == 200
            valkey.stop()
            began = time.monotonic()
            status, body = await service.allocate()
            assert time.monotonic() - began < 2.5
            assert (status, body["code"], body["retryable"]) == (503, "unavailable", True)
            assert (await service.call("GET", "/readyz"))[0] == 503
            assert (await service.call("GET", "/health"))[0] == 503
            assert (await service.call("GET", "/livez"))[0] == 200
    finally:
        valkey.stop()


async def test_two_orchestrators_on_one_store_keep_one_pool_and_both_serve_it(
    valkey: EmbeddedValkey,
) -> None:
    spec = PoolSpec(policy={"kind": "fixed", "size": 2}, max_workers=2)
    async with serving(valkey, spec) as one, serving(valkey, spec) as two:
        await one.until(lambda pool: pool["ready"] == 2)
        await two.until(lambda pool: pool["ready"] == 2)
        answers = [await one.allocate(), await two.allocate()]
        assert [status for status, _ in answers] == [200, 200]
        assert len({body["workerId"] for _, body in answers}) == 2
        assert len(await one.ledger.workers()) == 2
        assert len(one.provider.running()) + len(two.provider.running()) == 2


def server_of(valkey: EmbeddedValkey) -> int:
    """Process id of the server behind its guard."""
    guard = valkey._guard.pid
    return int(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()[0])


async def test_a_store_outage_costs_no_worker_and_no_session() -> None:
    spec = PoolSpec(policy={"kind": "fixed", "size": 1})
    with EmbeddedValkey() as valkey:
        server = server_of(valkey)
        async with serving(valkey, spec, heartbeat_ms=300, deadline_s=0.3) as service:
            await service.until(lambda pool: pool["ready"] == 1)
            _, held = await service.allocate()
            fence = (await service.ledger.get_session(held["sessionId"])).fence
            assert await service.ledger.confirm(held["sessionId"], fence)
            os.kill(server, signal.SIGSTOP)
            try:
                status, body = await service.allocate()
                assert (status, body["code"]) == (503, "unavailable")
                await asyncio.sleep(1.5)  # five heartbeats
            finally:
                os.kill(server, signal.SIGCONT)
            began = time.monotonic()
            while (await service.allocate())[0] != 202:
                assert time.monotonic() - began < 2.0
            await asyncio.sleep(1.2)  # the sweep judges again
            assert (await service.ledger.get_session(held["sessionId"])).state == "connecting"
            assert (await service.pool())["failed"] == 0


async def test_a_worker_that_never_becomes_ready_degrades_the_pools_health(
    valkey: EmbeddedValkey,
) -> None:
    spec = PoolSpec(policy={"kind": "fixed", "size": 1}, boot_deadline_s=0.5)
    async with serving(valkey, spec, worker_args=("--never-ready",)) as service:
        await service.until(lambda pool: pool["failed"] >= 1)
        _, health = await service.call("GET", "/health")
        assert health["status"] == "degraded"


# --- the process ---------------------------------------------------------------


class Process:
    """An orchestrator as a process; the fixture below ends those that a failed test leaves."""

    started: ClassVar[list[Process]] = []

    def __init__(self, valkey_url: str, tmp_path: Path, *arguments: str, pools: str = "") -> None:
        config = tmp_path / "pools.json"
        config.write_text(
            pools or '{"pools": [{"initial": 0, "policy": {"kind": "fixed", "size": 0}}]}'
        )
        read_fd, write_fd = os.pipe()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RR_")}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "system.orchestrator"),
                *("--store", valkey_url, "--pool-config", str(config)),
                *("--signaling", "ws://127.0.0.1:9/ws", "--ready-fd", str(write_fd)),
                *arguments,
            ],
            pass_fds=(write_fd,),
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        os.close(write_fd)
        self.ready = os.fdopen(read_fd)
        self.started.append(self)

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=10)
        self.ready.close()
        return self.process.returncode, errors


def test_the_process_says_its_port_and_ends_cleanly_on_sigterm(
    valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    running = Process(valkey.url, tmp_path)
    port = json.loads(running.ready.readline())["port"]
    assert port > 0
    running.process.terminate()
    status, log = running.end()
    assert status == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events == ["service.listening", "service.stopping"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--store", "memory://"), "memory://"),
        (("--store", "mysql://x"), "redis://"),
        (("--host", "0.0.0.0"), "RR_SECRET"),
        (("--worker-args", "{}"), "JSON list"),
        (("--pool-config", "/nowhere.json"), "nowhere.json"),
        (("--lease", "soon"), "soon"),
    ],
)
def test_wrong_usage_is_one_readable_line_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    status, errors = Process("unix:///nowhere", tmp_path, *arguments).end()
    assert status == 2
    assert text in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_a_port_in_use_says_what_to_do(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    first = Process(valkey.url, tmp_path)
    port = json.loads(first.ready.readline())["port"]
    status, errors = Process(valkey.url, tmp_path, "--port", str(port)).end()
    assert status == 2
    assert f"port {port} on 127.0.0.1 is in use; give another --port" in errors
    first.process.terminate()
    assert first.end()[0] == 0


async def test_a_killed_orchestrators_lease_is_ended_by_the_next(
    valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    store = open_store(valkey.url)
    ledger = Ledger(store)
    await ledger.register(Register(worker_id="w1", generation=1, slots=1), "test-node")
    pools = '{"pools": [{"initial": 0, "policy": {"kind": "fixed", "size": 1}}]}'
    first = Process(valkey.url, tmp_path, "--lease", "1s", pools=pools)
    port = json.loads(first.ready.readline())["port"]
    async with aiohttp.ClientSession() as client:
        answer = await client.post(f"http://127.0.0.1:{port}/allocate", json=ASK)
        assert answer.status == 200
    first.process.kill()
    first.end()
    began = time.monotonic()
    second = Process(valkey.url, tmp_path, "--lease", "1s", pools=pools)
    assert second.ready.readline()
    reservation = None
    while reservation is None:
        assert time.monotonic() - began < 4.0
        await asyncio.sleep(0.05)
        reservation = await ledger.reserve("next", "c", "p", "default")
    assert reservation.worker_id == "w1"
    second.process.terminate()
    assert second.end()[0] == 0
    await store.close()
