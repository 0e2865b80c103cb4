"""Every message of the two WebSocket endpoints of signaling.

Struct names are the roles; ``type`` on the wire is each struct's tag. Names on
the wire are camelCase. Fields that a struct does not know are ignored.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from system.protocol.errors import ErrorCode
from system.protocol.fields import (
    Candidate,
    Description,
    Edit,
    Fence,
    HeldSession,
    IceServer,
    Id,
    LoggedEdit,
    Negotiation,
    ProjectState,
    StreamOptions,
)
from system.protocol.limits import PROTOCOL_VERSION


class Message(msgspec.Struct, frozen=True, tag_field="type", rename="camel", kw_only=True):
    """Base of all messages: immutable, tagged by ``type``."""


# --- both ways -----------------------------------------------------------------


class Offer(Message, frozen=True, tag="offer"):
    """A session description; ``session_id`` says whose."""

    sdp: Description
    session_id: str | None = None
    negotiation: Negotiation = 1
    stream: StreamOptions | None = None


class Answer(Message, frozen=True, tag="answer"):
    sdp: Description
    session_id: str | None = None
    negotiation: Negotiation = 1


class IceCandidate(Message, frozen=True, tag="ice-candidate"):
    """A trickled candidate; None, or an empty one, ends them."""

    candidate: Candidate | None
    session_id: str | None = None
    negotiation: Negotiation = 1


class Ping(Message, frozen=True, tag="ping"):
    """``time`` is the sender's own and comes back unchanged in the pong."""

    time: float = 0.0


class Pong(Message, frozen=True, tag="pong"):
    time: float = 0.0


class SessionEnded(Message, frozen=True, tag="session-ended"):
    """The session is over. From a worker: its slot is free; ``fence`` says whose."""

    session_id: str | None = None
    reason: str = ""
    fence: Fence | None = None


class Error(Message, frozen=True, tag="error"):
    error: str
    code: ErrorCode
    retryable: bool = False
    retry_after_ms: int | None = None
    session_id: str | None = None


# --- client to signaling -------------------------------------------------------


class ClientOffer(Message, frozen=True, tag="offer"):
    """An offer as clients make it. What they say of session ids is ignored."""

    sdp: Description
    negotiation: Negotiation | None = None
    stream: StreamOptions | None = None

    @property
    def moves(self) -> bool:
        """The client knows of negotiations, so it can be given another worker.

        One that has never heard of them (the first version of the protocol)
        would wait for ever for the answer to an offer that it does not make.
        """
        return self.negotiation is not None or self.stream is not None

    def offer(self) -> Offer:
        """The same; the first negotiation where it does not say which."""
        return Offer(sdp=self.sdp, negotiation=self.negotiation or 1, stream=self.stream)


class Resume(Message, frozen=True, tag="resume"):
    """First message of a client that comes back: the single-use token it was given."""

    resume_token: str


class Bye(Message, frozen=True, tag="bye"):
    """Leave now; the slot is released at once."""


# --- signaling to client -------------------------------------------------------


class Queued(Message, frozen=True, tag="queued"):
    """No worker yet. ``position`` counts from 1; ``eta_ms`` is None where nobody can say."""

    position: int
    eta_ms: int | None = None


class SessionCreated(Message, frozen=True, tag="session-created"):
    session_id: Id
    worker_id: Id
    endpoint: str
    ice_servers: tuple[IceServer, ...] = ()
    resume_token: str = ""
    protocol_version: int = PROTOCOL_VERSION


class SessionResumed(Message, frozen=True, tag="session-resumed"):
    """Back on the same session; ``worker_id`` is empty while it waits for another worker."""

    session_id: Id
    worker_id: str
    resume_token: str
    ice_servers: tuple[IceServer, ...] = ()


class WorkerReplaced(Message, frozen=True, tag="worker-replaced"):
    """The worker was lost and another has the session: offer again with ``negotiation``.

    ``queued`` may come before it, while there is no other worker.
    """

    session_id: Id
    worker_id: Id
    negotiation: Negotiation
    ice_servers: tuple[IceServer, ...] = ()


# --- worker to signaling -------------------------------------------------------


class Register(Message, frozen=True, tag="register"):
    """First message of a worker, after its own probe rendered and encoded a frame.

    ``generation`` grows with every start of the same worker id: the newest wins.
    ``sessions`` are those it still holds when it reconnects, ``projects`` how far
    it knows the logs of those that it shows.
    """

    worker_id: Id
    generation: int
    pool: Id = "default"
    slots: int = 1
    endpoint: str = ""
    renderer: str = ""
    encoder: str = ""
    version: str = ""
    boot_s: float = 0.0
    sessions: tuple[HeldSession, ...] = ()
    projects: dict[str, int] = {}


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    sessions: tuple[HeldSession, ...] = ()
    cpu: float = 0.0
    """Cores used since the last heartbeat; 1.0 is one core."""
    rss_bytes: int = 0
    loop_lag_s: float = 0.0
    frames: int = 0
    """Frames encoded since the last heartbeat."""
    encode_s: float = 0.0
    """Mean time to encode one of them."""


class SessionConfirmed(Message, frozen=True, tag="session-confirmed"):
    """The worker has the session: the lease becomes a holding."""

    session_id: Id
    fence: Fence


class SessionRefused(Message, frozen=True, tag="session-refused"):
    """The worker did not take the session; ``code`` says why (stale_fence, no_capacity)."""

    session_id: Id
    fence: Fence
    code: ErrorCode


class SessionActive(Message, frozen=True, tag="session-active"):
    """Media flows."""

    session_id: Id
    fence: Fence


class EditRequest(Message, frozen=True, tag="edit"):
    """An edit made in a session, to be appended to the project's log."""

    session_id: Id
    fence: Fence
    edit: Edit


class Drained(Message, frozen=True, tag="drained"):
    """The last session of a draining worker has ended; it is about to exit."""


# --- signaling to worker -------------------------------------------------------


class Registered(Message, frozen=True, tag="registered"):
    """The worker is in the pool; it sends a heartbeat every ``heartbeat_ms``."""

    heartbeat_ms: int
    store_time_ms: int = 0


class TokenRenewed(Message, frozen=True, tag="token-renewed"):
    """The worker's next token, to be shown when it comes back; the one it has runs out."""

    token: str


class SessionAssigned(Message, frozen=True, tag="session-assigned"):
    session_id: Id
    fence: Fence
    project: ProjectState
    negotiation: Negotiation = 1
    user_id: str = ""
    lease_ms: int = 0
    ice_servers: tuple[IceServer, ...] = ()


class ClientDisconnected(Message, frozen=True, tag="client-disconnected"):
    """The client's signaling socket is gone. Media goes on; silence now ends the session.

    ``closed``: the client's side ended it, as the system does for a process that
    dies, so that a short silence is enough.
    """

    session_id: Id
    fence: Fence
    closed: bool = False


class ClientConnected(Message, frozen=True, tag="client-connected"):
    """The client's signaling socket is back."""

    session_id: Id
    fence: Fence


class EditAcknowledged(Message, frozen=True, tag="edit-acknowledged"):
    """The edit is in the log at ``index``; or it was refused, with a ``code``."""

    session_id: Id
    edit_id: Id
    index: int = 0
    code: ErrorCode | None = None


class EditApplied(Message, frozen=True, tag="edit-applied"):
    """An edit of the project in log order, for every session that shows it."""

    project_id: Id
    edit: LoggedEdit


class ProjectCaughtUp(Message, frozen=True, tag="project-caught-up"):
    """To a worker that is back: what was logged while it was away, or all that there is."""

    project: ProjectState


class Drain(Message, frozen=True, tag="drain"):
    """Take no new session; exit when the last has ended, at the latest after ``deadline_ms``."""

    deadline_ms: int = 30_000


# --- between services, over the store's channels -------------------------------


class SessionMoved(Message, frozen=True, tag="session-moved"):
    """To the client's node: the session has lost its worker and lives on; its record says how."""

    session_id: Id


FromClient = ClientOffer | Answer | IceCandidate | Ping | Pong | Resume | Bye
ToClient = (
    Queued
    | SessionCreated
    | SessionResumed
    | WorkerReplaced
    | SessionEnded
    | Offer
    | Answer
    | IceCandidate
    | Ping
    | Pong
    | Error
)
FromWorker = (
    Register
    | Heartbeat
    | SessionConfirmed
    | SessionRefused
    | SessionActive
    | SessionEnded
    | EditRequest
    | Answer
    | Offer
    | IceCandidate
    | Drained
    | Error
    | Ping
    | Pong
)
ToWorker = (
    Registered
    | SessionAssigned
    | SessionEnded
    | TokenRenewed
    | ClientDisconnected
    | ClientConnected
    | EditAcknowledged
    | EditApplied
    | ProjectCaughtUp
    | Drain
    | Offer
    | Answer
    | IceCandidate
    | Error
    | Ping
    | Pong
)


# --- orchestrator HTTP ---------------------------------------------------------


class Body(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of the orchestrator's request and response bodies."""


class AllocateRequest(Body, frozen=True):
    """``requiredGPU`` names the pool, ``any`` the default one."""

    client_id: Id
    project_id: Id
    required_gpu: str = msgspec.field(name="requiredGPU", default="any")
    session_id: str | None = None
    moved: bool = False
    """The session had a worker before: it is no arrival."""


class Allocated(Body, frozen=True):
    """200: a worker is reserved until the lease ends, unless the worker confirms."""

    worker_id: Id
    endpoint: str
    session_id: Id
    fence: Fence
    lease_ms: int


class Ticket(Body, frozen=True):
    """202: waiting, at ``position`` (from 1)."""

    ticket: Id
    position: int
    eta_ms: int | None = None


class Refused(Body, frozen=True):
    """Any 4xx or 5xx."""

    error: str
    code: ErrorCode
    retryable: bool = False


class ReleaseRequest(Body, frozen=True):
    session_id: Id
    fence: Fence | None = None
    reason: str = "released"


class PoolPatch(Body, frozen=True):
    """Changes of a pool's policy at run time; the same names as in a scenario's ``policy``."""

    policy: dict[str, Any] | None = None
    max_workers: int | None = None


class PoolView(Body, frozen=True):
    """A pool as ``GET /pools`` shows it; counts of workers by state.

    ``scrubbing`` are those of the draining ones that will serve again.
    """

    name: Id
    ready: int
    booting: int
    busy: int
    draining: int
    stopped: int
    failed: int
    waiting: int
    max_workers: int
    policy: dict[str, Any]
    scrubbing: int = 0


class WorkerView(Body, frozen=True):
    worker_id: Id
    pool: Id
    state: str
    slots: int
    sessions: tuple[str, ...]
    renderer: str = ""
    encoder: str = ""
    endpoint: str = ""
    vitals: dict[str, float] = {}
    """Figures of its last heartbeat, by their names there; empty where it has none."""


HealthStatus = Literal["healthy", "degraded", "unhealthy"]
