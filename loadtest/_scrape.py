"""Looks at somebody else's system through its ``/metrics``, where they can be read.

What is understood are this project's own figures: who a process is, its CPU and
memory, the pool's workers and queue, a worker's frames and time to encode.
What an endpoint does not say is not known; an endpoint that does not answer is
left out until it does.
"""

from __future__ import annotations

import logging
import math
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import gevent
import gevent.pool
import psutil
from prometheus_client.parser import text_string_to_metric_families

from loadtest._look import Look, Process
from system.protocol.states import LAUNCHING, WorkerState
from system.stack import PoolCounts
from system.stack.config import is_loopback
from system.telemetry.metrics import NAMESPACE

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
ANSWER_S: Final = 2.0
BYTES_MAX: Final = 4 << 20
_BUSY: Final = (WorkerState.RESERVED, WorkerState.ACTIVE, WorkerState.DRAINING)


@dataclass(frozen=True, slots=True)
class Page:
    """What one ``/metrics`` says; counters are totals since the process began."""

    node: str
    role: str
    cpu_s: float = math.nan
    rss_bytes: int = 0
    frames: float = 0.0
    encode_s: float = 0.0
    sessions: int = 0
    pool: PoolCounts | None = None


def parse(text: str, url: str) -> Page | None:
    """Read a page; None where it is no process of such a system."""
    values: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values.setdefault(sample.name, []).append((sample.labels, sample.value))

    def one(name: str, absent: float = 0.0) -> float:
        found = values.get(name)
        return found[0][1] if found else absent

    who = values.get(f"{NAMESPACE}_process_info")
    if not who:
        return None
    labels = who[0][0]
    role = labels.get("role", "")
    return Page(
        node=labels.get("node") or f"{role} {urlsplit(url).netloc}",
        role=role,
        cpu_s=one("process_cpu_seconds_total", math.nan),
        rss_bytes=int(one("process_resident_memory_bytes")),
        frames=one(f"{NAMESPACE}_worker_frames_total"),
        encode_s=one(f"{NAMESPACE}_worker_encode_seconds_total"),
        sessions=int(one(f"{NAMESPACE}_worker_slots_used")),
        pool=_pool(
            values.get(f"{NAMESPACE}_pool_workers", []),
            values.get(f"{NAMESPACE}_pool_waiting_sessions", []),
        ),
    )


def _pool(
    workers: Iterable[tuple[Mapping[str, str], float]],
    waiting: Iterable[tuple[Mapping[str, str], float]],
) -> PoolCounts | None:
    """Workers of all pools by state; None where none are told."""
    counts: dict[str, int] = {}
    for labels, value in workers:
        state = labels.get("state", "")
        counts[state] = counts.get(state, 0) + int(value)
    if not counts:
        return None
    return PoolCounts(
        ready=counts.get(WorkerState.READY, 0),
        booting=sum(counts.get(state, 0) for state in LAUNCHING),
        busy=sum(counts.get(state, 0) for state in _BUSY),
        stopped=counts.get(WorkerState.STOPPED, 0),
        waiting=sum(int(value) for _, value in waiting),
    )


@dataclass(eq=False)
class Scrape:
    """Looks at the endpoints ``urls`` while a run goes on."""

    urls: Sequence[str] = ()
    looks: list[Look] = field(default_factory=list)
    """Of the present run, one a second, for as long as anything answers."""
    _before: dict[str, tuple[float, Page]] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        """Whether the system runs on this machine."""
        return all(is_loopback(urlsplit(url).hostname or "") for url in self.urls)

    @property
    def pool(self) -> PoolCounts | None:
        """The pool as it was last seen."""
        return self.looks[-1].pool if self.looks else None

    def look_after(self, start_at: float, looked: Callable[[Look], None]) -> None:
        """Look each second; a greenlet's work, for as long as it runs."""
        self.looks = []
        self._before = {}
        psutil.cpu_percent()  # counts from here
        while self.urls:
            began = time.monotonic()
            found = self._look(began - start_at)
            if found is not None:
                self.looks.append(found)
                looked(found)
            gevent.sleep(max(LOOK_EVERY_S - (time.monotonic() - began), 0.05))

    def _look(self, t_s: float) -> Look | None:
        pages = gevent.pool.Group().map(self._fetch, self.urls)
        processes, pools = [], []
        for url, (at_s, answer_s, page) in zip(self.urls, pages, strict=True):
            if page is None:
                self._before.pop(url, None)
                continue
            pools += [page.pool] if page.pool is not None else []
            before = self._before.get(url)
            self._before[url] = (at_s, page)
            if before is not None and before[1].node == page.node:
                processes.append(_process(at_s - before[0], before[1], page, answer_s))
        if not processes and not pools:
            return None
        used = psutil.cpu_percent() / 100.0 * (psutil.cpu_count() or 1) if self.shared else 0.0
        return Look(t_s, pools[0] if pools else None, tuple(processes), used)

    def _fetch(self, url: str) -> tuple[float, float, Page | None]:
        began = time.monotonic()
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
                text = answer.read(BYTES_MAX).decode("utf-8", "replace")
            page = parse(text, url)
        except (OSError, ValueError, KeyError) as error:
            logger.debug("metrics.unreadable %s: %s", url, error)
            return began, 0.0, None
        return began, time.monotonic() - began, page


def _process(length_s: float, before: Page, page: Page, answer_s: float) -> Process:
    frames = page.frames - before.frames
    used = (page.cpu_s - before.cpu_s) / max(length_s, 1e-3)
    return Process(
        node=page.node,
        role=page.role,
        cpu=max(used, 0.0) if math.isfinite(used) else 0.0,
        rss_bytes=page.rss_bytes,
        lag_s=answer_s,
        sessions=page.sessions,
        encode_s=(page.encode_s - before.encode_s) / frames if frames > 0 else 0.0,
    )
