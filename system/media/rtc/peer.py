"""A peer connection that gathers what it may, connects in time or closes, and leaks nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpRouter
from aiortc.rtp import RTCP_PSFB_FIR, AnyRtcpPacket, RtcpPsfbPacket

from system.media.rtc.description import parse_candidate, parse_description
from system.media.rtc.ice import IceSettings
from system.media.rtc.link import Link, scope
from system.telemetry import logs

__all__ = ["Peer", "close_peer", "link_of", "new_peer_connection"]
__all__ += ["parse_candidate", "parse_description"]

logger = logs.get(__name__)

SETUP_GRACE_S = 2.0
"""How long closing waits for an interrupted ICE or DTLS set-up to unwind."""

CLOSE_DEADLINE_S = 5.0
MAX_CONSECUTIVE_ERRORS = 100


class Peer(RTCPeerConnection):
    """An RTCPeerConnection whose parts obey a Link and whose close is bounded.

    aiortc starts a fire-and-forget connect task for every description. Closing
    while one runs leaves ICE consent checks and RTCP loops behind; so close
    first stops ICE, lets the connect tasks unwind, and closes then.
    """

    def __init__(self, ice: IceSettings, connect_deadline_s: float, offers: bool) -> None:
        super().__init__(
            RTCConfiguration(
                iceServers=[
                    RTCIceServer(
                        urls=[s.urls] if isinstance(s.urls, str) else list(s.urls),
                        username=s.username,
                        credential=s.credential,
                    )
                    for s in ice.servers
                ],
                # One socket for an offer. An answerer does not know yet which media
                # section will be the first of the bundle, and aiortc stops the
                # transport of every other.
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE if offers else RTCBundlePolicy.BALANCED,
            )
        )
        self.link = Link(ice)
        self._dtls: set[RTCDtlsTransport] = set()
        self._connecting: set[asyncio.Task[Any]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(
            connect_deadline_s, self._deadline_passed
        )
        self.on("connectionstatechange", self._state_changed)

    # --- hooks: aiortc's private methods, called by aiortc ---------------------

    def _RTCPeerConnection__createDtlsTransport(self) -> RTCDtlsTransport:  # noqa: N802
        create = super()._RTCPeerConnection__createDtlsTransport  # type: ignore[misc]
        transport: RTCDtlsTransport = create()
        scope(transport.transport.iceGatherer._connection, self.link)
        transport.__class__ = _GuardedDtls
        assert isinstance(transport, _GuardedDtls)
        transport.link = self.link
        transport.errors = 0
        transport._rtp_router.__class__ = _FirRouter
        self._dtls.add(transport)
        return transport

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802
        task = asyncio.current_task()
        assert task is not None
        self._connecting.add(task)
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - a peer's description led here
            logger.warning("peer.connect_failed", error=type(error).__name__)
            self._begin_close()
        finally:
            self._connecting.discard(task)

    # --- closing ---------------------------------------------------------------

    async def close(self) -> None:
        """Close in bounded time, however far the set-up has come; may be called again."""
        await asyncio.shield(self._begin_close())

    def _begin_close(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._deadline.cancel()
            self._closing = asyncio.get_running_loop().create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                if self._connecting:
                    for dtls in self._dtls:
                        await dtls.transport.stop()
                    await self._await_connecting()
                await super().close()
        except TimeoutError:
            logger.warning("peer.close_timed_out")
        except Exception as error:  # noqa: BLE001 - a description applied by half led here
            logger.info("peer.close_failed", error=type(error).__name__)
            await self._close_pieces()
        await self._cancel_consent()
        self.link.media_sink = None

    async def _close_pieces(self) -> None:
        """What aiortc's own close leaves, when it stumbles over a part that was never made."""
        pieces = [
            *(transceiver.stop() for transceiver in self.getTransceivers()),
            *(dtls.stop() for dtls in self._dtls),
            *(dtls.transport.stop() for dtls in self._dtls),
        ]
        for piece in pieces:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(SETUP_GRACE_S):
                    await piece

    async def _await_connecting(self) -> None:
        pending = self._connecting - {asyncio.current_task()}
        if not pending:
            return
        _, late = await asyncio.wait(pending, timeout=SETUP_GRACE_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=SETUP_GRACE_S)

    async def _cancel_consent(self) -> None:
        """aioice starts consent checks when connecting ends, even if it was closed meanwhile."""
        for dtls in self._dtls:
            task = dtls.transport._connection._query_consent_task
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _deadline_passed(self) -> None:
        if self.connectionState != "connected":
            logger.info("peer.connect_deadline", state=self.connectionState)
            self._begin_close()

    def _state_changed(self) -> None:
        if self.connectionState == "connected":
            self._deadline.cancel()
        elif self.connectionState == "failed":
            states = sorted(dtls.state for dtls in self._dtls)
            logger.warning("peer.failed", dtls=states, strangers=self.link.strangers)


class _GuardedDtls(RTCDtlsTransport):
    """A transport whose receive loop survives whatever a peer's datagram makes aiortc raise."""

    link: Link
    errors: int

    async def _recv_next(self) -> None:
        try:
            await super()._recv_next()
        except ConnectionError:
            raise
        except Exception as error:
            self.errors += 1
            logger.debug("peer.datagram_refused", error=type(error).__name__)
            if self.errors >= MAX_CONSECUTIVE_ERRORS:
                raise ConnectionError("too many malformed datagrams") from error
        else:
            self.errors = 0

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self.link.heard()
        await super()._handle_rtcp_data(data)


class _FirRouter(RtpRouter):
    """Routes full intra requests, whose media SSRC is zero and real one inside (RFC 5104)."""

    def route_rtcp(self, packet: AnyRtcpPacket) -> Any:
        recipients = super().route_rtcp(packet)
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_FIR:
            for i in range(0, len(packet.fci) - 7, 8):
                sender = self.senders.get(int.from_bytes(packet.fci[i : i + 4], "big"))
                if sender is not None:
                    recipients.add(sender)
        return recipients


def new_peer_connection(
    ice: IceSettings, *, connect_deadline_s: float = 15.0, offers: bool = False
) -> Peer:
    """A peer connection that closes itself if it is not connected by the deadline.

    ``offers``: this side makes the offer, all of it over one transport. Only
    configured ICE servers are contacted, and none by default. Must be called in
    a running event loop; the caller owns it and awaits ``close_peer``.
    """
    return Peer(ice, connect_deadline_s, offers)


async def close_peer(pc: RTCPeerConnection) -> None:
    """Close a peer connection within about five seconds; idempotent."""
    await pc.close()


def link_of(pc: RTCPeerConnection) -> Link:
    """The link of a connection made by ``new_peer_connection``."""
    if not isinstance(pc, Peer):
        raise TypeError("not made by new_peer_connection")
    return pc.link
