"""Session descriptions and candidates from a peer: a value, or one documented error.

aiortc raises half a dozen exception types on malformed input and parses in
quadratic time, so limits are checked on the text before it sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiortc import RTCIceCandidate, RTCSessionDescription
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters
from aiortc.sdp import SessionDescription, candidate_from_sdp

from system.protocol.errors import BadCandidate, BadDescription
from system.protocol.limits import (
    MAX_CANDIDATE_CHARS,
    MAX_CANDIDATES,
    MAX_SDP_BYTES,
    MAX_SDP_MEDIA_SECTIONS,
)

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
"""Lets a sender ask for frames to be shown at once, not smoothed; Chromium obeys."""

_CANDIDATE_TYPES = frozenset({"host", "srflx", "prflx", "relay"})


# The parsers below belong to aiortc and see a peer's bytes: whatever they raise
# means that the input is bad, so the broad catches are the boundary.


def parse_description(sdp: str, type_: str) -> RTCSessionDescription:
    """A peer's description, within limits and well-formed; raises BadDescription."""
    if type_ not in ("offer", "answer"):
        raise BadDescription("description is neither an offer nor an answer")
    if not isinstance(sdp, str) or len(sdp) > MAX_SDP_BYTES:
        raise BadDescription(f"description exceeds {MAX_SDP_BYTES} bytes")
    if sdp.count("\nm=") > MAX_SDP_MEDIA_SECTIONS:
        raise BadDescription(f"description has more than {MAX_SDP_MEDIA_SECTIONS} media sections")
    if sdp.count("a=candidate:") > MAX_CANDIDATES:
        raise BadDescription(f"description has more than {MAX_CANDIDATES} candidates")
    try:
        parsed = SessionDescription.parse(sdp)
        str(parsed)
    except Exception:  # noqa: BLE001
        raise BadDescription("description is not valid SDP") from None
    if not parsed.media:
        raise BadDescription("description has no media section")
    for media in parsed.media:
        if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
            raise BadDescription("description has no ICE credentials")
        if media.dtls is None or not media.dtls.fingerprints:
            raise BadDescription("description has no DTLS fingerprint")
    return RTCSessionDescription(sdp=sdp, type=type_)


def parse_candidate(init: Mapping[str, Any] | None) -> RTCIceCandidate | None:
    """A peer's RTCIceCandidateInit; None ends the candidates; raises BadCandidate.

    Whether the address may be used is decided by the connection, not here.
    """
    if init is None:
        return None
    text = init.get("candidate")
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > MAX_CANDIDATE_CHARS:
        raise BadCandidate(f"candidate is not a string of at most {MAX_CANDIDATE_CHARS} characters")
    try:
        candidate = candidate_from_sdp(text.removeprefix("a=").removeprefix("candidate:"))
    except Exception:  # noqa: BLE001
        raise BadCandidate("candidate is malformed") from None
    if (
        not 1 <= candidate.component <= 256
        or not 0 <= candidate.port <= 65535
        or not 0 <= candidate.priority < 1 << 32
        or candidate.type not in _CANDIDATE_TYPES
    ):
        raise BadCandidate("candidate has a value out of range")
    mid, index = init.get("sdpMid"), init.get("sdpMLineIndex")
    if not isinstance(mid, str | None) or not isinstance(index, int | None):
        raise BadCandidate("candidate has a bad sdpMid or sdpMLineIndex")
    if mid is None and index is None:
        raise BadCandidate("candidate names no media section")
    candidate.sdpMid = mid
    candidate.sdpMLineIndex = index
    return candidate


def without_abs_send_time(sdp: str) -> str:
    """The description without the send-time extension, so that no REMB is computed from it."""
    lines = sdp.split("\r\n")
    return "\r\n".join(
        line for line in lines if not (line.startswith("a=extmap:") and ABS_SEND_TIME in line)
    )


def offered_extension(sdp: str, mid: str, uri: str) -> RTCRtpHeaderExtensionParameters | None:
    """A header extension that a (parsed before) description offers for a media section."""
    for media in SessionDescription.parse(sdp).media:
        if media.rtp.muxId == mid:
            for extension in media.rtp.headerExtensions:
                if extension.uri == uri:
                    return extension
    return None
