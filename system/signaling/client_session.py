"""One attached client, from its first message to its clean-up.

Everything that must survive this object is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from system.protocol import messages as m
from system.protocol.errors import CloseCode, ErrorCode
from system.protocol.states import Session, SessionState
from system.protocol.tokens import digest
from system.signaling import departure
from system.signaling.client_placement import ClientPlacement
from system.signaling.negotiation import Direction
from system.signaling.placement import NOWHERE, Placement
from system.signaling.sessions import ForClient
from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)


class ClientSession(ClientPlacement):
    """A client on this node, from its first message to its clean-up."""

    _missing_since: float | None = None

    async def run(self, *, resume_token: str, resumes: bool, may_join: bool = True) -> None:
        """Serve the client until it is gone, then tidy up.

        Args:
            resume_token: from a subprotocol; empty where there is none.
            resumes: the first message is a ``resume``: ask for no worker before it.
            may_join: its join token is good; without one it can only resume.
        """
        connection = self._connection
        try:
            if resume_token:
                await self._resume(resume_token)
            elif resumes:
                async with asyncio.timeout(self._node.config.bounds.first_message_s):
                    await self._take(await connection.receive())
            if self._placement is None and not may_join:
                connection.send_error(ErrorCode.UNAUTHORIZED, "the token is not valid here")
                connection.close(CloseCode.UNAUTHORIZED, "unauthorized")
            if self._placement is None and not connection.ended:
                self._establishing = asyncio.create_task(self._establish(self._get_worker))
            while (message := await connection.receive()) is not None:
                await self._take(message)
        except TimeoutError:
            connection.close(CloseCode.POLICY, "no_resume_in_time")
        finally:
            await self._stop_establishing()
            await connection.finish()
            self._tidy()

    async def _take(self, message: m.FromClient | None) -> None:
        match message:
            case m.ClientOffer():
                if message.moves and not self._moves:
                    await self._can_move()
                await self._up_to_worker(message.offer())
            case m.Answer() | m.IceCandidate():
                await self._up_to_worker(message)
            case m.Ping():
                self._connection.send(m.Pong(time=message.time))
            case m.Resume():
                await self._resume(message.resume_token)
            case m.Bye():
                self._leaving = "bye"
                self._connection.send(m.SessionEnded(session_id=self.session_id, reason="bye"))
                self._connection.close(CloseCode.NORMAL, "bye")
            case _:
                pass

    # --- resuming --------------------------------------------------------------

    async def _resume(self, token: str) -> None:
        """Take an earlier session over; refused, the client goes on as a new one."""
        node = self._node
        try:
            found = await node.ledger.resume(token, self._user_id, node.name)
        except StoreUnavailable:
            self._error(ErrorCode.UNAVAILABLE)
            return
        if found is None:
            node.metrics.sessions.labels("resume_refused").inc()
            self._error(ErrorCode.RESUME_REFUSED)
            return
        session = found.session
        await self._stop_establishing()
        self._tidy()
        placement = Placement.of(session)
        self._resume_digest = digest(found.token)
        self._moves = session.moves
        self._moving = False
        self._begun = True
        self._active.set()
        self._adopt(placement)
        self._up = Direction(current=session.negotiation, described=True)
        self._down = Direction(current=session.negotiation, described=True)
        node.metrics.sessions.labels("resumed").inc()
        log.info("session.resumed", session_id=session.session_id)
        self._connection.send(
            m.SessionResumed(
                session_id=session.session_id,
                worker_id=placement.worker_id,
                resume_token=found.token,
                ice_servers=node.ice_servers(self._user_id),
            )
        )
        if placement.fence != NOWHERE:
            connected = m.ClientConnected(session_id=session.session_id, fence=placement.fence)
            await node.relay.to_worker(placement.worker_id, connected)
            return
        if (had := Placement.of(found.before)).fence != NOWHERE:
            await departure.drop(node, had, "moved")
        self._move()

    # --- from the worker, or about it ------------------------------------------

    def deliver(self, message: ForClient) -> None:
        """Take a message about the session; what is not this placement's is ignored."""
        placement = self._placement
        if placement is None or self._over:
            return
        match message:
            case m.SessionConfirmed() | m.SessionRefused() if message.fence == placement.fence:
                self._judge(isinstance(message, m.SessionConfirmed))
            case m.SessionActive() if message.fence == placement.fence:
                if not self._begun:
                    self._node.metrics.sessions.labels("active").inc()
                self._begun = True
                self._active.set()
            case m.Offer() | m.Answer() | m.IceCandidate():
                self._down_to_client(message)
            case m.Error():
                if not self._undecided:
                    self._error(message.code)
            case m.SessionMoved():
                self._errand("look", self._look)
            case m.SessionEnded() if message.fence in (None, placement.fence):
                if self._undecided:
                    self._judge(False)
                else:
                    self.end(message.reason)

    # --- what the store says ---------------------------------------------------

    async def _look(self) -> None:
        if (session_id := self.session_id) is not None:
            session = await self._node.ledger.get_session(session_id)
            if session is not None:
                await self.review(session, 0.0, 0.0)

    async def review(self, session: Session | None, now: float, patience_s: float) -> None:
        """Compare with the session's record, read just now: it may have ended or moved.

        A record that is missing may come back (a store that lost its data is
        rebuilt from what workers report), so it is given ``patience_s``.
        """
        placement = self._placement
        if placement is None or self._over or self._placing is not None:
            return
        if session is None:
            if self._undecided:
                return
            self._missing_since = self._missing_since or now
            if now - self._missing_since > patience_s:
                self.end("lost")
            return
        self._missing_since = None
        elsewhere = session.node not in ("", self._node.name)
        if session.state is SessionState.ENDED:
            self._lost(session.reason)
        elif elsewhere:
            self.supersede()
        elif session.fence != placement.fence:
            if session.movable and not self._undecided:
                self._move()
            else:
                self._lost(session.reason)
        elif (session.state is SessionState.ACTIVE and not session.node) or (
            self._moves and not session.moves
        ):
            await self._node.ledger.attach_client(
                placement.session_id, self._node.name, self._resume_digest, moves=self._moves
            )

    def _lost(self, reason: str) -> None:
        """It is not the worker's any more, who may not even have confirmed it."""
        if self._undecided:
            self._judge(False)
        else:
            self.end(reason)

    # --- the end ---------------------------------------------------------------

    def _tidy(self) -> None:
        """Give up what the client held: at once, or, if it may come back, for later."""
        node = self._node
        reason = self._leaving or "client_left"
        placing, self._placing = self._placing, None
        placement = self._detach()
        if placing is not None and not self._moving:
            self._errand("give-back", lambda: placing.give_back(reason))
        if placement is None or self._over:
            return
        if self._begun and not self._leaving:
            node.metrics.sessions.labels("suspended").inc()
            closed = self._connection.ended_by_peer
            self._errand("suspend", lambda: departure.suspend(node, placement, closed=closed))
        else:
            self._errand("release", lambda: departure.release(node, placement, reason))

    def _errand(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Clean-up outlasts the client, and an outage of the store for a while."""
        self._node.tasks.errand(work, name=name, patience_s=self._node.config.orphan_s)
