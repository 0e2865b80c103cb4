"""Parts that several messages share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from system.protocol import limits

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.MAX_ID_CHARS)]
Negotiation = Annotated[int, msgspec.Meta(ge=1, le=limits.MAX_NEGOTIATION)]
Sdp = Annotated[str, msgspec.Meta(max_length=limits.MAX_SDP_BYTES)]


class Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Base of the parts: immutable, camelCase on the wire, unknown fields ignored."""


class Fence(Part, frozen=True, order=True):
    """Who may command: the store's epoch, then a number that only grows within it.

    Compared as a pair; an epoch is larger than every epoch before it, so a
    store that lost its data still hands out larger fences.
    """

    epoch: int
    n: int


class Description(Part, frozen=True):
    """An RTCSessionDescriptionInit."""

    type: Literal["offer", "answer"]
    sdp: Sdp


class Candidate(Part, frozen=True, rename=None):
    """An RTCIceCandidateInit; an empty ``candidate`` ends the candidates."""

    candidate: Annotated[str, msgspec.Meta(max_length=limits.MAX_CANDIDATE_CHARS)] = ""
    sdpMid: str | None = None  # noqa: N815
    sdpMLineIndex: int | None = None  # noqa: N815
    usernameFragment: str | None = None  # noqa: N815


class IceServer(Part, frozen=True):
    """An RTCIceServer, with ephemeral credentials where it is a TURN server."""

    urls: str | tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class StreamOptions(Part, frozen=True):
    """What a client may ask of its stream; absent fields leave the worker's defaults."""

    block_code: bool = False
    pacing: Literal["on_demand", "constant"] | None = None


class Edit(Part, frozen=True):
    """A lasting change of a project, as it stands in the project's log.

    ``type`` is ``connection:create`` or ``device:drag``; ``data`` has the
    fields of the input of that name. ``edit_id`` is made by the client and
    makes a repeated edit harmless.
    """

    edit_id: Id
    type: Literal["connection:create", "device:drag"]
    data: dict[str, Any]
    user_id: str = ""


class LoggedEdit(Part, frozen=True):
    """An edit with its place in the project's log (1, 2, ...)."""

    index: int
    edit: Edit


class ProjectState(Part, frozen=True):
    """What a worker needs to show a project: a snapshot and the edits after it.

    ``snapshot`` is None for a project that has never been stored: the worker
    makes the default floor of that id.
    """

    project_id: Id
    snapshot: dict[str, Any] | None = None
    snapshot_index: int = 0
    log: tuple[LoggedEdit, ...] = ()


class HeldSession(Part, frozen=True):
    """A session that a worker holds, as it reports it."""

    session_id: Id
    fence: Fence
    media_age_ms: int | None = None
    """Since the peer was last heard (RTCP, STUN); None before media is up."""
    project_id: str = ""
    user_id: str = ""
    """For a store that has lost its data."""
