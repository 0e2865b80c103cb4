"""One video stream received and not decoded: frames, feedback and counters of a headless viewer.

aiortc's receiver starts a decoder thread, holds every frame until the next
one's first packet, and estimates bandwidth per packet. It is kept as the shell
that SDP describes; what it starts and stops is this. Packets come straight from
the socket (``Link.media_sink``), are authenticated by SRTP, and never queue.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable
from typing import cast

import pylibsrtp
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpTransceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
)

from system.media.rtc.assembler import FrameAssembler, ReceivedFrame
from system.media.rtc.counters import ReceiveCounters
from system.media.rtc.packets import CODECS, Codec
from system.media.rtc.peer import link_of
from system.telemetry import logs

logger = logs.get(__name__)

SERVICE_INTERVAL_S = 0.02
"""How often repairs are looked after while something is missing; no timer runs otherwise."""

MIN_REPAIR_S = 0.2
MAX_REPAIR_S = 0.6

_HEADER = struct.Struct("!BBHLL")


class _Shell(RTCRtpReceiver):
    """aiortc's receiver, emptied: it starts and stops a FrameReceiver."""

    owner: FrameReceiver

    async def receive(self, parameters: RTCRtpReceiveParameters) -> None:
        self.owner._start(parameters)

    async def stop(self) -> None:
        await self.owner._stop()


class FrameReceiver:
    """Receives the video of a connection that offers; make it before ``createOffer``.

    ``on_frame`` is called on the event loop with every frame in order,
    incomplete ones included. It must not block and not raise.
    """

    def __init__(
        self,
        pc: RTCPeerConnection,
        on_frame: Callable[[ReceivedFrame], None],
        *,
        prefer: tuple[str, ...] = CODECS,
    ) -> None:
        self._link = link_of(pc)
        self._on_frame = on_frame
        self._stopped = False
        self._started = False
        self._codecs: dict[int, Codec] = {}
        self._rtx: dict[int, int] = {}  # payload type -> the one it repairs
        self._ssrc: int | None = None
        self._assembler: FrameAssembler | None = None
        self._rtcp_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_report: tuple[int, float] | None = None
        self.first_packet_s: float | None = None
        self.counters = ReceiveCounters(clock_rate=90_000)
        self.transceiver: RTCRtpTransceiver = pc.addTransceiver("video", direction="recvonly")
        capabilities = RTCRtpReceiver.getCapabilities("video")
        assert capabilities is not None
        wanted = [c for c in capabilities.codecs if c.name.lower() in (*prefer, "rtx")]
        wanted.sort(key=lambda c: [*prefer, "rtx"].index(c.name.lower()))
        self.transceiver.setCodecPreferences(wanted)
        receiver = self.transceiver.receiver
        receiver.__class__ = _Shell
        self._receiver = cast(_Shell, receiver)
        self._receiver.owner = self

    @property
    def codec(self) -> Codec | None:
        """The codec that arrives, None before the first packet."""
        return self._assembler.codec if self._assembler is not None else None

    def request_keyframe(self) -> None:
        """Send a PLI: whoever decodes cannot go on."""
        if self._ssrc is not None and not self._stopped:
            self._send_pli(self._ssrc)

    @property
    def _transport(self) -> RTCDtlsTransport:
        return self._receiver.transport

    # --- called through aiortc --------------------------------------------------

    def _start(self, parameters: RTCRtpReceiveParameters) -> None:
        if self._started or self._stopped:
            return
        self._started = True
        for codec in parameters.codecs:
            name = codec.name.lower()
            if name in CODECS:
                self._codecs[codec.payloadType or 0] = name
            elif name == "rtx":
                apt = codec.parameters.get("apt")
                if isinstance(apt, int):
                    self._rtx[codec.payloadType or 0] = apt
        self._transport._register_rtp_receiver(self, parameters)
        self._link.media_sink = self._datagram
        self._rtcp_task = asyncio.get_running_loop().create_task(self._run_rtcp())

    async def _stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._link.media_sink = None
        if self._timer is not None:
            self._timer.cancel()
        if self._started:
            self._transport._unregister_rtp_receiver(self)
        if self._rtcp_task is not None:
            self._rtcp_task.cancel()
            await asyncio.wait([self._rtcp_task])

    def _handle_disconnect(self) -> None:
        self._link.media_sink = None

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.ssrc == self._ssrc:
            middle = (packet.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF
            self._last_report = (middle, time.monotonic())

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        """Packets that were in aiortc's queue when receiving began."""
        self._packet(
            packet.payload_type,
            packet.sequence_number,
            packet.timestamp,
            packet.ssrc,
            bool(packet.marker),
            packet.payload,
        )

    # --- packets ------------------------------------------------------------------

    def _datagram(self, data: bytes) -> None:
        try:
            data = self._transport._rx_srtp.unprotect(data)
        except pylibsrtp.Error:
            self.counters.packets_discarded += 1
            return
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        start, end = 12 + 4 * (first & 0x0F), len(data)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        if first & 0x20:
            end -= data[-1]
        if start > end:
            self.counters.packets_discarded += 1
            return
        self._packet(second & 0x7F, sequence, timestamp, ssrc, second > 0x7F, data[start:end])

    def _packet(
        self,
        payload_type: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        marker: bool,
        payload: bytes,
    ) -> None:
        if self._stopped:
            return
        now = time.monotonic()
        counters = self.counters
        original = self._rtx.get(payload_type)
        if original is not None:
            counters.repaired(len(payload))
            if len(payload) <= 2:
                return  # padding
            sequence = int.from_bytes(payload[:2], "big")
            payload = payload[2:]
            payload_type = original
        elif payload_type in self._codecs:
            self._ssrc = ssrc
            counters.received(sequence, timestamp, len(payload), now)
        codec = self._codecs.get(payload_type)
        if codec is None or not payload:
            return
        if self.first_packet_s is None:
            self.first_packet_s = now
        assembler = self._assembler
        if assembler is None or assembler.codec != codec:
            assembler = self._assembler = FrameAssembler(codec)
        self._deliver(assembler.add(sequence, timestamp, marker, payload, now))
        if assembler.waiting and self._timer is None:
            self._service()

    def _deliver(self, frames: list[ReceivedFrame]) -> None:
        for frame in frames:
            if frame.complete:
                self.counters.frames_received += 1
                self.counters.keyframes += frame.keyframe
            self._on_frame(frame)

    def _service(self) -> None:
        """NACK what is missing, give up what is too late, ask for a key frame; then again."""
        self._timer = None
        assembler = self._assembler
        if assembler is None or self._stopped:
            return
        now = time.monotonic()
        rtt = self._link.rtt_s
        if rtt is not None:
            assembler.repair_s = min(MAX_REPAIR_S, MIN_REPAIR_S + 3 * rtt)
            assembler.nack_retry_s = SERVICE_INTERVAL_S + 1.5 * rtt
        self._deliver(assembler.poll(now))
        if self._ssrc is not None:
            if lost := assembler.due_nacks(now):
                self.counters.nack_count += 1
                self._send_rtcp(
                    RtcpRtpfbPacket(
                        fmt=RTCP_RTPFB_NACK, ssrc=self._own_ssrc, media_ssrc=self._ssrc, lost=lost
                    )
                )
            if assembler.due_pli(now):
                self._send_pli(self._ssrc)
        if assembler.waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SERVICE_INTERVAL_S, self._service)

    def _send_pli(self, media_ssrc: int) -> None:
        self.counters.pli_count += 1
        self._send_rtcp(
            RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=self._own_ssrc, media_ssrc=media_ssrc)
        )

    # --- RTCP -----------------------------------------------------------------------

    @property
    def _own_ssrc(self) -> int:
        return self.transceiver.sender._ssrc

    async def _run_rtcp(self) -> None:
        while True:
            await asyncio.sleep(0.5 + random.random())
            if self._ssrc is None:
                continue
            lsr = dlsr = 0
            if self._last_report is not None:
                lsr = self._last_report[0]
                dlsr = int((time.monotonic() - self._last_report[1]) * 65536) & 0xFFFFFFFF
            counters = self.counters
            report = RtcpReceiverInfo(
                ssrc=self._ssrc,
                fraction_lost=counters.take_fraction_lost(),
                packets_lost=min(counters.packets_lost, (1 << 23) - 1),
                highest_sequence=counters.highest_sequence & 0xFFFFFFFF,
                jitter=int(counters.jitter_s * 90_000) & 0xFFFFFFFF,
                lsr=lsr,
                dlsr=dlsr,
            )
            self._send_rtcp(RtcpRrPacket(ssrc=self._own_ssrc, reports=[report]))

    def _send_rtcp(self, packet: AnyRtcpPacket) -> None:
        pair = self._link.selected()
        session = self._transport._tx_srtp
        if pair is None or session is None:
            return
        self._link.outlet(pair)(session.protect_rtcp(bytes(packet)))
