"""Owns the worker's process: probe, delay, agent, signals, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from importlib import metadata

import cv2

from system.telemetry import logs
from system.worker.agent import Agent
from system.worker.config import WorkerConfig
from system.worker.control import ControlError
from system.worker.exits import CONTROL_LOST, DONE, PROBE_FAILED, USAGE
from system.worker.probe import Probe, ProbeFailed, probe
from system.worker.render_pool import RenderPool
from system.worker.settings import StreamSettings

_log = logs.get(__name__)


async def serve(config: WorkerConfig, began_s: float) -> int:
    """Run a worker to its end; the exit code. ``began_s``: monotonic start of the process."""
    stop = _StopSignals(config.drain_timeout_s)
    # Sessions are what runs in parallel here; OpenCV's own threads would only
    # take turns with them.
    cv2.setNumThreads(1)
    pool = RenderPool(config.width, config.height, config.renderer, config.slots)
    try:
        try:
            made = await probe(pool, config.codecs, config.fps, config.bitrate_bps)
        except ProbeFailed as error:
            _log.error("worker.probe_failed", reason=str(error))
            return PROBE_FAILED
        _log.info(
            "worker.probed",
            renderer=made.renderer,
            encoder=made.encoder,
            render_s=round(made.render_s, 4),
            encode_s=round(made.encode_s, 4),
        )
        if await stop.within(config.boot_delay_s):
            return DONE
        return await _run_agent(config, pool, made, stop, began_s)
    finally:
        pool.close()


async def _run_agent(
    config: WorkerConfig, pool: RenderPool, made: Probe, stop: _StopSignals, began_s: float
) -> int:
    agent = Agent(
        config,
        StreamSettings.of(config, made.encoders),
        pool,
        made,
        version=_version(),
        booted_s=lambda: time.monotonic() - began_s,
    )
    stop.agent = agent
    async with contextlib.AsyncExitStack() as stack:
        if config.metrics_port is not None:
            # Only here: a worker that nobody scrapes does not load the library.
            from system.worker.metrics import serving

            serve_metrics = serving(agent, config.worker_id, config.metrics_port)
            try:
                port = await stack.enter_async_context(serve_metrics)
            except OSError as error:
                _log.error("worker.metrics_failed", port=config.metrics_port, reason=str(error))
                return USAGE
            _log.info("worker.metrics", port=port)
        try:
            await agent.run()
        except ControlError as error:
            _log.error("worker.lost_control", reason=str(error))
            return CONTROL_LOST
    _log.info("worker.stopped")
    return DONE


class _StopSignals:
    """SIGTERM and SIGINT drain; a second one ends the sessions at once."""

    def __init__(self, drain_timeout_s: float) -> None:
        self._drain_timeout_s = drain_timeout_s
        self._asked = asyncio.Event()
        self.agent: Agent | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask)

    async def within(self, seconds: float) -> bool:
        """Wait; whether a signal came meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        return self._asked.is_set()

    def _ask(self) -> None:
        again = self._asked.is_set()
        self._asked.set()
        if self.agent is not None:
            self.agent.drain(0.0 if again else self._drain_timeout_s)


def _version() -> str:
    try:
        return metadata.version("remote-render")
    except metadata.PackageNotFoundError:
        return ""
