"""Coming back to signaling after it was lost, without all clients coming at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from system.client.signaling import SignalingClosed, SignalingSocket
from system.protocol.messages import Resume

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0


async def reconnect(
    open_socket: Callable[[], Awaitable[SignalingSocket]],
    resume: Resume,
    *,
    window_s: float,
    rng: random.Random | None = None,
) -> SignalingSocket | None:
    """A socket on which ``resume`` was sent; None if the window passed or it is useless.

    Waits a random time up to a bound that doubles (full jitter), so that a
    restarted server is not met by every client in the same instant.
    """
    rng = rng or random.Random()
    loop = asyncio.get_running_loop()
    until = loop.time() + window_s
    bound = FIRST_WAIT_S
    while loop.time() < until:
        await asyncio.sleep(rng.uniform(0, bound))
        bound = min(2 * bound, LONGEST_WAIT_S)
        try:
            socket = await open_socket()
        except SignalingClosed as closed:
            if closed.final:
                return None
            continue
        try:
            await socket.send(resume)
        except SignalingClosed:
            continue
        return socket
    return None
