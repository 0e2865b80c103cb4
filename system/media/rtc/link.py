"""The sockets of one peer connection: gathering, remote candidates, round trips, liveness.

aioice binds port 0 on every address but loopback and takes every remote
candidate. ``scope`` turns an ``aioice.Connection`` that has not gathered yet into
one that obeys a ``Link``. Nothing here is global: two connections of one
process may have different settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import (
    CandidatePair,
    StunProtocol,
    server_reflexive_candidate,
)
from aioice.stun import Class, Message, TransactionError

from system.media.rtc.errors import GatheringFailed
from system.media.rtc.ice import IceSettings, candidate_allowed
from system.media.rtc.impair import Impairment
from system.telemetry import logs

logger = logs.get(__name__)

SOCKET_BUFFER_BYTES = 1 << 20
"""Several key frames: a burst must not be lost between two turns of the event loop."""

MAX_DATAGRAM_BYTES = 4096
MAX_DRAIN = 64
MAX_PEER_ADDRESSES = 64
LAST_STUN_BYTE = 3
"""The first byte of STUN is at most this; of DTLS and SRTP it is more (RFC 7983)."""
GATHER_TIMEOUT_S = 3.0
FIRST_RETRANSMISSION_S = 0.5
"""aioice retransmits a STUN request after this time: a later answer gives no round trip."""


class Link:
    """What a peer connection and its ICE sockets know about each other.

    ``media_sink`` gets every SRTP datagram (not SRTCP) as it arrives, in place
    of aiortc's queue. ``heard_at`` is the monotonic time of the last
    authenticated STUN or RTCP from the peer, None before. ``rtt_s`` is the last
    measured STUN round trip. ``strangers`` counts datagrams dropped because no
    authenticated STUN had come from where they came.
    """

    def __init__(self, settings: IceSettings) -> None:
        self.settings = settings
        self.media_sink: Callable[[bytes], None] | None = None
        self.impairment: Impairment | None = None
        self.heard_at: float | None = None
        self.rtt_s: float | None = None
        self.strangers = 0
        self._connections: list[ScopedConnection] = []

    def heard(self) -> None:
        self.heard_at = time.monotonic()

    def attach(self, connection: ScopedConnection) -> None:
        """One more transport; bundling leaves one of them in use."""
        self._connections.append(connection)

    def selected(self) -> CandidatePair | None:
        """The nominated pair, None while there is none."""
        connection = self._connected()
        return connection._nominated[1] if connection is not None else None

    def _connected(self) -> ScopedConnection | None:
        for connection in self._connections:
            if 1 in connection._nominated:
                return connection
        return None

    def outlet(self, pair: CandidatePair) -> Callable[[bytes], None]:
        """Sends protected datagrams to the pair's peer, without waiting."""
        protocol = pair.protocol
        if isinstance(protocol, MediaProtocol):
            return partial(_send_to, protocol.send_now, pair.remote_addr)
        return partial(_send_to, protocol.transport.sendto, pair.remote_addr)

    async def probe(self) -> float | None:
        """One STUN round trip in seconds, None if unanswered within half a second.

        This is RFC 7675's consent check, which every ICE peer answers; aioice
        itself sends one only every five seconds.
        """
        connection = self._connected()
        if connection is None or connection.remote_password is None:
            return None
        pair = connection._nominated[1]
        request = connection.build_request(pair, nominate=False)
        started = time.monotonic()
        with contextlib.suppress(TransactionError):
            await pair.protocol.request(
                request,
                pair.remote_addr,
                integrity_key=connection.remote_password.encode(),
                retransmissions=0,
            )
            return time.monotonic() - started
        return None


class MediaProtocol(StunProtocol):
    """A UDP socket that hands SRTP to the link at once and everything else to aioice.

    DTLS and SRTP are taken only from addresses that STUN has authenticated. A port
    may have belonged to another connection a moment ago, whose peer still sends:
    one of its handshake records or alerts would break the new handshake.
    """

    def __init__(self, connection: Connection, link: Link, sock: socket.socket) -> None:
        super().__init__(connection)
        self._link = link
        self._sock = sock
        self._peers: set[tuple[str, int]] = set()

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        assert isinstance(data, bytes)
        link = self._link
        if link.impairment is not None:
            link.impairment.inbound(self._dispatch, data, addr)
            return
        self._dispatch(data, addr)
        if link.media_sink is None:
            return
        # A frame is a burst of packets: read them all in this turn of the loop.
        for _ in range(MAX_DRAIN):
            try:
                data, addr = self._sock.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:
                return
            self._dispatch(data, addr)

    def _dispatch(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if not data or (data[0] > LAST_STUN_BYTE and addr[:2] not in self._peers):
            self._link.strangers += 1
            return
        sink = self._link.media_sink
        if sink is not None and len(data) > 12 and 127 < data[0] < 192:
            if not 192 <= data[1] <= 208:
                sink(data)
                return
            self.receiver.data_received(data, 1)
            return
        super().datagram_received(data, addr)

    def send_now(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand a datagram to the socket, through the impairment if there is one."""
        impairment = self._link.impairment
        if impairment is not None:
            impairment.outbound(self._sendto, data, addr)
        else:
            self.transport.sendto(data, addr)

    def backlog_bytes(self) -> int:
        """Bytes that the socket did not take yet."""
        size: int = cast(asyncio.WriteTransport, self.transport).get_write_buffer_size()
        return size

    async def send_data(self, data: bytes, addr: tuple[str, int]) -> None:
        self.send_now(data, addr)

    def send_stun(self, message: Message, addr: tuple[str, int]) -> None:
        if message.message_class is Class.RESPONSE:
            # aioice answers so only after it has checked the request's integrity.
            self._admit(addr)
        self.send_now(bytes(message), addr)

    def _admit(self, addr: tuple[str, int]) -> None:
        if len(self._peers) < MAX_PEER_ADDRESSES:
            self._peers.add(addr)

    def _sendto(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.transport.is_closing():
            self.transport.sendto(data, addr)

    async def request(
        self,
        request: Message,
        addr: tuple[str, int],
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[Message, tuple[str, int]]:
        started = time.monotonic()
        answer = await super().request(request, addr, integrity_key, retransmissions)
        elapsed = time.monotonic() - started
        if integrity_key is not None:
            self._admit(answer[1])
            self._link.heard()
            if elapsed < FIRST_RETRANSMISSION_S:
                self._link.rtt_s = elapsed
        return answer


class ScopedConnection(Connection):
    """An ICE connection that gathers and reaches only what its link's settings allow."""

    link: Link
    _refused_candidates: bool

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        settings = self.link.settings
        wanted = settings.addresses if settings.addresses is not None else tuple(addresses)
        protocols = [p for address in wanted for p in await self._bind(component, address)]
        if wanted and not protocols:
            raise GatheringFailed(f"no UDP socket could be bound on {', '.join(wanted)}")
        self._protocols += protocols
        if self._closing:
            for protocol in protocols:
                await protocol.close()
            return []
        candidates = [protocol.local_candidate for protocol in protocols]
        if self.stun_server is not None:
            candidates += await self._reflexive(protocols, self.stun_server)
        # Without addresses aioice's own method does what is left: the TURN relay.
        candidates += await super().get_component_candidates(component, [], timeout)
        return candidates

    async def _bind(self, component: int, address: str) -> list[MediaProtocol]:
        settings = self.link.settings
        sock = _bound_socket(address, settings.port_range)
        if sock is None:
            logger.warning("ice.bind_failed", address=address)
            return []
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(
            lambda: MediaProtocol(self, self.link, sock), sock=sock
        )
        shown = settings.announced_address or address
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", shown),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=shown,
            port=sock.getsockname()[1],
            type="host",
        )
        protocol.local_candidate._network_host = address
        return [protocol]

    async def _reflexive(
        self, protocols: list[MediaProtocol], server: tuple[str, int]
    ) -> list[Candidate]:
        tasks = [
            asyncio.create_task(server_reflexive_candidate(protocol, server))
            for protocol in protocols
            if ":" not in protocol.local_candidate._network_host
        ]
        if not tasks:
            return []
        done, pending = await asyncio.wait(tasks, timeout=GATHER_TIMEOUT_S)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        return [task.result()[0] for task in done if task.exception() is None]

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        if remote_candidate is None:
            # Ending the candidates with none in hand fails the connection at
            # once, though a peer whose candidates are hidden or refused may yet
            # reach us; the connect deadline bounds that wait.
            if self._refused_candidates or not self._remote_candidates:
                return
        elif (
            remote_candidate.component != 1
            or remote_candidate.transport.lower() != "udp"
            or not 0 < remote_candidate.port < 65536
            or not candidate_allowed(self.link.settings, remote_candidate.host)
        ):
            self._refused_candidates = True
            logger.debug("ice.candidate_refused", type=remote_candidate.type)
            return
        await super().add_remote_candidate(remote_candidate)

    def check_incoming(
        self, message: Message, addr: tuple[str, int], protocol: StunProtocol
    ) -> None:
        if not candidate_allowed(self.link.settings, addr[0]):
            return
        self.link.heard()
        super().check_incoming(message, addr, protocol)


def scope(connection: Connection, link: Link) -> None:
    """Make a connection that has not gathered yet obey ``link``."""
    connection.__class__ = ScopedConnection
    assert isinstance(connection, ScopedConnection)
    connection.link = link
    connection._refused_candidates = False
    link.attach(connection)


def _send_to(
    send: Callable[[bytes, tuple[str, int]], None], addr: tuple[str, int], data: bytes
) -> None:
    send(data, addr)


def _bound_socket(address: str, port_range: tuple[int, int] | None) -> socket.socket | None:
    """A non-blocking UDP socket on the address, on a free port of the range."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
    for port in _ports(port_range):
        try:
            sock.bind((address, port))
        except OSError:
            continue
        return sock
    sock.close()
    return None


def _ports(port_range: tuple[int, int] | None) -> list[int]:
    """Every port to try, from a random one on, so that neighbours rarely collide."""
    if port_range is None:
        return [0]
    low, high = port_range
    count = high - low + 1
    start = random.randrange(count)
    return [low + (start + i) % count for i in range(count)]
