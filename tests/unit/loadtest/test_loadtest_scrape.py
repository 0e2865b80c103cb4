"""Somebody else's system seen through its metrics: what they say, and a search that uses it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from pages import Pages

from loadtest._blame import blame
from loadtest._look import Look, Process, evidence
from loadtest._scrape import Scrape, parse
from system.orchestrator.metrics import Metrics as OrchestratorMetrics
from system.signaling.metrics import Metrics as SignalingMetrics
from system.stack import PoolCounts
from system.telemetry.metrics import exposition, new_registry
from system.worker.metrics import WorkerCollector
from system.worker.tally import Tally

URL = "http://10.0.0.1:9100/metrics"


def worker_page(frames: int, encode_s: float, sessions: int = 0) -> str:
    """What a worker's endpoint says, by the worker's own code."""
    tally = Tally()
    tally.frames, tally.encode_s = frames, encode_s
    agent: Any = SimpleNamespace(
        tally=tally,
        slots=SimpleNamespace(limit=4, sessions=[None] * sessions),
        registered=True,
    )
    registry = new_registry("worker", "worker-7")
    registry.register(WorkerCollector(tally, agent))
    return exposition(registry)[0].decode()


def test_a_worker_says_what_it_uses_and_how_long_it_encodes() -> None:
    page = parse(worker_page(90, 1.8, sessions=3), URL)
    assert page is not None
    assert (page.node, page.role, page.sessions) == ("worker-7", "worker", 3)
    assert (page.frames, page.encode_s) == (90, 1.8)
    assert page.cpu_s > 0
    assert page.rss_bytes > 1e6
    assert page.pool is None


def test_an_orchestrator_says_how_its_pools_are() -> None:
    metrics = OrchestratorMetrics("orchestrator-0")
    for pool, state, count in (
        ("a", "ready", 2),
        ("b", "ready", 1),
        ("a", "active", 3),
        ("a", "draining", 1),
        ("a", "provisioning", 1),
        ("a", "booting", 1),
        ("a", "stopped", 5),
        ("a", "gone", 9),
    ):
        metrics.workers.labels(pool, state).set(count)
    metrics.waiting.labels("a").set(4)
    page = parse(exposition(metrics.registry)[0].decode(), URL)
    assert page is not None
    assert page.role == "orchestrator"
    assert page.pool == PoolCounts(ready=3, booting=2, busy=4, stopped=5, waiting=4)


def test_a_signaling_node_without_a_name_is_called_after_its_address() -> None:
    page = parse(exposition(SignalingMetrics("", lambda: 3).registry)[0].decode(), URL)
    assert page is not None
    assert (page.role, page.node) == ("signaling", "signaling 10.0.0.1:9100")


def test_other_peoples_metrics_say_nothing() -> None:
    assert parse("# TYPE up gauge\nup 1\n", URL) is None


def looks(scrape: Scrape, pages: Pages, *rounds: dict[str, str]) -> list[Look]:
    """What is seen when the pages are these, one after the other."""
    found: list[Look] = []
    for number, texts in enumerate(rounds):
        pages.pages.clear()
        pages.pages.update(texts)
        look = scrape._look(float(number))
        found += [look] if look is not None else []
    return found


def test_counters_become_rates_between_two_looks(pages: Pages) -> None:
    scrape = Scrape([f"{pages.base}/metrics", f"{pages.base}/nothing"])
    first, second = worker_page(0, 0.0), worker_page(60, 1.5, sessions=2)
    (look,) = looks(scrape, pages, {"/metrics": first}, {"/metrics": second})
    (process,) = look.processes
    assert (process.node, process.role, process.sessions) == ("worker-7", "worker", 2)
    assert process.encode_s == pytest.approx(0.025)
    assert process.lag_s < 2.0
    assert [row["role"] for row in look.rows()] == ["worker"]


def test_a_process_that_began_anew_has_no_rate_until_it_was_seen_twice(pages: Pages) -> None:
    scrape = Scrape([f"{pages.base}/metrics"])
    page = worker_page(10, 0.1)
    assert looks(scrape, pages, {"/metrics": page}, {}, {"/metrics": page}) == []


def test_a_system_that_shows_nothing_is_looked_at_in_vain(pages: Pages) -> None:
    scrape = Scrape([f"{pages.base}/metrics"])
    found: list[Look] = []
    greenlet = gevent.spawn(scrape.look_after, 0.0, found.append)
    gevent.sleep(0.1)
    greenlet.kill()
    assert (found, scrape.looks, scrape.pool) == ([], [], None)


@pytest.mark.parametrize(
    ("processes", "pool", "component"),
    [
        ([Process("w", "worker", 0.97)], None, "worker CPU"),
        ([Process("w", "worker", 0.5, encode_s=0.02)], None, "encoder"),
        ([Process("s", "signaling", 0.1, lag_s=0.4)], None, "signaling event loop"),
        ([Process(f"w{n}", "worker", 0.8) for n in range(64)], None, ""),
        ([], PoolCounts(waiting=2), "pool"),
    ],
)
def test_what_was_seen_elsewhere_names_the_component(
    processes: list[Process], pool: PoolCounts | None, component: str
) -> None:
    """The last but one: 64 workers are not too many for the generator's own cores."""
    seen = evidence(
        [Look(1.0, pool, tuple(processes))],
        generator_cpu=0.1,
        generator_lag_s=0.001,
        fps=30,
        shared=False,
    )
    assert blame("session.join_time" if pool else "input.to_frame", seen) == component


def test_a_late_generator_is_its_own_doing_where_nothing_else_takes_its_cores() -> None:
    look = Look(1.0, None, (Process("w", "worker", 0.2, lag_s=math.nan),))
    apart = evidence([look], generator_cpu=0.1, generator_lag_s=0.3, fps=30, shared=False)
    beside = evidence([look], generator_cpu=0.1, generator_lag_s=0.3, fps=30, shared=True)
    assert blame("input.to_frame", apart) == "load generator"
    assert blame("input.to_frame", beside) == ""


@pytest.mark.parametrize("text", ["<html>no such page</html>", "\x00\xff{", "a{b=", "é 1 2 3 4"])
def test_a_page_that_is_no_metrics_is_left_out(pages: Pages, text: str) -> None:
    scrape = Scrape([f"{pages.base}/metrics"])
    assert looks(scrape, pages, {"/metrics": text}, {"/metrics": text}) == []
