"""What the workers of an embedded stack count themselves, read from their metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from system.stack import EmbeddedStack, arguments

_COUNTER = re.compile(r"^remote_render_worker_(\w+)_total(?:\{[^}]*\})? ([\d.e+]+)$", re.MULTILINE)


@contextmanager
def workers_serve_metrics() -> Iterator[None]:
    """Stacks that are started meanwhile have workers that serve metrics on free ports."""
    with pytest.MonkeyPatch.context() as patch:
        plain = arguments.worker
        patch.setattr(arguments, "worker", lambda config: [*plain(config), "--metrics-port", "0"])
        yield


async def worker_figures(stack: EmbeddedStack, worker: str) -> dict[str, float]:
    """A worker's counters, by the port that its log names."""
    log = (Path(stack.log_dir) / f"worker-{worker}.log").read_text()
    found = re.search(r'"worker\.metrics","port":(\d+)', log)
    assert found is not None, f"{worker} serves no metrics"
    url = f"http://127.0.0.1:{found[1]}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return {name: float(value) for name, value in _COUNTER.findall(await answer.text())}
