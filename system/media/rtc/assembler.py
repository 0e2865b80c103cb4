"""Packets of one video stream to frames, and what to ask the sender for. Pure: time is passed in.

A frame is complete with its marker bit, not with the next frame's first packet,
so no frame interval is added to what is measured. Frames come out in order; a
hole holds back what follows it until it is repaired or ``repair_s`` has
passed, as a decoder would have to wait too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from system.media.rtc.packets import Codec, assemble, is_keyframe, starts_frame

MAX_HELD_PACKETS = 2048
MAX_JUMP = 3000
"""A larger step of the sequence number is a stream that started anew."""

MAX_NACKS = 10
NACK_RETRY_S = 0.03
PLI_RETRY_S = 0.4


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """One frame off the wire, not decoded.

    ``data`` is Annex B for H.264. Times are monotonic: ``first_packet_s`` and
    ``arrival_s`` of its first and last packet to arrive, ``delivered_s`` when
    everything before it was in hand or given up. An incomplete frame holds what
    came before its hole. ``decodable``: complete, and so is every frame since a
    key frame.
    """

    data: bytes
    codec: Codec
    keyframe: bool
    rtp_timestamp: int
    arrival_s: float
    first_packet_s: float
    delivered_s: float
    packets: int
    complete: bool
    decodable: bool


@dataclass(slots=True)
class _Packet:
    timestamp: int
    marker: bool
    payload: bytes
    arrival_s: float


@dataclass(slots=True)
class _Missing:
    since_s: float
    next_nack_s: float
    nacks: int = 0


class FrameAssembler:
    """Reassembles one stream; sequence numbers are 16 bit on the wire, unwrapped inside."""

    def __init__(self, codec: Codec, *, repair_s: float = 0.25) -> None:
        self.codec = codec
        self.repair_s = repair_s
        self.nack_retry_s = NACK_RETRY_S
        self._held: dict[int, _Packet] = {}
        self._missing: dict[int, _Missing] = {}
        self._head: int | None = None  # first packet of the next frame
        self._scan = 0  # all packets from head to here are held
        self._highest = 0
        self._delivered = False
        self._chain = False
        self._last_pli_s: float | None = None
        self.frames_dropped = 0

    @property
    def waiting(self) -> bool:
        """Whether ``poll`` has something to do in a while, though nothing may arrive."""
        return bool(self._missing) or (self._delivered and not self._chain)

    def add(
        self, sequence: int, timestamp: int, marker: bool, payload: bytes, now: float
    ) -> list[ReceivedFrame]:
        """Take a packet; frames that it completes, in order."""
        if self._head is None:
            self._restart(sequence)
        step = (sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000
        extended = self._highest + step
        if abs(step) > MAX_JUMP:
            self._chain = False
            self._restart(sequence)
            extended = sequence
        assert self._head is not None
        if extended < self._head:
            if self._delivered or self._head - extended > 64:
                return []
            # The stream's very first packets came in the wrong order.
            for gap in range(extended + 1, self._head):
                self._missing.setdefault(gap, _Missing(now, now))
            self._head = self._scan = extended
        elif extended > self._highest:
            for gap in range(self._highest + 1, extended):
                self._missing[gap] = _Missing(now, now)
            self._highest = extended
        elif extended in self._held:
            return []
        self._missing.pop(extended, None)
        self._held[extended] = _Packet(timestamp, marker, payload, now)
        if len(self._held) > MAX_HELD_PACKETS:
            return [*self._give_up(now), *self._advance(now)]
        return self._advance(now) if extended == self._scan else []

    def poll(self, now: float) -> list[ReceivedFrame]:
        """Give up holes that were not repaired in time; frames that this sets free."""
        frames: list[ReceivedFrame] = []
        while (hole := self._missing.get(self._scan)) and now - hole.since_s >= self.repair_s:
            frames += self._give_up(now)
            frames += self._advance(now)
        return frames

    def due_nacks(self, now: float) -> list[int]:
        """Sequence numbers to ask for again, lowest first; each at most MAX_NACKS times."""
        due = []
        for sequence, missing in self._missing.items():
            if missing.next_nack_s <= now and missing.nacks < MAX_NACKS:
                missing.nacks += 1
                missing.next_nack_s = now + self.nack_retry_s
                due.append(sequence)
        return [sequence & 0xFFFF for sequence in sorted(due)]

    def due_pli(self, now: float) -> bool:
        """Whether to ask for a key frame: the chain is broken, or the stream began without one."""
        if self._chain or not self._delivered:
            return False
        if self._last_pli_s is not None and now - self._last_pli_s < PLI_RETRY_S:
            return False
        self._last_pli_s = now
        return True

    def _restart(self, sequence: int) -> None:
        self._head = self._scan = self._highest = sequence
        self._held.clear()
        self._missing.clear()

    def _advance(self, now: float) -> list[ReceivedFrame]:
        """Frames that are whole from ``head`` on."""
        frames: list[ReceivedFrame] = []
        assert self._head is not None
        while (packet := self._held.get(self._scan)) is not None:
            if packet.timestamp != self._held[self._head].timestamp:
                frames.append(self._take(self._scan, now))  # a sender without marker bits
            self._scan += 1
            if packet.marker:
                frames.append(self._take(self._scan, now))
        return frames

    def _take(self, end: int, now: float) -> ReceivedFrame:
        assert self._head is not None
        packets = [self._held.pop(i) for i in range(self._head, end)]
        self._head = end
        return self._frame(packets, now, complete=True)

    def _frame(self, packets: Sequence[_Packet], now: float, *, complete: bool) -> ReceivedFrame:
        keyframe = False
        data = b""
        complete = complete and starts_frame(self.codec, packets[0].payload)
        try:
            data = assemble(self.codec, [packet.payload for packet in packets])
        except ValueError:
            complete = False
        else:
            keyframe = is_keyframe(self.codec, data)
        self._chain = complete and (keyframe or self._chain)
        self._delivered = True
        if not complete:
            self.frames_dropped += 1
        return ReceivedFrame(
            data=data,
            codec=self.codec,
            keyframe=keyframe,
            rtp_timestamp=packets[0].timestamp,
            arrival_s=max(packet.arrival_s for packet in packets),
            first_packet_s=min(packet.arrival_s for packet in packets),
            delivered_s=now,
            packets=len(packets),
            complete=complete,
            decodable=self._chain,
        )

    def _give_up(self, now: float) -> list[ReceivedFrame]:
        """Drop up to the first frame that can begin after the hole at ``scan``."""
        assert self._head is not None
        head = [self._held[i] for i in range(self._head, self._scan)]
        before = head[-1].timestamp if head else None
        resync = self._highest + 1
        for i in range(self._scan + 1, self._highest + 1):
            packet = self._held.get(i)
            if packet is None:
                continue
            if packet.timestamp != before and starts_frame(self.codec, packet.payload):
                resync = i
                break
            before = packet.timestamp
        for i in range(self._head, resync):
            self._held.pop(i, None)
            self._missing.pop(i, None)
        self._head = self._scan = resync
        self._chain = False
        self._delivered = True
        if head:
            return [self._frame(head, now, complete=False)]
        self.frames_dropped += 1
        return []
