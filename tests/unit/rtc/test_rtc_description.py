"""Whatever a peer sends is a value or one documented error."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.media.rtc.description import (
    parse_candidate,
    parse_description,
    without_abs_send_time,
)
from system.protocol.errors import BadCandidate, BadDescription
from system.protocol.limits import MAX_CANDIDATES, MAX_SDP_BYTES

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=msid-semantic:WMS *",
        "m=video 9 UDP/TLS/RTP/SAVPF 97 98",
        "c=IN IP4 0.0.0.0",
        "a=recvonly",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=mid:0",
        "a=rtcp-mux",
        "a=rtpmap:97 H264/90000",
        "a=rtcp-fb:97 nack pli",
        "a=fmtp:97 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtpmap:98 rtx/90000",
        "a=fmtp:98 apt=97",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=sctp-port:5000",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "",
    ]
)


def test_a_good_offer_passes_unchanged() -> None:
    description = parse_description(OFFER, "offer")
    assert (description.sdp, description.type) == (OFFER, "offer")


@pytest.mark.parametrize(
    ("sdp", "type_"),
    [
        (OFFER, "rollback"),
        (OFFER, "pranswer"),
        ("", "offer"),
        ("v=0\r\n", "offer"),
        ("garbage", "offer"),
        (OFFER.replace("a=ice-ufrag:abcd\r\n", ""), "offer"),
        (OFFER.replace("a=setup:actpass", "a=setup:nonsense"), "offer"),
        ("\r\n".join(li for li in OFFER.split("\r\n") if "fingerprint" not in li), "offer"),
        (OFFER.replace("H264/90000", "H264/none"), "offer"),
        (OFFER.replace("97 98", "97 72"), "offer"),
        (OFFER + "x" * MAX_SDP_BYTES, "offer"),
        (OFFER + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n" * 8, "offer"),
        (
            OFFER + "a=candidate:1 1 udp 1 127.0.0.1 1 typ host\r\n" * (MAX_CANDIDATES + 1),
            "offer",
        ),
    ],
)
def test_a_bad_description_raises_the_protocol_error(sdp: str, type_: str) -> None:
    with pytest.raises(BadDescription):
        parse_description(sdp, type_)


def test_the_error_does_not_repeat_what_the_peer_sent() -> None:
    with pytest.raises(BadDescription) as error:
        parse_description(OFFER.replace("H264/90000", "H264/<b>injected"), "offer")
    assert "injected" not in str(error.value)


def test_two_thousand_mutations_give_a_description_or_the_protocol_error() -> None:
    seed = 20
    rng = random.Random(seed)
    refused = 0
    for i in range(2000):
        text = list(OFFER)
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(text))
            action = rng.randrange(4)
            if action == 0:
                del text[at : at + rng.randint(1, 40)]
            elif action == 1:
                text.insert(at, rng.choice("\r\n:=/ 0aA9\x00\ud800é,;"))
            elif action == 2:
                text[at] = chr(rng.randrange(1, 300))
            else:
                text[at:at] = text[max(0, at - 50) : at]
        try:
            parse_description("".join(text), "offer")
        except BadDescription:
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, mutation {i}") from error
    assert 100 < refused < 2000


@given(st.text(max_size=300))
def test_any_text_is_refused_as_a_description(text: str) -> None:
    with pytest.raises(BadDescription):
        parse_description(text, "offer")


def candidate_init(text: object = None, **fields: object) -> dict[str, Any]:
    good = "candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host generation 0 ufrag abcd"
    return {"candidate": good if text is None else text, "sdpMid": "0", "sdpMLineIndex": 0} | fields


def test_a_good_candidate_is_parsed() -> None:
    candidate = parse_candidate(candidate_init())
    assert candidate is not None
    assert (candidate.ip, candidate.port, candidate.sdpMid) == ("127.0.0.1", 40000, "0")


@pytest.mark.parametrize("init", [None, {}, {"candidate": ""}, {"candidate": None}])
def test_nothing_ends_the_candidates(init: dict[str, Any] | None) -> None:
    assert parse_candidate(init) is None


@pytest.mark.parametrize(
    "init",
    [
        candidate_init("candidate:1 1 udp"),
        candidate_init("candidate:1 x udp 1 127.0.0.1 40000 typ host"),
        candidate_init("candidate:1 1 udp 1 127.0.0.1 99999 typ host"),
        candidate_init("candidate:1 1 udp 1 127.0.0.1 -1 typ host"),
        candidate_init("candidate:1 1 udp 99999999999 127.0.0.1 1 typ host"),
        candidate_init("candidate:1 0 udp 1 127.0.0.1 1 typ host"),
        candidate_init("candidate:1 1 udp 1 127.0.0.1 1 typ strange"),
        candidate_init("candidate:1 1 udp 1 127.0.0.1 1 typ host raddr 1.2.3.4 rport x"),
        candidate_init("x" * 600),
        candidate_init(5),
        candidate_init(sdpMid=None, sdpMLineIndex=None),
        candidate_init(sdpMid=7),
        candidate_init(sdpMLineIndex="0"),
    ],
)
def test_a_bad_candidate_raises_the_protocol_error(init: dict[str, Any]) -> None:
    with pytest.raises(BadCandidate):
        parse_candidate(init)


@given(st.text(max_size=120))
def test_any_text_is_no_candidate_or_a_documented_error(text: str) -> None:
    try:
        parse_candidate(candidate_init(text))
    except BadCandidate:
        return
    assert text == ""


def test_only_the_send_time_extension_is_taken_out() -> None:
    stripped = without_abs_send_time(OFFER)
    assert "abs-send-time" not in stripped
    assert set(OFFER.split("\r\n")) - set(stripped.split("\r\n")) == {
        "a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    }
    parse_description(stripped, "offer")
