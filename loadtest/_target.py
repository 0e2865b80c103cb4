"""What is loaded: an embedded stack that a scenario describes, or a host that somebody runs."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from loadtest._refusal import Refusal
from scenarios.distributions import AnyDistribution
from scenarios.load import ClosedLoad, OpenLoad
from scenarios.model import Scenario
from scenarios.policies import Schedule, singles
from system.stack.config import PoolConfig, StackConfig, StreamConfig
from system.stack.errors import AddressInUse, BadConfig
from system.stack.listen import listen

PREFLIGHT_S: Final = 5.0
"""How long a host may take to accept a connection before the test is given up."""

_WITHOUT_PAGE: Final = ("list_commands", "show_task_ratio", "show_task_ratio_json")

WORKERS_READY_S: Final = 60.0
NICE: Final = 5
"""Niceness of the embedded stack: what measures it runs on the same cores and goes first."""
SLOTS: Final = 4
"""Sessions per worker where no scenario says so."""


def preflight(url: str, timeout_s: float = PREFLIGHT_S) -> None:
    """Connect to ``url`` once, TLS included.

    Raises:
        Refusal: nobody answers there, with what to do in one line.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        with socket.create_connection((name, port), timeout=timeout_s) as connection:
            if parts.scheme == "wss":
                context = ssl.create_default_context()
                with context.wrap_socket(connection, server_hostname=name):
                    pass
    except socket.gaierror:
        raise Refusal(f"--host: the name {name} is not known; check its spelling") from None
    except TimeoutError:
        raise Refusal(
            f"--host: {name} port {port} did not answer within {timeout_s:g} s; is it up, and "
            "does a firewall let you through?"
        ) from None
    except ssl.SSLError as error:
        raise Refusal(
            f"--host: {name} port {port}: no TLS ({error.reason or 'handshake failed'}); "
            "use ws:// for a server without it"
        ) from None
    except OSError as error:
        reason = (error.strerror or "no connection").lower()
        raise Refusal(
            f"--host: {name} port {port}: {reason}; start the system there, or leave out --host "
            "to have an embedded one"
        ) from None


def metrics_urls(url: str) -> tuple[str, ...]:
    """Where the system behind a WebSocket address says how it fares, by its own custom."""
    parts = urlsplit(url)
    return (
        urlunsplit(
            ("https" if parts.scheme == "wss" else "http", parts.netloc, "/metrics", "", "")
        ),
    )


def stack_config(scenario: Scenario) -> StackConfig:
    """The embedded stack that a scenario describes; every initial worker is ready at second 0.

    Its policy comes with ``policy_from`` when the load begins: before, it might
    end or replace what the pool is to begin with.

    Raises:
        Refusal: the scenario asks for what the embedded stack cannot do.
    """
    pool = scenario.pool
    stream = scenario.stream
    other = "vp8" if stream.codec == "h264" else "h264"
    try:
        return StackConfig(
            pools=(
                PoolConfig(
                    initial=pool.at_start + pool.stopped_at_start,
                    slots=pool.slots_per_worker,
                    max_workers=pool.max_workers,
                    boot=_delay(pool.boot),
                    start=_delay(pool.start),
                    seed=scenario.seed,
                    scrub_s=pool.scrub.mean,
                    reuse=pool.reuse,
                ),
            ),
            stream=StreamConfig(
                width=stream.resolution.width,
                height=stream.resolution.height,
                fps=stream.fps,
                bitrate_bps=round(stream.bitrate_bps),
                pacing=stream.pacing,
                codecs=(stream.codec, other),
            ),
            nice=NICE,
            min_ready=pool.at_start,
            ready_timeout_s=WORKERS_READY_S + 4 * pool.boot.mean,
        )
    except BadConfig as error:
        raise Refusal(str(error)) from None


def policy_from(scenario: Scenario, epoch: float) -> dict[str, Any]:
    """The pool's policy as the orchestrator takes it; ``epoch`` is second 0 of the run."""
    policy = scenario.pool.policy
    given = policy.model_dump(exclude_none=True)
    for (_, part), one in zip(singles(policy), given.get("of", [given]), strict=True):
        if isinstance(part, Schedule):
            one["midnight_s"] = epoch - scenario.sim.start_s
    return given


def _delay(drawn: AnyDistribution) -> Mapping[str, Any] | None:
    return drawn.model_dump(exclude_none=True) if drawn.mean > 0 else None


def viewers_scenario(users: int, spawn_rate: float, run_time_s: float, *, embedded: bool) -> str:
    """A scenario's text for a run that was given none: so many viewers on enough workers.

    The embedded stack gets a picture that two cores can encode for some viewers.
    """
    users = max(users, 1)
    ramp_s = (users - 1) / spawn_rate
    workers = math.ceil(users / SLOTS)
    stream = "stream: {resolution: 640x360, bitrate: 1.2Mbps}\n" if embedded else ""
    return f"""\
version: 1
name: viewers
description: concurrent viewers, without a scenario file
{stream}load:
  model: closed
  users: {users}
  ramp: {ramp_s:.3f}s
  for: {run_time_s:.1f}s
  input: {{rate: 5/s, mix: {{camera:orbit: 0.9, device:click: 0.1}}}}
pool:
  slots_per_worker: {SLOTS}
  policy: {{kind: fixed, size: {workers}}}
"""


def with_viewers(scenario: Scenario, users: int) -> Scenario:
    """The same scenario with another number of viewers; not of an open load."""
    load = scenario.load
    if isinstance(load, OpenLoad):
        raise TypeError("an open load has no number of viewers")
    field = "users" if isinstance(load, ClosedLoad) else "max_users"
    return scenario.model_copy(update={"load": load.model_copy(update={field: users})})


def web_port_is_free(options: Mapping[str, Any]) -> None:
    """See that Locust's web page can be served: Locust itself ends with two tracebacks.

    Raises:
        Refusal: it cannot, and what to do.
    """
    if any(options.get(name) for name in ("headless", *_WITHOUT_PAGE)):
        return
    host = "" if options["web_host"] == "*" else options["web_host"]
    try:
        listen(host or "0.0.0.0", options["web_port"]).close()
    except AddressInUse as error:
        what = str(error).partition(";")[0]
        raise Refusal(
            f"Locust's web page: {what}; give another --web-port, or --headless"
        ) from None
