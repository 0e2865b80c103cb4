"""What is private in aiortc and aioice and used here: fails loudly when an upgrade moves it."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import aioice
import aioice.ice
import aiortc.codecs.h264
import aiortc.codecs.vpx
import aiortc.rtcrtpparameters
import aiortc.rtcrtptransceiver
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, rtp
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpRouter


def test_the_versions_are_those_whose_private_parts_are_used() -> None:
    assert version("aiortc").startswith("1.16.")
    assert version("aioice").startswith("0.13.")


METHODS: list[tuple[Any, str, list[str], bool]] = [
    # owner, name, parameters, is a coroutine
    (RTCPeerConnection, "_RTCPeerConnection__createDtlsTransport", ["self"], False),
    (RTCPeerConnection, "_RTCPeerConnection__connect", ["self"], True),
    (RTCPeerConnection, "close", ["self"], True),
    (RTCRtpSender, "send", ["self", "parameters"], True),
    (RTCRtpSender, "stop", ["self"], True),
    (RTCRtpReceiver, "receive", ["self", "parameters"], True),
    (RTCRtpReceiver, "stop", ["self"], True),
    (RTCDtlsTransport, "_recv_next", ["self"], True),
    (RTCDtlsTransport, "_handle_rtcp_data", ["self", "data"], True),
    (RTCDtlsTransport, "_send_rtp", ["self", "data"], True),
    (RTCDtlsTransport, "_register_rtp_sender", ["self", "sender", "parameters"], False),
    (RTCDtlsTransport, "_unregister_rtp_sender", ["self", "sender"], False),
    (RTCDtlsTransport, "_register_rtp_receiver", ["self", "receiver", "parameters"], False),
    (RTCDtlsTransport, "_unregister_rtp_receiver", ["self", "receiver"], False),
    (RtpRouter, "route_rtcp", ["self", "packet"], False),
    (rtp, "pack_header_extensions", ["extensions"], False),
    (rtp, "unpack_remb_fci", ["data"], False),
    (aiortc.codecs.h264.H264Encoder, "_packetize", ["packages"], False),
    (aiortc.codecs.h264.H264Encoder, "_split_bitstream", ["buf"], False),
    (aiortc.codecs.vpx.Vp8Encoder, "_packetize", ["buffer", "picture_id"], False),
    (
        aioice.Connection,
        "get_component_candidates",
        ["self", "component", "addresses", "timeout"],
        True,
    ),
    (aioice.Connection, "add_remote_candidate", ["self", "remote_candidate"], True),
    (aioice.Connection, "check_incoming", ["self", "message", "addr", "protocol"], False),
    (aioice.Connection, "build_request", ["self", "pair", "nominate"], False),
    (aioice.Connection, "data_received", ["self", "data", "component"], False),
    (aioice.ice, "server_reflexive_candidate", ["protocol", "stun_server"], True),
    (aioice.ice.StunProtocol, "__init__", ["self", "receiver"], False),
    (aioice.ice.StunProtocol, "datagram_received", ["self", "data", "addr"], False),
    (aioice.ice.StunProtocol, "send_data", ["self", "data", "addr"], True),
    (aioice.ice.StunProtocol, "send_stun", ["self", "message", "addr"], False),
    (
        aioice.ice.StunProtocol,
        "request",
        ["self", "request", "addr", "integrity_key", "retransmissions"],
        True,
    ),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters", "coroutine"),
    METHODS,
    ids=[f"{getattr(o, '__name__', o)}.{n}" for o, n, _, _ in METHODS],
)
def test_a_method_that_is_overridden_or_called_has_the_signature_expected(
    owner: Any, name: str, parameters: list[str], coroutine: bool
) -> None:
    method = getattr(owner, name)
    assert list(inspect.signature(method).parameters) == parameters
    assert inspect.iscoroutinefunction(method) is coroutine


async def test_the_attributes_that_are_read_exist_on_fresh_objects() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = pc.addTransceiver("video", direction="sendonly")
    for name in ("_codecs", "_headerExtensions", "_offerDirection"):
        assert hasattr(transceiver, name)
    for name in ("_ssrc", "_rtx_ssrc"):
        assert isinstance(getattr(transceiver.sender, name), int)
    dtls = transceiver.sender.transport
    assert dtls is transceiver.receiver.transport
    for name in ("_rx_srtp", "_tx_srtp", "_rtp_router"):
        assert hasattr(dtls, name)
    connection = dtls.transport.iceGatherer._connection
    assert connection is dtls.transport._connection
    assert type(connection) is aioice.Connection
    for name, kind in {
        "_nominated": dict,
        "_protocols": list,
        "_remote_candidates": list,
        "_closing": bool,
        "_query_consent_task": type(None),
        "stun_server": type(None),
        "remote_password": type(None),
    }.items():
        assert isinstance(getattr(connection, name), kind), name
    await pc.close()


def test_the_calls_by_which_aiortc_reaches_the_overrides_are_still_made() -> None:
    """The overrides work only because aiortc looks these names up on the instance."""
    for owner, name, call in (
        (RTCPeerConnection, "_RTCPeerConnection__createTransceiver", "self.__createDtlsTransport("),
        (RTCPeerConnection, "setLocalDescription", "self.__connect()"),
        (RTCPeerConnection, "setRemoteDescription", "self.__connect()"),
        (RTCPeerConnection, "_RTCPeerConnection__connect", "transceiver.sender.send("),
        (RTCPeerConnection, "_RTCPeerConnection__connect", "transceiver.receiver.receive("),
        (aiortc.rtcrtptransceiver.RTCRtpTransceiver, "stop", "self.__receiver.stop()"),
        (aiortc.rtcrtptransceiver.RTCRtpTransceiver, "stop", "self.__sender.stop()"),
        (RTCDtlsTransport, "_RTCDtlsTransport__run", "self._recv_next()"),
        (RTCDtlsTransport, "_recv_next", "self._handle_rtcp_data("),
        (aioice.Connection, "gather_candidates", "self.get_component_candidates("),
        (aioice.Connection, "request_received", "self.check_incoming("),
        (aioice.Connection, "sendto", "active_pair.protocol.send_data("),
    ):
        assert call in inspect.getsource(getattr(owner, name)), f"{owner.__name__}.{name}"


def test_a_candidate_keeps_the_address_to_reach_it_apart_from_the_one_it_shows() -> None:
    candidate = aioice.Candidate("f", 1, "udp", 1, "203.0.113.9", 5000, "host")
    assert candidate._network_host == "203.0.113.9"
    candidate._network_host = "127.0.0.1"
    local = aioice.Candidate("f", 1, "udp", 1, "127.0.0.1", 5001, "host")
    assert candidate.can_pair_with(local)
    assert candidate.host == "203.0.113.9"
