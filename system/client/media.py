"""One negotiation's media: peer connection, receiver and data channels of a client."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiortc import RTCDataChannel

from system.client.meter import Counters
from system.media.rtc.assembler import ReceivedFrame
from system.media.rtc.description import without_abs_send_time
from system.media.rtc.ice import IceSettings
from system.media.rtc.impair import Impairment, Path
from system.media.rtc.peer import (
    close_peer,
    new_peer_connection,
    parse_candidate,
    parse_description,
)
from system.media.rtc.receiver import FrameReceiver
from system.protocol.channels import EDIT_CHANNEL, INPUT_CHANNEL
from system.protocol.errors import BadCandidate, BadDescription
from system.protocol.fields import Candidate, Description
from system.protocol.limits import MAX_CANDIDATES
from system.telemetry import logs

logger = logs.get(__name__)

MAX_CHANNEL_BACKLOG_BYTES = 64 * 1024
"""An input behind so much unsent data would be late: it is dropped."""


@dataclass(frozen=True, slots=True)
class MediaCallbacks:
    """All called on the event loop. ``on_state`` gets ``ice``, ``connected`` or ``failed``."""

    on_frame: Callable[[ReceivedFrame], None]
    on_message: Callable[[str], None]
    on_state: Callable[[str], None]
    on_edit_channel: Callable[[], None]


class Media:
    """Offers to receive one video stream and two data channels; close it when done."""

    def __init__(
        self,
        ice: IceSettings,
        codec: str,
        callbacks: MediaCallbacks,
        *,
        connect_deadline_s: float,
        path: Path | None = None,
        seed: int = 0,
    ) -> None:
        self._callbacks = callbacks
        self._closed = False
        self._described = False
        self._early: list[Candidate | None] = []
        self.pc = new_peer_connection(ice, connect_deadline_s=connect_deadline_s, offers=True)
        self.link = self.pc.link
        if path is not None:
            self.link.impairment = Impairment(path, random.Random(seed))
        # The worker's preference decides among what is offered: VP8 has to be alone.
        prefer = ("vp8",) if codec == "vp8" else ("h264", "vp8")
        self.receiver = FrameReceiver(self.pc, callbacks.on_frame, prefer=prefer)
        self._input = self.pc.createDataChannel(INPUT_CHANNEL, ordered=False, maxRetransmits=0)
        self._edit = self.pc.createDataChannel(EDIT_CHANNEL)
        for channel in (self._input, self._edit):
            channel.on("message", self._message)
        self.input_open = asyncio.Event()
        self._input.on("open", self.input_open.set)
        self._edit.on("open", callbacks.on_edit_channel)
        self.pc.on("iceconnectionstatechange", self._ice_changed)
        self.pc.on("connectionstatechange", self._connection_changed)

    async def offer(self) -> Description:
        """Gather and describe; the candidates are in the offer."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        local = self.pc.localDescription
        return Description(type="offer", sdp=without_abs_send_time(local.sdp))

    async def answer(self, description: Description) -> None:
        """Apply the worker's answer; raises BadDescription."""
        if self._described:
            return
        parsed = parse_description(description.sdp, description.type)
        try:
            await self.pc.setRemoteDescription(parsed)
        except Exception as error:  # noqa: BLE001 - a peer's description, aiortc's many errors
            raise BadDescription(f"the answer cannot be applied: {type(error).__name__}") from None
        self._described = True
        early, self._early = self._early, []
        for candidate in early:
            await self.candidate(candidate)

    async def candidate(self, candidate: Candidate | None) -> None:
        """A trickled candidate; one that comes before the answer waits for it."""
        if not self._described:
            if len(self._early) < MAX_CANDIDATES:
                self._early.append(candidate)
            return
        try:
            init = None if candidate is None else msgspec.structs.asdict(candidate)
            await self.pc.addIceCandidate(parse_candidate(init))
        except BadCandidate:
            logger.info("client.candidate_refused")

    def send_input(self, text: str) -> bool:
        """Whether the channel took it; nothing is kept for later."""
        return self._send(self._input, text)

    def send_edit(self, text: str) -> bool:
        return self._send(self._edit, text)

    async def close(self) -> None:
        self._closed = True
        await close_peer(self.pc)

    def counters(self) -> Counters:
        """Totals of this negotiation's stream."""
        counters = self.receiver.counters
        return Counters(
            packets_received=counters.packets_received,
            packets_lost=counters.packets_lost,
            bytes_received=counters.bytes_received,
            nack_count=counters.nack_count,
            pli_count=counters.pli_count,
            keyframes=counters.keyframes,
            jitter_s=counters.jitter_s if counters.packets_received else math.nan,
        )

    def _send(self, channel: RTCDataChannel, text: str) -> bool:
        if self._closed or channel.readyState != "open":
            return False
        if channel.bufferedAmount > MAX_CHANNEL_BACKLOG_BYTES:
            return False
        channel.send(text)
        return True

    def _message(self, data: object) -> None:
        if isinstance(data, str) and not self._closed:
            self._callbacks.on_message(data)

    def _ice_changed(self) -> None:
        if self.pc.iceConnectionState in ("connected", "completed") and not self._closed:
            self._callbacks.on_state("ice")

    def _connection_changed(self) -> None:
        state = self.pc.connectionState
        if self._closed:
            return
        if state == "connected":
            self._callbacks.on_state("connected")
        elif state in ("failed", "closed"):
            self._callbacks.on_state("failed")
