"""One encoded video stream to one peer: RTP out, RTCP in, nothing encoded here.

aiortc's own sender would encode, or pull packets from a track and pack them on
the loop, recreate its encoder when REMB changes, and lose keyframe requests. It
is kept as the shell that SDP describes; what it starts and stops is this.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable, Sequence
from typing import cast

from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription, clock
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_header_extensions,
    unpack_remb_fci,
)

from system.media.rtc.description import ABS_SEND_TIME, MID, PLAYOUT_DELAY, offered_extension
from system.media.rtc.errors import RtcError
from system.media.rtc.link import MediaProtocol
from system.media.rtc.packets import CODECS, Codec, packetise
from system.media.rtc.peer import link_of
from system.protocol.errors import BadDescription
from system.telemetry import logs

logger = logs.get(__name__)

HISTORY = 1024
"""Packets kept for retransmission: about 3 s at 2.5 Mb/s."""

RETRANSMIT_INTERVAL_S = 0.005
MAX_SOCKET_BACKLOG_BYTES = 512 * 1024
"""A frame is dropped rather than queued behind a socket that does not drain."""

_HEADER = struct.Struct("!BBHLL")


class _Shell(RTCRtpSender):
    """aiortc's sender, emptied: it starts and stops an EncodedSender."""

    owner: EncodedSender

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        self.owner._start(parameters)

    async def stop(self) -> None:
        await self.owner._stop()


class EncodedSender:
    """Sends encoded access units over a peer connection that answers an offer.

    Make it before ``answer_offer``, which negotiates it. The callbacks run on
    the event loop and must not block: ``on_keyframe_request`` for PLI, FIR, and
    when a frame had to be dropped here; ``on_bitrate`` with REMB in bit/s;
    ``on_receiver_report`` with (round trip in seconds or None, fraction lost).
    """

    def __init__(
        self,
        pc: RTCPeerConnection,
        *,
        prefer: Sequence[str] = CODECS,
        on_keyframe_request: Callable[[], None],
        on_bitrate: Callable[[int], None],
        on_receiver_report: Callable[[float | None, float], None],
    ) -> None:
        self._link = link_of(pc)
        self._on_keyframe_request = on_keyframe_request
        self._on_bitrate = on_bitrate
        self._on_receiver_report = on_receiver_report
        self._ready = asyncio.Event()
        self._stopped = False
        self._rtcp_task: asyncio.Task[None] | None = None
        self._payload_type = 0
        self._rtx_payload_type: int | None = None
        self._sequence = random.getrandbits(15)
        self._rtx_sequence = random.getrandbits(15)
        self._rtp_origin = random.getrandbits(32)
        self._picture_id = random.getrandbits(15)
        self._history: dict[int, _Sent] = {}
        self._extensions: dict[str, int] = {}
        self._mid = b""
        self._cname = ""
        self._last_capture: tuple[int, float] | None = None
        self._reports_sent: dict[int, float] = {}
        self.frames_sent = 0
        self.frames_dropped = 0
        self.packets_sent = 0
        self.bytes_sent = 0
        self.packets_retransmitted = 0
        self.keyframe_requests = 0

        # Before setRemoteDescription: a preference set later is ignored by aiortc.
        self._transceiver = pc.addTransceiver("video", direction="sendonly")
        self._transceiver.setCodecPreferences(_preferences(prefer))
        sender = self._transceiver.sender
        sender.__class__ = _Shell
        self._sender = cast(_Shell, sender)
        self._sender.owner = self
        self._ssrc = sender._ssrc

    @property
    def codec(self) -> Codec:
        """The negotiated codec; raises RtcError before ``answer_offer``."""
        codecs = self._transceiver._codecs
        if not codecs:
            raise RtcError("no codec has been negotiated")
        return cast(Codec, codecs[0].name.lower())

    @property
    def ready(self) -> bool:
        """Whether frames reach the peer: connected and not closed."""
        return self._ready.is_set() and not self._stopped

    async def wait_ready(self) -> None:
        """Until frames can be sent. Give it a deadline: a dead connection never is."""
        await self._ready.wait()

    @property
    def last_media_at(self) -> float | None:
        """Monotonic time of the last authenticated RTCP or STUN from the peer, None before."""
        return self._link.heard_at

    def send(self, data: bytes, *, keyframe: bool, capture_time_us: int) -> int:
        """Send one access unit at once; payload bytes sent, 0 if it could not be.

        A frame that is refused breaks the decoder's chain, so a key frame is
        asked for in its place.
        """
        if not self.ready or not data:
            return 0
        pair = self._link.selected()
        if pair is None:
            return 0
        protocol = pair.protocol
        if isinstance(protocol, MediaProtocol) and (
            protocol.backlog_bytes() > MAX_SOCKET_BACKLOG_BYTES
        ):
            self.frames_dropped += 1
            self._request_keyframe()
            return 0
        payloads = packetise(self.codec, data, self._picture_id)
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        timestamp = (self._rtp_origin + capture_time_us * 9 // 100) & 0xFFFFFFFF
        self._last_capture = (timestamp, time.monotonic())
        tail = self._extension_block()
        outlet, protect = self._link.outlet(pair), self._sender.transport._tx_srtp.protect
        sent = 0
        last = len(payloads) - 1
        for i, payload in enumerate(payloads):
            packet = _Sent(self._sequence, timestamp, i == last, payload)
            self._history[packet.sequence % HISTORY] = packet
            self._sequence = (self._sequence + 1) & 0xFFFF
            outlet(protect(packet.serialise(self._payload_type, self._ssrc, tail)))
            sent += len(payload)
        self.frames_sent += 1
        self.packets_sent += len(payloads)
        self.bytes_sent += sent
        return sent

    # --- called through aiortc --------------------------------------------------

    def _start(self, parameters: RTCRtpSendParameters) -> None:
        if self._ready.is_set() or self._stopped:
            return
        transport = self._sender.transport
        transport._register_rtp_sender(self, parameters)
        self._extensions = {
            extension.uri: extension.id for extension in parameters.headerExtensions
        }
        self._mid = parameters.muxId.encode()
        self._cname = parameters.rtcp.cname or ""
        self._payload_type = parameters.codecs[0].payloadType or 0
        for codec in parameters.codecs:
            if codec.name.lower() == "rtx" and codec.parameters.get("apt") == self._payload_type:
                self._rtx_payload_type = codec.payloadType
        self._rtcp_task = asyncio.get_running_loop().create_task(self._run_rtcp())
        self._ready.set()

    async def _stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._sender.transport._unregister_rtp_sender(self)
        if self._rtcp_task is not None:
            self._rtcp_task.cancel()
            await asyncio.wait([self._rtcp_task])
            await self._send_rtcp([RtcpByePacket(sources=[self._ssrc])])

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._ssrc:
                    rtt = self._round_trip(report.lsr, report.dlsr)
                    self._on_receiver_report(rtt, report.fraction_lost / 256)
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            self._retransmit(packet.lost)
        elif isinstance(packet, RtcpPsfbPacket):
            if packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                self._request_keyframe()
            elif packet.fmt == RTCP_PSFB_APP:
                bitrate, ssrcs = unpack_remb_fci(packet.fci)
                if self._ssrc in ssrcs:
                    self._on_bitrate(bitrate)

    # --- own --------------------------------------------------------------------

    def _request_keyframe(self) -> None:
        self.keyframe_requests += 1
        self._on_keyframe_request()

    def _round_trip(self, lsr: int, dlsr: int) -> float | None:
        sent_at = self._reports_sent.get(lsr)
        if sent_at is None or not lsr:
            return None
        return max(0.0, time.monotonic() - sent_at - dlsr / 65536)

    def _extension_block(self) -> bytes:
        """The header extensions that were negotiated, the same for all packets of a frame."""
        send_time = (clock.current_ntp_time() >> 14) & 0x00FFFFFF
        values = {
            MID: self._mid,
            ABS_SEND_TIME: send_time.to_bytes(3, "big"),
            PLAYOUT_DELAY: b"\x00\x00\x00",
        }
        profile, block = pack_header_extensions(
            [(id_, values[uri]) for uri, id_ in self._extensions.items() if uri in values]
        )
        return struct.pack("!HH", profile, len(block) >> 2) + block if block else b""

    def _retransmit(self, lost: list[int]) -> None:
        pair = self._link.selected()
        if pair is None:
            return
        outlet, protect = self._link.outlet(pair), self._sender.transport._tx_srtp.protect
        now = time.monotonic()
        tail = self._extension_block()
        for sequence in lost:
            packet = self._history.get(sequence % HISTORY)
            if packet is None or packet.sequence != sequence:
                continue
            if now - packet.resent_at < RETRANSMIT_INTERVAL_S:
                continue
            packet.resent_at = now
            self.packets_retransmitted += 1
            if self._rtx_payload_type is None:
                outlet(protect(packet.serialise(self._payload_type, self._ssrc, tail)))
                continue
            rtx = packet.wrapped(self._rtx_sequence)
            self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
            outlet(protect(rtx.serialise(self._rtx_payload_type, self._sender._rtx_ssrc, tail)))

    async def _run_rtcp(self) -> None:
        while True:
            await asyncio.sleep(0.5 + random.random())
            if self._last_capture is None:
                continue
            timestamp, at = self._last_capture
            now = time.monotonic()
            ntp = clock.current_ntp_time()
            self._reports_sent[(ntp >> 16) & 0xFFFFFFFF] = now
            while len(self._reports_sent) > 8:
                del self._reports_sent[next(iter(self._reports_sent))]
            info = RtcpSenderInfo(
                ntp_timestamp=ntp,
                rtp_timestamp=(timestamp + int((now - at) * 90_000)) & 0xFFFFFFFF,
                packet_count=self.packets_sent & 0xFFFFFFFF,
                octet_count=self.bytes_sent & 0xFFFFFFFF,
            )
            source = RtcpSourceInfo(ssrc=self._ssrc, items=[(1, self._cname.encode())])
            await self._send_rtcp(
                [RtcpSrPacket(ssrc=self._ssrc, sender_info=info), RtcpSdesPacket(chunks=[source])]
            )

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        try:
            await self._sender.transport._send_rtp(b"".join(bytes(p) for p in packets))
        except ConnectionError:
            logger.debug("sender.rtcp_unsent")


class _Sent:
    """A packet as it was sent, kept for retransmission."""

    __slots__ = ("marker", "payload", "resent_at", "sequence", "timestamp")

    def __init__(self, sequence: int, timestamp: int, marker: bool, payload: bytes) -> None:
        self.sequence = sequence
        self.timestamp = timestamp
        self.marker = marker
        self.payload = payload
        self.resent_at = 0.0

    def serialise(self, payload_type: int, ssrc: int, extension: bytes) -> bytes:
        header = _HEADER.pack(
            0x90 if extension else 0x80,
            (0x80 if self.marker else 0) | payload_type,
            self.sequence,
            self.timestamp,
            ssrc,
        )
        return header + extension + self.payload

    def wrapped(self, sequence: int) -> _Sent:
        """As the payload of a retransmission stream (RFC 4588)."""
        payload = struct.pack("!H", self.sequence) + self.payload
        return _Sent(sequence, self.timestamp, self.marker, payload)


async def answer_offer(
    pc: RTCPeerConnection, description: RTCSessionDescription, sender: EncodedSender
) -> RTCSessionDescription:
    """Apply a peer's offer and answer it, gathering included; raises BadDescription.

    The sender's codec preference takes effect; media other than that one video
    stream is declined.
    """
    if description.type != "offer":
        raise BadDescription("expected an offer")
    try:
        await pc.setRemoteDescription(description)
    except Exception as error:  # noqa: BLE001 - a peer's description, aiortc's many errors
        logger.info("peer.offer_refused", error=type(error).__name__)
        raise BadDescription("the offer cannot be applied") from None
    own = sender._transceiver
    if own.mid is None:
        raise BadDescription("the offer has no video section")
    if own._offerDirection not in ("sendonly", "sendrecv"):
        raise BadDescription("the offer does not receive video")
    if not own._codecs or own._codecs[0].name.lower() not in CODECS:
        raise BadDescription("the offer has no codec in common")
    if extension := offered_extension(description.sdp, own.mid, PLAYOUT_DELAY):
        own._headerExtensions.append(extension)
    for transceiver in pc.getTransceivers():
        if transceiver is not own:
            transceiver.direction = "inactive"
    await pc.setLocalDescription(await pc.createAnswer())
    return pc.localDescription


def _preferences(prefer: Sequence[str]) -> list[RTCRtpCodecCapability]:
    """aiortc's capabilities in the order wished, constrained baseline first, RTX last."""
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    wished: list[RTCRtpCodecCapability] = []
    for name in prefer:
        matching = [c for c in capabilities if c.name.lower() == name]
        if not matching:
            raise ValueError(f"codec {name} is not one of {', '.join(CODECS)}")
        matching.sort(key=lambda c: c.parameters.get("profile-level-id") != "42e01f")
        wished += matching
    return wished + [c for c in capabilities if c.name.lower() == "rtx"]
