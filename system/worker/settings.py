"""Owns what all sessions of a worker have in common, made of its configuration. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from system.media.rtc.ice import ALWAYS_DENIED, IceSettings
from system.worker.config import WorkerConfig
from system.worker.pacing import PacingMode

CONNECT_DEADLINE_S: Final = 15.0
"""From the assignment, or the latest offer, to the first frame sent."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What every session of a worker has in common."""

    fps: int
    bitrate_bps: int
    pacing: PacingMode
    ice: IceSettings
    codecs: tuple[str, ...] = ("h264", "vp8")
    encoders: tuple[str, ...] = ()
    """Implementations to try before the software encoder."""
    connect_deadline_s: float = CONNECT_DEADLINE_S

    @classmethod
    def of(cls, config: WorkerConfig, encoders: tuple[str, ...] = ()) -> StreamSettings:
        """The settings that a configuration means, with the encoders that a probe found."""
        ice = IceSettings(
            addresses=config.ice_addresses,
            port_range=config.ice_ports,
            announced_address=config.ice_announce,
            denied_networks=(*ALWAYS_DENIED, *config.ice_deny),
        )
        return cls(
            fps=config.fps,
            bitrate_bps=config.bitrate_bps,
            pacing=config.pacing,
            ice=ice,
            codecs=config.codecs,
            encoders=encoders,
        )
