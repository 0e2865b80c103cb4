"""Commands and events between a swarm's process and its helper processes.

One JSON object per line, each way, over a socketpair. Commands carry ``cmd``,
events ``event``. Times are seconds of CLOCK_REALTIME (``time.time()``), which
all processes of a machine share and machines with a disciplined clock nearly
share; durations are measured with the monotonic clock.

A helper that loses its pipe ends its sessions, writes its last parts and exits.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

MAX_LINE_BYTES: Final = 1024 * 1024

Tier = Literal["frames", "decode"]
Outcome = Literal["ok", "failed", "abandoned", "interrupted"]


class _Command(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="cmd",
    rename={"user_id": "userId", "project_id": "projectId"},
):
    pass


class Span(msgspec.Struct, frozen=True):
    """A stage of the run, in seconds from its beginning."""

    name: str
    start_s: float
    end_s: float


class InputMix(msgspec.Struct, frozen=True):
    """Inputs of a viewer per second, and weights per type."""

    rate: float
    mix: dict[str, float] = msgspec.field(default_factory=lambda: {"camera:orbit": 1.0})
    process: Literal["ticks", "poisson"] = "ticks"


class Ice(msgspec.Struct, frozen=True):
    """Which addresses a client gathers; None is every address but loopback."""

    addresses: tuple[str, ...] | None = None
    denied_networks: tuple[str, ...] = ()


class Network(msgspec.Struct, frozen=True):
    """Impairment of a viewer's path: added round trip, its variation, loss each way."""

    rtt_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0


class Run(_Command, frozen=True, tag="run"):
    """A run begins: rows count from ``epoch`` and go to ``parts`` (None: nowhere).

    ``pictures`` of this size may have to be judged.
    """

    epoch: float
    parts: str | None = None
    node: str = "helper-0"
    stages: tuple[Span, ...] = ()
    pictures: tuple[int, int] | None = None


class Start(_Command, frozen=True, tag="start"):
    """Start a session at ``scheduled_at``, now or later.

    ``session_s`` counts from the first frame, None has no end; ``patience_s``
    from the first ``queued``, None waits for ever. ``fps`` is the stream's
    nominal rate. Frames are looked at for a freeze from it. A decoded picture is
    judged every ``picture_every_s``, None is never.
    """

    id: str
    user_id: str
    project_id: str
    url: str
    scheduled_at: float
    token: str | None = None
    session_s: float | None = None
    patience_s: float | None = None
    join_timeout_s: float = 30.0
    tier: Tier = "frames"
    input: InputMix | None = None
    stage: str = ""
    seed: int = 0
    ice: Ice = Ice()
    network: Network | None = None
    codec: Literal["h264", "vp8"] = "h264"
    fps: float = 30.0
    pacing: Literal["on_demand", "constant"] | None = None
    picture_every_s: float | None = None


class Stop(_Command, frozen=True, tag="stop"):
    """End one session as its viewer would; its ``ended`` follows."""

    id: str


class Drain(_Command, frozen=True, tag="drain"):
    """End all sessions and write all rows; ``drained`` follows. The helper lives on."""


Command = Run | Start | Stop | Drain


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    pass


class Ready(_Event, frozen=True, tag="ready"):
    """The helper reads commands now."""

    pid: int


class Queued(_Event, frozen=True, tag="queued"):
    """The session waits for a worker; once per session."""

    id: str


class Joined(_Event, frozen=True, tag="joined"):
    """First frame. ``phases`` are seconds by JOIN_PHASES and sum to ``join_time_s``."""

    id: str
    join_time_s: float
    phases: dict[str, float]


class Ended(_Event, frozen=True, tag="ended"):
    """The session is over; the last event of its id. ``reason`` is a code, "" for ok.

    ``abandoned`` before it was served, ``interrupted`` after the first frame,
    ``failed`` before it; ``summary`` is a ``system.client.summary`` object.
    """

    id: str
    outcome: Outcome
    reason: str
    summary: dict[str, Any]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What all viewers of a helper saw since it was last told; made for live figures.

    ``watching`` sessions have had a picture, of which ``stalled`` have none
    lately. ``frozen_s`` of ``watched_s`` session-seconds the picture stood
    still. ``samples`` are LogHistograms of session-seconds by metric.
    """

    frames: int = 0
    bytes_received: int = 0
    watching: int = 0
    stalled: int = 0
    watched_s: float = 0.0
    frozen_s: float = 0.0
    samples: dict[str, dict[str, Any]] = {}


class Health(_Event, frozen=True, tag="health"):
    """Once per second. ``cpu`` is in cores, ``loop_lag_s`` the worst of the second.

    ``inputs`` is a LogHistogram of the latencies that were decided since the
    last event that had one; its censored ones are the lost inputs.
    """

    cpu: float
    rss_bytes: int
    loop_lag_s: float
    udp_drops: int
    sessions: int
    inputs: dict[str, Any] | None = None
    figures: Figures = Figures()


class Drained(_Event, frozen=True, tag="drained"):
    """All sessions have ended and ``parts`` are on disk."""

    parts: tuple[str, ...]
    inputs: dict[str, Any] | None = None


Event = Ready | Queued | Joined | Ended | Health | Drained

_encoder = msgspec.json.Encoder()
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """One line, newline included."""
    return _encoder.encode(message) + b"\n"


def decode_command(line: bytes) -> Command:
    """Raises msgspec.DecodeError (ValidationError among it) on anything else."""
    return _commands.decode(line)


def decode_event(line: bytes) -> Event:
    """Raises msgspec.DecodeError (ValidationError among it) on anything else."""
    return _events.decode(line)
