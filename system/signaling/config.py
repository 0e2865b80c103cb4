"""Everything about a signaling node that can be set, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

from system.protocol.tokens import Keys


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection or one address may do before it is refused. Times in seconds."""

    queue_messages: int = 512
    """Messages waiting to be written to one peer; one more and it is a slow reader."""
    client_queue_bytes: int = 1024 * 1024
    worker_queue_bytes: int = 32 * 1024 * 1024
    """The same in bytes; a project with its log may be long."""
    write_deadline_s: float = 1.0
    close_deadline_s: float = 0.5
    """How long a closing handshake may take before the socket is cut."""
    first_message_s: float = 10.0
    """A worker must register, a client that announced a resume must send it, within this."""
    bad_messages: int = 20
    """Refused messages after which a connection is closed."""
    client_rate: float = 50.0
    """Messages per second of one client, and how many at once."""
    client_burst: float = 200.0
    address_rate: float = 500.0
    """New connections per second from one address, and how many at once."""
    address_burst: float = 2000.0
    connections: int = 20_000
    """Open WebSockets of this node."""


@dataclass(frozen=True, slots=True)
class IceOptions:
    """ICE servers that clients and workers are told; none by default.

    ``turn_secret`` is shared with the TURN servers, which accept the
    short-lived credentials derived from it (TURN REST API).
    """

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SignalingConfig:
    """One signaling node. ``keys`` None is development mode, on loopback only."""

    node: str
    orchestrator_url: str
    host: str = "127.0.0.1"
    port: int = 0
    heartbeat_s: float = 2.0
    keys: Keys | None = field(default=None, repr=False)
    origins: tuple[str, ...] | None = None
    """Origins of browser pages besides this host; None allows loopback pages."""
    ice: IceOptions = field(default_factory=IceOptions)
    bounds: Bounds = field(default_factory=Bounds)
    connect_deadline_s: float = 30.0
    """From a confirmed session to media that flows."""
    confirm_margin_s: float = 0.5
    """A worker that has not confirmed this long after the lease has lost it."""
    unavailable_s: float = 1.5
    """How long a join tries before the client hears ``unavailable``."""
    queue_patience_s: float = 10.0
    """How long a waiting client outlasts an orchestrator that does not answer."""
    move_patience_s: float = 120.0
    """How long a session that lost its worker waits for another one."""
    orphan_s: float = 30.0
    """How long clean-up of a vanished client is retried while the store is away."""

    @property
    def heartbeat_ms(self) -> int:
        return round(self.heartbeat_s * 1000)
