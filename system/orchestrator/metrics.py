"""The orchestrator's Prometheus metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from system.protocol.states import WorkerState
from system.store.ledger import PoolSnapshot
from system.telemetry.metrics import LATENCY_BUCKETS, NAMESPACE, new_registry


class Metrics:
    """One registry and what is counted in it."""

    def __init__(self, node: str = "") -> None:
        self.registry = new_registry("orchestrator", node)
        self.workers = Gauge(
            "pool_workers",
            "Workers by state.",
            ["pool", "state"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.leads = Gauge(
            "pool_leads",
            "Whether this orchestrator decides for the pool.",
            ["pool"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.free_slots = Gauge(
            "pool_free_slots",
            "Slots that a session could take now.",
            ["pool"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "pool_waiting_sessions",
            "Sessions in the queue.",
            ["pool"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.allocations = Counter(
            "allocations",
            "Answers to POST /allocate.",
            ["pool", "result"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.allocate = Histogram(
            "allocate_seconds",
            "Time to answer POST /allocate.",
            namespace=NAMESPACE,
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.boot = Histogram(
            "worker_boot_seconds",
            "From launch to ready.",
            ["pool"],
            namespace=NAMESPACE,
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.boot_failures = Counter(
            "worker_boot_failures",
            "Workers that never became ready.",
            ["pool"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.actions = Counter(
            "policy_actions",
            "Workers that the policy asked to launch, terminate, start or stop.",
            ["pool", "action"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.expired = Counter(
            "expired_sessions",
            "Sessions ended by the sweep.",
            ["reason"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.store_failures = Counter(
            "store_failures",
            "Rounds that the store did not let through.",
            namespace=NAMESPACE,
            registry=self.registry,
        )

    def show(self, snapshot: PoolSnapshot) -> None:
        """Set a pool's gauges."""
        for state in WorkerState:
            self.workers.labels(snapshot.pool, state.value).set(snapshot.count(state))
        self.free_slots.labels(snapshot.pool).set(snapshot.free_slots)
        self.waiting.labels(snapshot.pool).set(len(snapshot.waiting))
