"""Prometheus metrics of one signaling node. No session, user or worker id is ever a label."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from system.telemetry.metrics import LATENCY_BUCKETS, new_registry


class Metrics:
    """Every figure of the node, in a registry of its own (several nodes fit in a process)."""

    def __init__(self, node: str, active_sessions: Callable[[], int]) -> None:
        self.registry = new_registry("signaling", node)
        self._started = time.monotonic()
        registry = self.registry
        active = Gauge(
            "signaling_active_sessions", "Sessions whose client is attached here", registry=registry
        )
        active.set_function(active_sessions)
        uptime = Gauge("signaling_uptime_seconds", "Time since the start", registry=registry)
        uptime.set_function(lambda: self.uptime_s)
        self.connections = Gauge(
            "signaling_connections", "Open WebSockets", ["role"], registry=registry
        )
        self.accepted = Counter(
            "signaling_connections_accepted", "WebSockets opened", ["role"], registry=registry
        )
        self.rejected = Counter(
            "signaling_connections_rejected", "Upgrades refused", ["why"], registry=registry
        )
        self.closed = Counter(
            "signaling_connections_closed", "WebSockets ended", ["role", "why"], registry=registry
        )
        self.received = Counter(
            "signaling_messages_received", "Messages read", ["role", "type"], registry=registry
        )
        self.sent = Counter(
            "signaling_messages_sent", "Messages queued to be written", ["role"], registry=registry
        )
        self.errors = Counter(
            "signaling_errors", "Errors sent to peers", ["role", "code"], registry=registry
        )
        self.routed = Counter(
            "signaling_messages_routed", "Messages to another node", ["to"], registry=registry
        )
        self.edits = Counter("signaling_edits", "Edits by outcome", ["outcome"], registry=registry)
        self.sessions = Counter(
            "signaling_sessions", "Sessions by what became of them", ["event"], registry=registry
        )
        self.allocation = Histogram(
            "signaling_allocation_seconds",
            "From the client's arrival to a worker's slot, waiting included",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.confirmation = Histogram(
            "signaling_confirmation_seconds",
            "From assigning a session to the worker's confirmation",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

        self.replacement = Histogram(
            "signaling_replacement_seconds",
            "From learning that a worker was lost to another one's confirmation",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._started
