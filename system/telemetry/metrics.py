"""Prometheus metrics of one process: a registry of its own, nothing global.

Names carry base units (``_seconds``, ``_bytes``, ``_total``); no label is ever
a session, client or project id.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

NAMESPACE: Final = "remote_render"

LATENCY_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
)
"""Seconds; wide enough for a lookup and for a boot."""


def new_registry(role: str, node: str = "") -> CollectorRegistry:
    """A registry with the process's own figures and who it is."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    Info("process", "Role and node.", namespace=NAMESPACE, registry=registry).info(
        {"role": role, "node": node}
    )
    return registry


def exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    """The registry in Prometheus's text format, and its content type."""
    return generate_latest(registry), CONTENT_TYPE_LATEST
