"""Packets to frames: order, loss, repair, key frames, and what is asked of the sender."""

from __future__ import annotations

import random

import pytest
from aiortc.codecs.h264 import h264_depayload

from system.media.rtc.assembler import MAX_NACKS, FrameAssembler, ReceivedFrame
from system.media.rtc.packets import Codec, assemble, is_keyframe, packetise, starts_frame

SPS_PPS = b"\x00\x00\x00\x01\x67\x42\xc0\x1f\x8c\x00\x00\x00\x01\x68\xce\x3c\x80"


def idr(size: int = 4000) -> bytes:
    return SPS_PPS + b"\x00\x00\x00\x01\x65" + bytes(i % 251 + 1 for i in range(size))


def delta(size: int = 3000) -> bytes:
    return b"\x00\x00\x00\x01\x41" + bytes(i % 249 + 1 for i in range(size))


def vp8(key: bool, size: int = 3000) -> bytes:
    return (b"\x10" if key else b"\x11") + bytes(i % 251 for i in range(size))


Packet = tuple[int, int, bool, bytes]


def packets_of(
    frames: list[bytes], codec: Codec = "h264", first: int = 65530
) -> list[list[Packet]]:
    """Packets of each frame: sequence, timestamp, marker, payload."""
    result, sequence = [], first
    for i, frame in enumerate(frames):
        payloads = packetise(codec, frame, i)
        result.append(
            [
                ((sequence + j) & 0xFFFF, 3000 * i, j == len(payloads) - 1, payload)
                for j, payload in enumerate(payloads)
            ]
        )
        sequence += len(payloads)
    return result


def feed(assembler: FrameAssembler, packets: list[Packet], now: float = 0.0) -> list[ReceivedFrame]:
    return [frame for packet in packets for frame in assembler.add(*packet, now)]


def flat(frames: list[list[Packet]]) -> list[Packet]:
    return [packet for frame in frames for packet in frame]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_frames_come_out_as_they_went_in_across_the_wrap_of_the_sequence(codec: Codec) -> None:
    sent = [idr(), *[delta()] * 9] if codec == "h264" else [vp8(i == 0) for i in range(10)]
    frames = feed(FrameAssembler(codec), flat(packets_of(sent, codec)))
    assert [frame.data for frame in frames] == sent
    assert [frame.keyframe for frame in frames] == [True] + [False] * 9
    assert all(frame.complete and frame.decodable for frame in frames)


def test_a_frame_is_complete_with_its_own_last_packet() -> None:
    assembler = FrameAssembler("h264")
    (packets,) = packets_of([idr()])
    assert feed(assembler, packets[:-1], now=1.0) == []
    (frame,) = assembler.add(*packets[-1], now=1.5)
    assert (frame.first_packet_s, frame.arrival_s, frame.delivered_s) == (1.0, 1.5, 1.5)
    assert frame.packets == len(packets)
    assert not assembler.waiting


def test_reordered_packets_change_nothing_but_the_order_of_delivery() -> None:
    sent = [idr(), *[delta()] * 30]
    packets = flat(packets_of(sent))
    rng = random.Random(4)
    for start in range(0, len(packets) - 4, 4):
        window = packets[start : start + 4]
        rng.shuffle(window)
        packets[start : start + 4] = window
    frames = feed(FrameAssembler("h264"), packets)
    assert [frame.data for frame in frames] == sent
    assert all(frame.decodable for frame in frames)


def test_duplicates_are_ignored() -> None:
    packets = flat(packets_of([idr(), delta()]))
    doubled = [packet for packet in packets for _ in range(2)] + packets
    assert len(feed(FrameAssembler("h264"), doubled)) == 2


def test_a_hole_is_asked_for_again_and_holds_back_what_follows_until_repaired() -> None:
    assembler = FrameAssembler("h264")
    frames = packets_of([idr(), delta(), delta()])
    lost = frames[1].pop(1)
    assert len(feed(assembler, frames[0] + frames[1] + frames[2], now=1.0)) == 1
    assert assembler.waiting
    assert assembler.due_nacks(1.0) == [lost[0]]
    assert assembler.due_nacks(1.001) == []
    assert assembler.due_nacks(1.0 + assembler.nack_retry_s) == [lost[0]]
    repaired = assembler.add(*lost, now=1.1)
    assert [frame.decodable for frame in repaired] == [True, True]
    assert repaired[1].arrival_s == 1.0
    assert repaired[1].delivered_s == 1.1
    assert not assembler.waiting
    assert not assembler.due_pli(1.2)


def test_a_packet_is_asked_for_a_bounded_number_of_times() -> None:
    assembler = FrameAssembler("h264", repair_s=1e9)
    frames = packets_of([idr(), delta(), delta()])
    del frames[1][0]
    feed(assembler, flat(frames))
    asked = sum(len(assembler.due_nacks(float(second))) for second in range(100))
    assert asked == MAX_NACKS


def test_an_unrepaired_hole_is_given_up_and_a_key_frame_asked_for() -> None:
    assembler = FrameAssembler("h264", repair_s=0.2)
    frames = packets_of([idr(), delta(), delta(), delta(), idr(), delta()])
    del frames[1][1]
    feed(assembler, flat(frames[:4]), now=1.0)
    assert assembler.poll(1.19) == []
    late = assembler.poll(1.21)
    assert [(f.complete, f.decodable) for f in late] == [
        (False, False),
        (True, False),
        (True, False),
    ]
    assert late[0].packets == 1
    assert assembler.frames_dropped == 1
    assert assembler.due_pli(1.21)
    assert not assembler.due_pli(1.3)
    assert assembler.due_pli(1.7)
    recovered = feed(assembler, flat(frames[4:]), now=2.0)
    assert [f.decodable for f in recovered] == [True, True]
    assert not assembler.due_pli(3.0)
    assert not assembler.waiting


def test_whole_lost_frames_break_the_chain_even_if_the_next_frame_is_whole() -> None:
    assembler = FrameAssembler("h264", repair_s=0.2)
    frames = packets_of([idr(), delta(), delta()])
    feed(assembler, frames[0] + frames[2], now=1.0)
    assert assembler.waiting
    (frame,) = assembler.poll(1.3)
    assert (frame.complete, frame.decodable) == (True, False)


def test_a_lost_last_packet_does_not_spoil_the_frame_after_it() -> None:
    assembler = FrameAssembler("h264", repair_s=0.2)
    frames = packets_of([idr(), delta(), idr(2000)])
    del frames[1][-1]
    feed(assembler, flat(frames), now=1.0)
    assert [(f.complete, f.keyframe, f.decodable) for f in assembler.poll(1.3)] == [
        (False, False, False),
        (True, True, True),
    ]


def test_a_stream_that_begins_without_a_key_frame_asks_for_one() -> None:
    assembler = FrameAssembler("h264")
    frames = packets_of([delta(), idr()])
    (frame,) = feed(assembler, frames[0], now=1.0)
    assert (frame.complete, frame.decodable) == (True, False)
    assert assembler.waiting
    assert assembler.due_pli(1.0)
    assert feed(assembler, frames[1], now=1.1)[0].decodable
    assert not assembler.waiting


def test_a_stream_that_begins_within_a_frame_asks_for_a_key_frame() -> None:
    assembler = FrameAssembler("h264")
    frames = packets_of([idr(), delta()])
    (broken, whole) = feed(assembler, frames[0][2:] + frames[1])
    assert (broken.complete, broken.decodable, whole.decodable) == (False, False, False)
    assert assembler.due_pli(0.0)


def test_the_very_first_packets_may_come_in_the_wrong_order() -> None:
    (packets,) = packets_of([idr()], first=10)
    frames = feed(FrameAssembler("h264"), [packets[1], packets[0], *packets[2:]])
    assert [frame.decodable for frame in frames] == [True]


def test_a_sender_without_marker_bits_costs_one_frame_of_delay_and_no_frame() -> None:
    sent = [idr(), delta(), delta()]
    packets = [(s, t, False, p) for s, t, _, p in flat(packets_of(sent))]
    frames = feed(FrameAssembler("h264"), packets)
    assert [frame.data for frame in frames] == sent[:2]


def test_a_jump_of_the_sequence_begins_a_new_stream() -> None:
    assembler = FrameAssembler("h264")
    feed(assembler, flat(packets_of([idr(), delta()], first=100)))
    frames = feed(assembler, flat(packets_of([idr(), delta()], first=30_000)), now=5.0)
    assert [frame.decodable for frame in frames] == [True, True]
    assert assembler.due_nacks(5.0) == []


def test_what_is_held_back_is_bounded() -> None:
    assembler = FrameAssembler("h264", repair_s=1e9)
    frames = packets_of([idr()] + [delta(200)] * 6000, first=0)
    del frames[1]
    for packet in flat(frames):
        assembler.add(*packet, 0.0)
        assert len(assembler._held) <= 2049


@pytest.mark.parametrize("seed", range(20))
def test_random_loss_and_repair_never_delivers_a_frame_twice_or_out_of_order(seed: int) -> None:
    rng = random.Random(seed)
    sent = [idr() if i % 20 == 0 else delta(rng.randint(50, 4000)) for i in range(100)]
    assembler = FrameAssembler("h264", repair_s=0.1)
    by_sequence = {}
    got: list[ReceivedFrame] = []
    now = 0.0
    for frame in packets_of(sent, first=rng.randrange(65536)):
        for packet in frame:
            by_sequence[packet[0]] = packet
            if rng.random() > 0.05:
                got += assembler.add(*packet, now)
        now += 1 / 30
        for sequence in assembler.due_nacks(now):
            if rng.random() > 0.3:
                got += assembler.add(*by_sequence[sequence], now)
        got += assembler.poll(now)
    stamps = [frame.rtp_timestamp for frame in got]
    assert stamps == sorted(stamps)
    whole = [frame for frame in got if frame.complete]
    assert len({frame.rtp_timestamp for frame in whole}) == len(whole)
    assert all(frame.data == sent[frame.rtp_timestamp // 3000] for frame in whole)
    assert len(whole) > 80
    broken = False
    expected = 0
    for frame in got:
        if frame.rtp_timestamp != expected or not frame.complete:
            broken = True
        if frame.complete and frame.keyframe:
            broken = False
        assert frame.decodable is (frame.complete and not broken)
        expected = frame.rtp_timestamp + 3000


def test_payloads_reassemble_as_aiortc_would() -> None:
    payloads = packetise("h264", idr(), 0)
    assert assemble("h264", payloads) == b"".join(h264_depayload(p) for p in payloads) == idr()


@pytest.mark.parametrize(
    "payload", [b"", b"\x18", b"\x78\x00\x09\x01", b"\x1f\x00", b"\x1d\x00\x00"]
)
def test_malformed_payloads_make_an_incomplete_frame(payload: bytes) -> None:
    assembler = FrameAssembler("h264")
    (frame,) = assembler.add(1, 0, True, payload, 0.0)
    assert not frame.complete
    assert not frame.decodable


def test_key_frames_and_frame_starts_are_told_apart() -> None:
    assert is_keyframe("h264", idr())
    assert not is_keyframe("h264", delta())
    assert not is_keyframe("h264", b"\x00\x00\x01\x65\x88\x84")  # no parameter sets
    assert is_keyframe("vp8", vp8(True))
    assert not is_keyframe("vp8", vp8(False))
    first, *rest = packetise("vp8", vp8(True), 7)
    assert starts_frame("vp8", first)
    assert not any(starts_frame("vp8", payload) for payload in rest)
