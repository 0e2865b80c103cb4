"""Offers as no browser makes them, answered by a real connection: an answer or one typed error."""

from __future__ import annotations

import asyncio
import random
import re

from aiortc import RTCConfiguration, RTCPeerConnection

from system.media.rtc.ice import LOOPBACK
from system.protocol.errors import BadDescription
from system.protocol.fields import Description
from system.worker.connection import Connection, Hooks
from system.worker.tally import Tally

MUTATIONS = 150
HOOKS = Hooks(
    received=lambda data: None,
    closed=lambda connection: None,
    keyframe_wanted=lambda: None,
    estimated=lambda bps: None,
)


async def sound_offer() -> str:
    viewer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    viewer.createDataChannel("input")
    viewer.addTransceiver("video", direction="recvonly")
    try:
        return str((await viewer.createOffer()).sdp)
    finally:
        await viewer.close()


def mutated(sdp: str, rng: random.Random) -> str:
    """Lines lost, doubled, cut, moved, and numbers that are none of this world."""
    lines = sdp.split("\r\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, rng.choice(lines))
            case 2:
                lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
            case 3:
                lines[at] = re.sub(r"\d+", lambda _: str(rng.choice((0, 7, 65_536))), lines[at])
            case 4:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                lines[at] = "a=" + lines[at][2:]
    return "\r\n".join(lines)


def connection() -> Connection:
    return Connection(
        LOOPBACK,
        negotiation=1,
        connect_deadline_s=15.0,
        prefer=("h264", "vp8"),
        hooks=HOOKS,
        tally=Tally(),
    )


async def test_a_mutated_offer_is_answered_or_refused_and_leaves_nothing() -> None:
    sdp = await sound_offer()
    before = asyncio.all_tasks()
    outcomes = {"answered": 0, "refused": 0}
    for seed in range(MUTATIONS):
        made = connection()
        try:
            await made.answer(Description(type="offer", sdp=mutated(sdp, random.Random(seed))))
            outcomes["answered"] += 1
        except BadDescription:
            outcomes["refused"] += 1
        finally:
            await made.close()
    assert min(outcomes.values()) > MUTATIONS / 10
    async with asyncio.timeout(5):
        while asyncio.all_tasks() - before:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)
