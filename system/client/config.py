"""How one client behaves, and what it tells its user. Frozen values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from system.client.latency import InputSample
from system.client.meter import Counters, Second
from system.client.pictures import PictureSample
from system.client.tiers import OnPicture
from system.media.marker import FrameMarker
from system.media.rtc.assembler import ReceivedFrame
from system.media.rtc.ice import IceSettings
from system.media.rtc.impair import Path
from system.protocol.fields import StreamOptions


class ClientState(StrEnum):
    """Where a client stands."""

    NEW = "new"
    CONNECTING = "connecting"
    QUEUED = "queued"
    NEGOTIATING = "negotiating"
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One client's settings.

    ``join_timeout_s`` bounds a join without its time in the queue, which
    ``patience_s`` bounds (None: for ever; 0: never waits). A stream silent for
    ``media_timeout_s`` is over. ``offer_when="created"`` waits for the server's
    ICE servers before it offers; the browser client does not. A client with a
    judge and the decode tier has a picture judged every ``picture_every_s``.
    """

    url: str
    ice: IceSettings = field(default_factory=IceSettings)
    codec: Literal["h264", "vp8"] = "h264"
    tier: Literal["frames", "decode"] = "frames"
    fps: float = 30.0
    join_timeout_s: float = 30.0
    patience_s: float | None = None
    media_timeout_s: float = 10.0
    resume_window_s: float = 120.0
    offer_when: Literal["open", "created"] = "open"
    stream: StreamOptions | None = None
    path: Path | None = None
    seed: int = 0
    picture_every_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Stats:
    """A second of the stream, in the units of the browser client's own statistics.

    ``rtt`` in milliseconds (NaN while unknown), ``jitter`` in seconds,
    ``bitrate`` in Mb/s; ``packets_lost`` and ``bytes_received`` since the start.
    """

    fps: float
    rtt: float
    packets_lost: int
    bytes_received: int
    jitter: float
    bitrate: float

    @classmethod
    def of(cls, second: Second, totals: Counters) -> Stats:
        """The second, and the stream's totals at its end."""
        return cls(
            fps=second.fps,
            rtt=1000 * second.rtt_s,
            packets_lost=totals.packets_lost,
            bytes_received=totals.bytes_received,
            jitter=second.added.jitter_s,
            bitrate=second.bitrate_bps / 1e6,
        )


def _nothing(*_: object) -> None:
    """The callback of who did not ask."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Called on the event loop; none may block or raise.

    ``on_disconnected(reason)`` comes once, "" where the client left of itself.
    ``on_error(code, text)`` is what the server refuses while the session goes on.
    ``on_second`` comes with the fates of inputs decided in that second;
    ``on_picture``, in the decode tier only, from a decoder thread. ``on_judged``
    is a picture's distance from its reference, ``on_unjudged`` why there is none.
    """

    on_connected: Callable[[], None] = _nothing
    on_disconnected: Callable[[str], None] = _nothing
    on_error: Callable[[str, str], None] = _nothing
    on_stats: Callable[[Stats], None] = _nothing
    on_frame: Callable[[ReceivedFrame, FrameMarker | None], None] = _nothing
    on_queued: Callable[[], None] = _nothing
    on_worker_replaced: Callable[[], None] = _nothing
    on_message: Callable[[object], None] = _nothing
    on_second: Callable[[Second, list[InputSample]], None] = _nothing
    on_picture: OnPicture | None = None
    on_judged: Callable[[PictureSample], None] = _nothing
    on_unjudged: Callable[[str], None] = _nothing
