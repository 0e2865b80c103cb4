"""Two real peer connections on loopback: encoded frames, loss, repair, and nothing left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_FIR, RtcpPsfbPacket, pack_remb_fci

from system.media.rtc.assembler import ReceivedFrame
from system.media.rtc.description import PLAYOUT_DELAY, without_abs_send_time
from system.media.rtc.ice import LOOPBACK, IceSettings
from system.media.rtc.impair import Impairment, Path
from system.media.rtc.peer import Peer, close_peer, new_peer_connection, parse_description
from system.media.rtc.receiver import FrameReceiver
from system.media.rtc.sender import EncodedSender, answer_offer


def encode_clip(codec: str, frames: int, *, gop: int = 10_000) -> list[tuple[bytes, bool]]:
    """A noisy moving picture, so that key frames take many packets."""
    name = {"h264": "libx264", "vp8": "libvpx"}[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.bit_rate, context.gop_size = 2_000_000, gop
    context.options = (
        {"preset": "ultrafast", "tune": "zerolatency"}
        if codec == "h264"
        else {"deadline": "realtime", "cpu-used": "-12", "lag-in-frames": "0"}
    )
    context.thread_count = 1
    noise = np.random.default_rng(5).integers(0, 255, (270, 320 + 2 * frames), dtype=np.uint8)
    units = []
    for i in range(frames):
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(noise[:, 2 * i : 2 * i + 320]), format="yuv420p"
        )
        frame.pts = i
        units += [(bytes(packet), packet.is_keyframe) for packet in context.encode(frame)]
    return units


@dataclass
class Pair:
    server: Peer
    client: Peer
    sender: EncodedSender
    receiver: FrameReceiver
    frames: list[ReceivedFrame] = field(default_factory=list)
    keyframe_requests: int = 0
    reports: list[tuple[float | None, float]] = field(default_factory=list)
    bitrates: list[int] = field(default_factory=list)
    sdps: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def make_pair(ice: IceSettings = LOOPBACK, **sender_options: tuple[str, ...]) -> Pair:
    client, server = new_peer_connection(ice, offers=True), new_peer_connection(ice)
    frames: list[ReceivedFrame] = []
    receiver = FrameReceiver(client, frames.append)

    def on_keyframe_request() -> None:
        pair.keyframe_requests += 1

    sender = EncodedSender(
        server,
        on_keyframe_request=on_keyframe_request,
        on_bitrate=lambda bps: pair.bitrates.append(bps),
        on_receiver_report=lambda rtt, lost: pair.reports.append((rtt, lost)),
        **sender_options,
    )
    pair = Pair(server, client, sender, receiver, frames)
    return pair


async def negotiate(pair: Pair, *, strip: bool = True) -> None:
    client, server = pair.client, pair.server
    await client.setLocalDescription(await client.createOffer())
    offer = client.localDescription
    text = without_abs_send_time(offer.sdp) if strip else offer.sdp
    answer = await answer_offer(server, parse_description(text, offer.type), pair.sender)
    await client.setRemoteDescription(parse_description(answer.sdp, answer.type))
    pair.sdps += [text, answer.sdp]


@asynccontextmanager
async def connected(ice: IceSettings = LOOPBACK, **options: tuple[str, ...]) -> AsyncIterator[Pair]:
    before = asyncio.all_tasks()
    pair = make_pair(ice, **options)
    try:
        channel = pair.client.createDataChannel("input", ordered=False, maxRetransmits=0)

        @pair.server.on("datachannel")
        def on_channel(other: object) -> None:
            other.on("message", pair.messages.append)  # type: ignore[attr-defined]

        await negotiate(pair)
        await asyncio.wait_for(pair.sender.wait_ready(), 10)
        await until(lambda: channel.readyState == "open")
        channel.send("hello")
        yield pair
    finally:
        await asyncio.gather(close_peer(pair.client), close_peer(pair.server))
    await until(lambda: not (asyncio.all_tasks() - before))


async def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)


async def send_clip(pair: Pair, clip: list[tuple[bytes, bool]], interval_s: float = 0.01) -> None:
    for i, (data, keyframe) in enumerate(clip):
        assert pair.sender.send(data, keyframe=keyframe, capture_time_us=i * 33_333) > 0
        await asyncio.sleep(interval_s)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_every_frame_arrives_whole_and_in_order(codec: str) -> None:
    clip = encode_clip(codec, 40)
    async with connected(prefer=(codec,)) as pair:
        assert pair.sender.codec == codec
        await send_clip(pair, clip)
        await until(lambda: len(pair.frames) == len(clip))
        assert [f.keyframe for f in pair.frames] == [key for _, key in clip]
        assert all(f.complete and f.decodable and f.codec == codec for f in pair.frames)
        assert pair.frames[0].packets > 5
        starts = [f.rtp_timestamp for f in pair.frames]
        ticks = [b - a for a, b in itertools.pairwise(starts)]
        assert all(tick % (1 << 32) in (2999, 3000) for tick in ticks)
        decoder = av.CodecContext.create(codec, "r")
        decoded = [f for frame in pair.frames for f in decoder.decode(av.Packet(frame.data))]
        assert len(decoded) + len(decoder.decode(None)) == len(clip)
        assert pair.receiver.counters.packets_lost == 0
        assert pair.receiver.counters.bytes_received == pair.sender.bytes_sent
        await until(lambda: pair.messages == ["hello"])


async def test_only_loopback_candidates_are_gathered() -> None:
    async with connected() as pair:
        for sdp in pair.sdps:
            addresses = re.findall(r"^a=candidate:\S+ \d+ udp \d+ (\S+)", sdp, re.MULTILINE)
            assert addresses
            assert set(addresses) == {"127.0.0.1"}


async def test_lost_packets_are_repaired_by_nack_and_rtx() -> None:
    clip = encode_clip("h264", 90)
    async with connected() as pair:
        pair.client.link.impairment = Impairment(Path(loss=0.05), random.Random(3))
        await send_clip(pair, clip)
        pair.client.link.impairment = None
        await send_clip(pair, encode_clip("h264", 1))
        await until(lambda: len(pair.frames) >= len(clip) + 1)
        counters = pair.receiver.counters
        assert counters.packets_lost > 5
        assert counters.nack_count > 5
        assert counters.packets_repaired > 5
        assert pair.sender.packets_retransmitted >= counters.packets_repaired
        complete = [f for f in pair.frames if f.complete]
        assert len(complete) >= 0.97 * len(clip)


async def test_an_unrepaired_hole_asks_for_a_key_frame_and_recovers_with_it() -> None:
    clip = encode_clip("h264", 30, gop=15)
    async with connected() as pair:
        pair.sender._history = {}
        await send_clip(pair, clip[:3])
        await until(lambda: len(pair.frames) == 3)
        # The packets of this frame are lost for good: nothing is left to repair them with.
        pair.client.link.impairment = Impairment(Path(loss=1.0), random.Random(1))
        pair.sender.send(clip[3][0], keyframe=False, capture_time_us=100_000)
        await asyncio.sleep(0.02)
        pair.client.link.impairment = None
        pair.sender._history.clear()
        for i in (4, 5):
            pair.sender.send(clip[i][0], keyframe=False, capture_time_us=i * 33_333)
        await until(lambda: pair.keyframe_requests > 0)
        assert pair.receiver.counters.pli_count > 0
        await until(lambda: len([f for f in pair.frames if f.complete]) == 5)
        assert [f.decodable for f in pair.frames if f.complete] == [True] * 3 + [False] * 2
        pair.sender.send(clip[15][0], keyframe=True, capture_time_us=500_000)
        await until(lambda: pair.frames[-1].keyframe)
        assert pair.frames[-1].decodable


async def test_reports_liveness_and_round_trips_are_measured_on_both_sides() -> None:
    clip = encode_clip("h264", 20)
    path = Path(rtt_s=0.04)
    async with connected() as pair:
        pair.client.link.impairment = Impairment(path, random.Random(1))
        started = time.monotonic()
        while len([r for r in pair.reports if r[0] is not None]) < 1:
            assert time.monotonic() - started < 10
            await send_clip(pair, clip, 0.02)
        rtt = next(r for r, _ in pair.reports if r is not None)
        assert 0.03 < rtt < 0.3
        probed = await pair.client.link.probe()
        assert probed is not None
        assert 0.04 <= probed < 0.3
        assert pair.sender.last_media_at is not None
        assert pair.sender.last_media_at > started


async def test_a_peer_that_is_never_answered_closes_itself_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    pc = new_peer_connection(LOOPBACK, connect_deadline_s=0.1, offers=True)
    FrameReceiver(pc, lambda frame: None)
    await pc.setLocalDescription(await pc.createOffer())
    await until(lambda: pc.connectionState == "closed")
    await close_peer(pc)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_closing_at_any_moment_of_the_set_up_leaves_no_task(steps: int) -> None:
    before = asyncio.all_tasks()
    pair = make_pair()
    pair.client.createDataChannel("input")
    await negotiate(pair)
    for _ in range(steps):
        await asyncio.sleep(0.002 if steps % 2 else 0)
    await close_peer(pair.client)
    await close_peer(pair.server)
    await close_peer(pair.server)
    await until(lambda: not (asyncio.all_tasks() - before), 3)


FATAL_ALERT = bytes.fromhex("15fefd0000000000000000000202" + "28")
"""An unprotected DTLS record: alert, fatal, handshake failure."""


async def test_a_stranger_that_sends_to_the_sockets_does_not_break_the_handshake() -> None:
    pair = make_pair()
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.1", 0))

    async def disturb() -> None:
        while True:
            for sdp in pair.sdps:
                for port in re.findall(r"a=candidate:\S+ 1 udp \d+ 127.0.0.1 (\d+) ", sdp):
                    stranger.sendto(FATAL_ALERT, ("127.0.0.1", int(port)))
            await asyncio.sleep(0)

    disturbing = asyncio.create_task(disturb())
    try:
        await negotiate(pair)
        await until(lambda: pair.client.connectionState not in ("new", "connecting"))
        assert pair.client.connectionState == "connected"
        await until(lambda: pair.server.connectionState == "connected")
        assert pair.client.link.strangers + pair.server.link.strangers > 0
    finally:
        disturbing.cancel()
        stranger.close()
        await close_peer(pair.client)
        await close_peer(pair.server)


async def test_ports_stay_within_the_configured_range() -> None:
    ice = IceSettings(addresses=("127.0.0.1",), port_range=(47_100, 47_140))
    async with connected(ice) as pair:
        for sdp in pair.sdps:
            ports = {int(p) for p in re.findall(r"^a=candidate:.* (\d+) typ", sdp, re.MULTILINE)}
            assert ports
            assert all(47_100 <= port <= 47_140 for port in ports)


async def test_candidates_hidden_by_the_client_do_not_prevent_a_connection() -> None:
    pair = make_pair()
    await pair.client.setLocalDescription(await pair.client.createOffer())
    offer = pair.client.localDescription
    hidden = re.sub(r" 127\.0\.0\.1 (\d+) typ", r" 3f2c1d5e.local \1 typ", offer.sdp)
    assert ".local" in hidden
    answer = await answer_offer(pair.server, parse_description(hidden, "offer"), pair.sender)
    await pair.client.setRemoteDescription(answer)
    await asyncio.wait_for(pair.sender.wait_ready(), 10)
    await close_peer(pair.client)
    await close_peer(pair.server)


async def test_the_codec_offered_alone_is_the_one_sent() -> None:
    client, server = new_peer_connection(LOOPBACK, offers=True), new_peer_connection(LOOPBACK)
    receiver = FrameReceiver(client, lambda frame: None, prefer=("vp8",))
    sender = EncodedSender(
        server,
        on_keyframe_request=lambda: None,
        on_bitrate=lambda bps: None,
        on_receiver_report=lambda rtt, lost: None,
    )
    pair = Pair(server, client, sender, receiver)
    await negotiate(pair)
    assert sender.codec == "vp8"
    await close_peer(client)
    await close_peer(server)


async def test_feedback_reaches_the_sender_and_malformed_feedback_harms_nothing() -> None:
    clip = encode_clip("h264", 10)
    async with connected() as pair:
        await send_clip(pair, clip)
        await until(lambda: len(pair.frames) == 10)
        own, media = pair.receiver._own_ssrc, pair.receiver._ssrc
        assert media is not None
        fir = struct.pack("!LBBH", media, 1, 0, 0)
        pair.receiver._send_rtcp(RtcpPsfbPacket(RTCP_PSFB_FIR, own, 0, fir))
        await until(lambda: pair.keyframe_requests == 1)
        remb = pack_remb_fci(1_234_000, [media])
        pair.receiver._send_rtcp(RtcpPsfbPacket(RTCP_PSFB_APP, own, 0, remb))
        await until(lambda: pair.bitrates == [1_234_000])
        for fci in (remb[:-2], remb[:8] + b"\x00" * 4, b"REMB"):
            broken = fci + b"\x00" * (-len(fci) % 4)
            pair.receiver._send_rtcp(RtcpPsfbPacket(RTCP_PSFB_APP, own, 0, broken))
        truncated = bytearray(bytes(RtcpPsfbPacket(RTCP_PSFB_APP, own, 0, remb)))
        truncated[16] = 200  # names more streams than it lists
        pair.receiver._send_rtcp(truncated)  # type: ignore[arg-type]
        pair.receiver.request_keyframe()
        await until(lambda: pair.keyframe_requests == 2)
        await send_clip(pair, clip)
        await until(lambda: len(pair.frames) == 20)


async def test_connections_leave_no_descriptor_behind() -> None:
    async def once() -> None:
        async with connected():
            pass

    await once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(4):
        await once()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("offers", [True, False])
@pytest.mark.parametrize("first", ["audio", "application"])
async def test_the_video_need_not_be_the_first_section_of_the_offer(
    first: str, offers: bool
) -> None:
    before = asyncio.all_tasks()
    client = new_peer_connection(LOOPBACK, offers=offers)
    server = new_peer_connection(LOOPBACK)
    if first == "audio":
        client.addTransceiver("audio", direction="recvonly")
    frames: list[ReceivedFrame] = []
    receiver = FrameReceiver(client, frames.append)
    client.createDataChannel("input")
    sender = EncodedSender(
        server,
        on_keyframe_request=lambda: None,
        on_bitrate=lambda bps: None,
        on_receiver_report=lambda rtt, lost: None,
    )
    pair = Pair(server, client, sender, receiver, frames)
    await client.setLocalDescription(await client.createOffer())
    sdp = without_abs_send_time(client.localDescription.sdp)
    if first == "application":
        # As a peer may: the data channel in front, and with it the bundle's transport.
        head, video, data = re.split(r"(?=^m=)", sdp, flags=re.MULTILINE)
        sdp = head.replace("BUNDLE 0 1", "BUNDLE 1 0") + data + video
    answer = await answer_offer(server, parse_description(sdp, "offer"), sender)
    text = answer.sdp
    if first == "application":
        head, data, video = re.split(r"(?=^m=)", text, flags=re.MULTILINE)
        text = head.replace("BUNDLE 1 0", "BUNDLE 0 1") + video + data
    await client.setRemoteDescription(parse_description(text, "answer"))
    await asyncio.wait_for(sender.wait_ready(), 10)
    await send_clip(pair, encode_clip("h264", 5))
    await until(lambda: len(frames) == 5)
    await close_peer(client)
    await close_peer(server)
    await until(lambda: not (asyncio.all_tasks() - before))


async def test_a_viewer_that_can_is_asked_to_show_frames_without_delay() -> None:
    pair = make_pair()
    await pair.client.setLocalDescription(await pair.client.createOffer())
    line = f"a=extmap:6 {PLAYOUT_DELAY}\r\n"
    offer = pair.client.localDescription.sdp.replace("a=mid:0\r\n", "a=mid:0\r\n" + line)
    answer = await answer_offer(pair.server, parse_description(offer, "offer"), pair.sender)
    assert line in answer.sdp
    await pair.client.setRemoteDescription(parse_description(answer.sdp, "answer"))
    await asyncio.wait_for(pair.sender.wait_ready(), 10)
    block = pair.sender._extension_block()
    assert block.startswith(b"\xbe\xde")
    assert bytes([6 << 4 | 2, 0, 0, 0]) in block
    await send_clip(pair, encode_clip("h264", 3))
    await until(lambda: len(pair.frames) == 3)
    await close_peer(pair.client)
    await close_peer(pair.server)
