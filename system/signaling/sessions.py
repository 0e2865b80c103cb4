"""Who is attached to this node. A view only: what is true of a session is in the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from system.protocol.messages import (
    Answer,
    ClientConnected,
    ClientDisconnected,
    Drain,
    EditApplied,
    Error,
    IceCandidate,
    Message,
    Offer,
    SessionActive,
    SessionAssigned,
    SessionConfirmed,
    SessionEnded,
    SessionMoved,
    SessionRefused,
)


class Superseded(Message, frozen=True, tag="superseded"):
    """Between nodes only: the worker has attached elsewhere, with this ``generation``."""

    generation: int


ForWorker = (
    SessionAssigned
    | SessionEnded
    | ClientConnected
    | ClientDisconnected
    | EditApplied
    | Drain
    | Offer
    | Answer
    | IceCandidate
    | Superseded
)
ForClient = (
    SessionConfirmed
    | SessionRefused
    | SessionActive
    | SessionEnded
    | SessionMoved
    | Offer
    | Answer
    | IceCandidate
    | Error
)


class WorkerPort(Protocol):
    """An attached worker as the rest of the node sees it."""

    def deliver(self, message: ForWorker) -> None:
        """Take a message for the worker; never waits."""


class ClientPort(Protocol):
    """An attached client as the rest of the node sees it."""

    def deliver(self, message: ForClient) -> None:
        """Take a message about the client's session; never waits."""


@dataclass
class Attached:
    """Clients by session id and workers by worker id."""

    clients: dict[str, ClientPort] = field(default_factory=dict)
    workers: dict[str, WorkerPort] = field(default_factory=dict)
