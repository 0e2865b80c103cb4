"""The order of offers, answers and candidates of one session. Pure: no I/O, no clock.

A WebRTC peer may trickle candidates before its description has arrived, and a
client sends its offer before it knows that there will be a worker. Nothing of
that may be lost, reordered, or kept without bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from system.protocol import limits
from system.protocol.errors import BadDescription, ErrorCode, ProtocolError
from system.protocol.messages import Answer, IceCandidate, Offer

Part = Offer | Answer | IceCandidate

_MAX_AHEAD: Final = 4
"""Negotiations, besides the current one, whose candidates may wait for their description."""


class TooMany(ProtocolError):
    """More candidates, or more waiting messages, than anybody needs."""

    code = ErrorCode.TOO_MANY


def check_description(message: Offer | Answer, expected: str) -> None:
    """Refuse a description that would cost the peer too much to parse.

    The length is bounded by the codec. Raises BadDescription.
    """
    sdp = message.sdp
    if sdp.type != expected:
        raise BadDescription(f"the sdp of this message must be of type {expected}")
    lines = "\n" + sdp.sdp
    if lines.count("\nm=") > limits.MAX_SDP_MEDIA_SECTIONS:
        raise BadDescription(f"more than {limits.MAX_SDP_MEDIA_SECTIONS} media sections")
    if lines.count("\na=candidate:") > limits.MAX_CANDIDATES:
        raise BadDescription(f"more than {limits.MAX_CANDIDATES} candidates")


@dataclass
class Direction:
    """One direction of a session's negotiation, from one peer towards the other.

    Gives back, for each message that comes in, those that may go out now, in
    order: a description first, then its candidates; nothing while ``closed``
    (no worker yet); nothing of a negotiation older than the current one. A
    second description of the same negotiation takes the place of the first.
    """

    closed: bool = False
    current: int = 1
    described: bool = False
    """The current description has passed; so it is for a session that was resumed."""
    _candidates: int = 0
    _waiting: list[Part] = field(default_factory=list)
    _early: dict[int, list[IceCandidate]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Messages that are held back."""
        return len(self._waiting) + sum(map(len, self._early.values()))

    def accept(self, message: Part) -> list[Part]:
        """What may go out now that ``message`` has come in.

        Raises:
            TooMany: it would exceed a bound; it is dropped.
        """
        if message.negotiation < self.current:
            return []
        if isinstance(message, IceCandidate):
            return self._candidate(message)
        if message.negotiation > self.current:
            self.advance(message.negotiation)
        if self.closed and isinstance(message, Answer):
            return []
        early = self._early.pop(message.negotiation, [])
        self.described = True
        self._candidates = len(early)
        if self.closed:
            self._waiting = [message, *early]
            return []
        return [message, *early]

    def advance(self, negotiation: int) -> None:
        """From now on ``negotiation`` is the current one; what is older is dropped."""
        if negotiation <= self.current:
            return
        self.current = negotiation
        self.described = False
        self._waiting.clear()
        self._early = {n: held for n, held in self._early.items() if n >= negotiation}
        self._candidates = len(self._early.get(negotiation, ()))

    def close(self, negotiation: int) -> None:
        """There is no receiver any more; the next one is offered ``negotiation``, a later one."""
        self.advance(negotiation)
        self.closed = True

    def open(self) -> list[Part]:
        """The receiver is there: what has waited for it, in order."""
        self.closed = False
        waiting, self._waiting = self._waiting, []
        return waiting

    def _candidate(self, message: IceCandidate) -> list[Part]:
        if self.waiting >= limits.MAX_BUFFERED_MESSAGES:
            raise TooMany("too many messages wait for the other side")
        if message.negotiation == self.current:
            if self._candidates >= limits.MAX_CANDIDATES:
                raise TooMany(f"more than {limits.MAX_CANDIDATES} candidates")
            self._candidates += 1
            if self.described:
                if self.closed:
                    self._waiting.append(message)
                    return []
                return [message]
        elif message.negotiation not in self._early and len(self._early) > _MAX_AHEAD:
            raise TooMany("candidates of too many negotiations")
        self._early.setdefault(message.negotiation, []).append(message)
        return []
