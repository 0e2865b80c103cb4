"""Owns one negotiated peer connection of a session: description, candidates, data channels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from system.media.rtc.ice import IceSettings
from system.media.rtc.peer import (
    close_peer,
    link_of,
    new_peer_connection,
    parse_candidate,
    parse_description,
)
from system.media.rtc.sender import EncodedSender, answer_offer
from system.protocol import codec
from system.protocol.channels import EDIT_CHANNEL, INPUT_CHANNEL
from system.protocol.errors import BadCandidate, BadDescription
from system.protocol.fields import Candidate, Description
from system.protocol.limits import MAX_CANDIDATES, MAX_MESSAGE_BYTES
from system.telemetry import logs
from system.worker.tally import Tally

_log = logs.get(__name__)

ANSWER_DEADLINE_S: Final = 8.0
CANDIDATE_DEADLINE_S: Final = 2.0
MAX_BUFFERED_BYTES: Final = 256 * 1024
"""A channel that holds more than this unsent belongs to a viewer that does not read."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a connection tells its session, on the event loop."""

    received: Callable[[str | bytes], None]
    closed: Callable[[Connection], None]
    keyframe_wanted: Callable[[], None]
    estimated: Callable[[int], None]


class Connection:
    """Answers one offer. What the peer sends can close this connection, and nothing else."""

    def __init__(
        self,
        ice: IceSettings,
        *,
        negotiation: int,
        connect_deadline_s: float,
        prefer: tuple[str, ...],
        hooks: Hooks,
        tally: Tally,
    ) -> None:
        self.negotiation = negotiation
        self._hooks = hooks
        self._tally = tally
        self._channels: dict[str, Any] = {}
        self._candidates = 0
        self._pc = new_peer_connection(ice, connect_deadline_s=connect_deadline_s)
        self.sender = EncodedSender(
            self._pc,
            prefer=prefer,
            on_keyframe_request=hooks.keyframe_wanted,
            on_bitrate=hooks.estimated,
            on_receiver_report=lambda rtt_s, lost: None,
        )
        self._pc.on("datachannel", self._channel_opened)
        self._pc.on("connectionstatechange", self._state_changed)

    async def answer(self, offer: Description) -> Description:
        """Apply the peer's offer; the answer carries every candidate.

        Raises BadDescription.
        """
        description = parse_description(offer.sdp, offer.type)
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                answer = await answer_offer(self._pc, description, self.sender)
        except BadDescription:
            raise
        except Exception as error:  # noqa: BLE001 - a peer's description led here
            _log.warning("offer.failed", error=type(error).__name__)
            raise BadDescription("the offer cannot be answered") from None
        return Description(type="answer", sdp=answer.sdp)

    async def add_candidate(self, candidate: Candidate | None) -> None:
        """Add a trickled candidate; None or an empty one ends them. Raises BadCandidate."""
        parsed = parse_candidate(None if candidate is None else msgspec.to_builtins(candidate))
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise BadCandidate(f"more than {MAX_CANDIDATES} candidates")
        try:
            async with asyncio.timeout(CANDIDATE_DEADLINE_S):
                await self._pc.addIceCandidate(parsed)
        except Exception as error:  # noqa: BLE001 - a peer's candidate led here
            _log.info("candidate.refused", error=type(error).__name__)
            raise BadCandidate("the candidate cannot be used") from None

    def send(self, label: str, message: msgspec.Struct) -> bool:
        """Send on the channel of that label, or on the other where the client opened only one."""
        for channel in (self._channels.get(label), *self._channels.values()):
            if channel is not None and channel.readyState == "open":
                return self._send(channel, codec.encode(message))
        return False

    async def probe(self) -> None:
        """Ask the peer for a sign of life; an answer shows in ``sender.last_media_at``."""
        await link_of(self._pc).probe()

    async def close(self) -> None:
        await close_peer(self._pc)

    def _send(self, channel: Any, text: str) -> bool:
        if channel.bufferedAmount > MAX_BUFFERED_BYTES or len(text) > MAX_MESSAGE_BYTES:
            self._tally.channel_overflows += 1
            return False
        channel.send(text)
        return True

    def _channel_opened(self, channel: Any) -> None:
        held = self._channels.get(channel.label)
        taken = held is not None and held.readyState == "open"
        if taken or channel.label not in (INPUT_CHANNEL, EDIT_CHANNEL):
            channel.close()
            return
        self._channels[channel.label] = channel
        channel.on("message", self._received)

    def _received(self, data: str | bytes) -> None:
        try:
            self._hooks.received(data)
        except Exception as error:  # noqa: BLE001 - the boundary to the viewer
            self._tally.malformed += 1
            _log.exception("input.failed", error)

    def _state_changed(self) -> None:
        if self._pc.connectionState in ("closed", "failed"):
            self._hooks.closed(self)
