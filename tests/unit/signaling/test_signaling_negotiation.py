"""The order of offers, answers and candidates, whatever order they come in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from system.protocol import limits
from system.protocol.errors import BadDescription
from system.protocol.fields import Candidate, Description
from system.protocol.messages import Answer, IceCandidate, Offer
from system.signaling.negotiation import Direction, TooMany, check_description


def offer(negotiation: int = 1, text: str = "v=0") -> Offer:
    return Offer(sdp=Description(type="offer", sdp=text), negotiation=negotiation)


def candidate(n: int, negotiation: int = 1) -> IceCandidate:
    return IceCandidate(candidate=Candidate(candidate=f"c{n}"), negotiation=negotiation)


def test_an_open_direction_passes_a_description_and_then_its_candidates() -> None:
    direction = Direction()
    assert direction.accept(offer()) == [offer()]
    assert direction.accept(candidate(1)) == [candidate(1)]


def test_candidates_wait_for_their_description() -> None:
    direction = Direction()
    assert direction.accept(candidate(1)) == []
    assert direction.accept(candidate(2)) == []
    assert direction.accept(offer()) == [offer(), candidate(1), candidate(2)]
    assert direction.waiting == 0


def test_a_closed_direction_keeps_everything_in_order_until_it_opens() -> None:
    direction = Direction(closed=True)
    for part in (candidate(1), offer(), candidate(2)):
        assert direction.accept(part) == []
    assert direction.open() == [offer(), candidate(1), candidate(2)]
    assert direction.accept(candidate(3)) == [candidate(3)]


def test_a_second_offer_replaces_a_waiting_one() -> None:
    direction = Direction(closed=True)
    direction.accept(offer(text="first"))
    direction.accept(candidate(1))
    direction.accept(offer(text="second"))
    assert direction.open() == [offer(text="second")]


def test_an_answer_has_nothing_to_wait_for() -> None:
    direction = Direction(closed=True)
    direction.accept(Answer(sdp=Description(type="answer", sdp="")))
    assert direction.open() == []


def test_what_belongs_to_an_earlier_negotiation_is_dropped() -> None:
    direction = Direction(closed=True)
    direction.accept(offer(1))
    direction.accept(candidate(1, 1))
    direction.accept(offer(2))
    assert direction.accept(candidate(2, 1)) == []
    assert direction.accept(offer(1)) == []
    assert direction.open() == [offer(2)]


def test_candidates_of_the_next_negotiation_wait_for_its_offer() -> None:
    direction = Direction()
    direction.accept(offer(1))
    assert direction.accept(candidate(1, 2)) == []
    assert direction.accept(candidate(2, 1)) == [candidate(2, 1)]
    assert direction.accept(offer(2)) == [offer(2), candidate(1, 2)]


def test_a_direction_told_of_a_newer_negotiation_drops_answers_to_older_ones() -> None:
    direction = Direction()
    direction.advance(3)
    assert direction.accept(Answer(sdp=Description(type="answer", sdp=""), negotiation=2)) == []
    direction.advance(1)
    assert direction.current == 3


def test_a_resumed_session_trickles_on_without_a_new_description() -> None:
    assert Direction(current=2, described=True).accept(candidate(1, 2)) == [candidate(1, 2)]


def test_candidates_are_bounded_per_negotiation() -> None:
    direction = Direction()
    direction.accept(offer())
    for n in range(limits.MAX_CANDIDATES):
        direction.accept(candidate(n))
    with pytest.raises(TooMany):
        direction.accept(candidate(999))
    assert direction.accept(offer(2)) == [offer(2)]
    assert direction.accept(candidate(1, 2)) == [candidate(1, 2)]


def test_what_waits_is_bounded_however_it_is_spread() -> None:
    direction = Direction(closed=True)
    refused = 0
    for n in range(1, 1000):
        try:
            direction.accept(candidate(n, negotiation=n))
        except TooMany:
            refused += 1
    assert direction.waiting <= limits.MAX_BUFFERED_MESSAGES
    assert refused > 900


parts = st.one_of(
    st.builds(offer, st.integers(1, 4)),
    st.builds(candidate, st.integers(0, 9), st.integers(1, 4)),
)


@settings(deadline=None)
@given(st.lists(parts, max_size=60), st.integers(0, 60))
def test_no_candidate_ever_overtakes_or_outlives_its_offer(
    sent: list[Offer | IceCandidate], opens_after: int
) -> None:
    direction = Direction(closed=True)
    out = []
    for at, part in enumerate(sent):
        if at == opens_after:
            out += direction.open()
        out += direction.accept(part)
    if direction.closed:
        out += direction.open()
    described: set[int] = set()
    newest = 0
    for part in out:
        assert part.negotiation >= newest
        newest = part.negotiation
        if isinstance(part, Offer):
            described.add(part.negotiation)
        else:
            assert part.negotiation in described
    offered = [p.negotiation for p in sent if isinstance(p, Offer)]
    if offered:
        assert max(offered) in described, "the newest offer always arrives"


@pytest.mark.parametrize(
    "text",
    [
        "m=video 9\n" * (limits.MAX_SDP_MEDIA_SECTIONS + 1),
        "v=0\n" + "a=candidate:1\n" * (limits.MAX_CANDIDATES + 1),
    ],
)
def test_a_description_beyond_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadDescription):
        check_description(offer(text=text), "offer")


def test_a_description_must_be_what_its_message_says() -> None:
    with pytest.raises(BadDescription):
        check_description(Offer(sdp=Description(type="answer", sdp="v=0")), "offer")
    check_description(offer(text="v=0\nm=video 9\n" * limits.MAX_SDP_MEDIA_SECTIONS), "offer")
