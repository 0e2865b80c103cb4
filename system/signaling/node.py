"""What the endpoints of one signaling node share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from system.protocol.fields import IceServer
from system.signaling import ice
from system.signaling.auth import Gatekeeper
from system.signaling.config import SignalingConfig
from system.signaling.edits import Feeds
from system.signaling.limits import AddressBuckets
from system.signaling.metrics import Metrics
from system.signaling.orchestrator_client import OrchestratorClient
from system.signaling.relay import Relay
from system.signaling.sessions import Attached
from system.signaling.snapshots import Snapshots
from system.signaling.tasks import Tasks
from system.store.base import Store
from system.store.ledger import Ledger


@dataclass
class Node:
    """One signaling node: its services, and who is attached to it."""

    config: SignalingConfig
    store: Store
    orchestrator: OrchestratorClient
    attached: Attached = field(default_factory=Attached)
    tasks: Tasks = field(default_factory=Tasks)
    feed_tasks: Tasks = field(default_factory=Tasks)
    """Those that only end when told to."""
    closing: bool = False
    """The node is going away; its workers and active sessions are not."""

    def __post_init__(self) -> None:
        config = self.config
        self.name = config.node
        self.metrics = Metrics(config.node, lambda: len(self.attached.clients))
        self.ledger = Ledger(self.store, heartbeat_ms=config.heartbeat_ms)
        self.relay = Relay(config.node, self.store, self.ledger, self.attached, self.metrics)
        self.feeds = Feeds(self.store, self.ledger, self.feed_tasks)
        self.snapshots = Snapshots(self.ledger, self.tasks)
        self.gate = Gatekeeper(config.keys)
        self.addresses = AddressBuckets(config.bounds.address_rate, config.bounds.address_burst)

    def ice_servers(self, user: str) -> tuple[IceServer, ...]:
        """What ``user`` is told now."""
        return ice.servers(self.config.ice, user, now_s=time.time())
