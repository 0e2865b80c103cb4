"""Owns the order of offers and candidates of one session, and the connection they lead to."""

from __future__ import annotations

import time
from dataclasses import dataclass

from system.media.rtc.ice import IceSettings
from system.protocol.errors import BadCandidate
from system.protocol.fields import Description
from system.protocol.limits import MAX_CANDIDATES
from system.protocol.messages import IceCandidate, Offer
from system.telemetry import logs
from system.worker.connection import Connection, Hooks
from system.worker.tally import Tally

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """An answered offer: the connection it made, and the one that it takes over from."""

    answer: Description
    connection: Connection
    previous: Connection | None


class Negotiator:
    """A later negotiation replaces the connection; of an earlier one everything is dropped.

    The previous connection goes on until an offer has been answered: a bad
    offer costs nothing.
    """

    def __init__(
        self,
        *,
        session_id: str,
        first: int,
        ice: IceSettings,
        connect_deadline_s: float,
        prefer: tuple[str, ...],
        hooks: Hooks,
        tally: Tally,
    ) -> None:
        self._session_id = session_id
        self._first = first
        self._ice = ice
        self._connect_deadline_s = connect_deadline_s
        self._prefer = prefer
        self._hooks = hooks
        self._tally = tally
        self._early: list[IceCandidate] = []
        self.connection: Connection | None = None

    async def offered(self, offer: Offer) -> Negotiated | None:
        """Answer an offer; None for a stale one. Raises BadDescription."""
        previous = self.connection
        oldest = self._first if previous is None else previous.negotiation + 1
        if offer.negotiation < oldest:
            _log.info("offer.stale", session=self._session_id, negotiation=offer.negotiation)
            return None
        started = time.monotonic()
        connection = Connection(
            self._ice,
            negotiation=offer.negotiation,
            connect_deadline_s=self._connect_deadline_s,
            prefer=self._prefer,
            hooks=self._hooks,
            tally=self._tally,
        )
        try:
            answer = await connection.answer(offer.sdp)
        except BaseException:
            await connection.close()
            raise
        self.connection = connection
        _log.info(
            "offer.answered",
            session=self._session_id,
            negotiation=offer.negotiation,
            codec=connection.sender.codec,
            seconds=round(time.monotonic() - started, 4),
        )
        return Negotiated(answer, connection, previous)

    async def trickled(self, message: IceCandidate) -> None:
        """A candidate; one that comes before its description waits. Raises BadCandidate."""
        connection = self.connection
        if connection is None or message.negotiation > connection.negotiation:
            if len(self._early) >= MAX_CANDIDATES:
                raise BadCandidate("too many candidates before their offer")
            self._early.append(message)
        elif message.negotiation == connection.negotiation:
            await connection.add_candidate(message.candidate)

    async def catch_up(self) -> None:
        """Use the candidates that waited for the current description. Raises BadCandidate."""
        early, self._early = self._early, []
        for message in early:
            await self.trickled(message)

    async def close(self) -> None:
        if self.connection is not None:
            await self.connection.close()
