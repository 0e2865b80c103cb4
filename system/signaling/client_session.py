"""One attached client: its way to a worker, what passes between the two, and how it ends.

The connection is the identity: what a client says about session ids is never
read. Everything that must survive this object is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from system.protocol import messages as m
from system.protocol.errors import CloseCode, ErrorCode, ProtocolError
from system.protocol.fields import ProjectState
from system.protocol.states import Session, SessionState
from system.protocol.tokens import digest, new_resume_token
from system.signaling import departure, replies
from system.signaling.connection import Connection
from system.signaling.negotiation import Direction, Part, check_description
from system.signaling.node import Node
from system.signaling.orchestrator_client import AllocationRefused, OrchestratorUnavailable
from system.signaling.placement import Placement, Placing
from system.signaling.sessions import ForClient
from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)

_ATTEMPTS: Final = 2
"""A worker that refuses, or never confirms, is replaced once without the client's doing."""


class ClientSession:
    """A client on this node, from its first message to its clean-up."""

    def __init__(
        self,
        node: Node,
        connection: Connection[m.FromClient],
        *,
        user_id: str,
        project_id: str,
        gpu: str,
    ) -> None:
        self._node = node
        self._connection = connection
        self._user_id = user_id
        self._project_id = project_id
        self._gpu = gpu
        self._up = Direction(closed=True)
        self._down = Direction()
        self._sending = asyncio.Lock()
        self._placing: Placing | None = None
        self._placement: Placement | None = None
        self._resume_digest = ""
        self._verdict: asyncio.Future[bool] | None = None
        self._active = asyncio.Event()
        self._establishing: asyncio.Task[None] | None = None
        self._over = False
        """Somebody else has ended the session: there is nothing to release."""
        self._leaving = ""
        """Why it is to be released although it may be active; empty: it may come back."""
        self._missing_since: float | None = None

    @property
    def session_id(self) -> str | None:
        return None if self._placement is None else self._placement.session_id

    async def run(self, *, resume_token: str, resumes: bool) -> None:
        """Serve the client until it is gone, then tidy up.

        Args:
            resume_token: from a subprotocol; empty where there is none.
            resumes: the first message is a ``resume``: ask for no worker before it.
        """
        connection = self._connection
        try:
            if resume_token:
                await self._resume(resume_token)
            elif resumes:
                async with asyncio.timeout(self._node.config.bounds.first_message_s):
                    await self._take(await connection.receive())
            if self._placement is None and not connection.ended:
                self._establishing = asyncio.create_task(self._establish(), name="establish")
            while (message := await connection.receive()) is not None:
                await self._take(message)
        except TimeoutError:
            connection.close(CloseCode.POLICY, "no_resume_in_time")
        finally:
            await self._stop_establishing()
            await connection.finish()
            self._tidy()

    # --- from the client -------------------------------------------------------

    async def _take(self, message: m.FromClient | None) -> None:
        match message:
            case m.ClientOffer():
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

    async def _up_to_worker(self, message: Part) -> None:
        try:
            if not isinstance(message, m.IceCandidate):
                check_description(message, str(message.__struct_config__.tag))
            ready = self._up.accept(message)
        except ProtocolError as error:
            self._connection.refuse(error)
            return
        self._down.advance(self._up.current)
        if ready:
            async with self._sending:
                await self._forward(ready)

    async def _forward(self, parts: Sequence[Part]) -> None:
        """Send to the worker, in order; the caller holds the lock."""
        placement = self._placement
        assert placement is not None
        for part in parts:
            addressed = msgspec.structs.replace(part, session_id=placement.session_id)
            if not await self._node.relay.to_worker(placement.worker_id, addressed):
                self._error(ErrorCode.UNAVAILABLE)
                return

    # --- getting a worker ------------------------------------------------------

    async def _establish(self) -> None:
        try:
            await self._get_worker()
            async with self._sending:
                await self._forward(self._up.open())
            async with asyncio.timeout(self._node.config.connect_deadline_s):
                await self._active.wait()
        except AllocationRefused as error:
            self._fail(error.code)
        except (OrchestratorUnavailable, StoreUnavailable):
            self._fail(ErrorCode.UNAVAILABLE)
        except TimeoutError:
            self._fail(ErrorCode.CONNECT_TIMEOUT)
        except Exception as error:
            log.exception("session.broken", error, session_id=self.session_id)
            self._fail(ErrorCode.INTERNAL)

    async def _get_worker(self) -> None:
        """Return with a confirmed session; raises what ``_establish`` handles."""
        loop = asyncio.get_running_loop()
        for attempt in range(_ATTEMPTS):
            started = loop.time()
            self._placing = Placing(self._node, self._user_id, self._project_id, self._gpu)
            placement = await self._placing.place(self._connection.send)
            self._node.metrics.allocation.observe(loop.time() - started)
            started = loop.time()
            if await self._assign(placement):
                self._node.metrics.confirmation.observe(loop.time() - started)
                self._node.metrics.sessions.labels("confirmed").inc()
                return
            log.info("session.unconfirmed", session_id=placement.session_id, attempt=attempt)
            self._node.metrics.sessions.labels("unconfirmed").inc()
            self._detach()
            await departure.release(self._node, placement, "unconfirmed")
        raise AllocationRefused(ErrorCode.NO_CAPACITY)

    async def _assign(self, placement: Placement) -> bool:
        """Attach the client, tell both sides, and wait for the worker's word."""
        node = self._node
        token = new_resume_token()
        attached = await node.ledger.attach_client(placement.session_id, node.name, digest(token))
        if attached is None:
            return False
        self._adopt(placement, digest(token))
        self._placing = None
        self._verdict = asyncio.get_running_loop().create_future()
        ice_servers = node.ice_servers(self._user_id)
        self._connection.send(
            m.SessionCreated(
                session_id=placement.session_id,
                worker_id=placement.worker_id,
                endpoint=placement.endpoint,
                ice_servers=ice_servers,
                resume_token=token,
            )
        )
        log.info("session.created", session_id=placement.session_id, worker_id=placement.worker_id)
        assigned = m.SessionAssigned(
            session_id=placement.session_id,
            fence=placement.fence,
            project=ProjectState(project_id=self._project_id),
            negotiation=self._up.current,
            user_id=self._user_id,
            lease_ms=placement.lease_ms,
            ice_servers=ice_servers,
        )
        if not await node.relay.to_worker(placement.worker_id, assigned):
            return False
        try:
            async with asyncio.timeout(placement.lease_ms / 1000 + node.config.confirm_margin_s):
                return await self._verdict
        except TimeoutError:
            return False

    def _adopt(self, placement: Placement, resume_digest: str) -> None:
        """Be the client of this session on this node, instead of whoever was."""
        clients = self._node.attached.clients
        older = clients.get(placement.session_id)
        if isinstance(older, ClientSession) and older is not self:
            older.supersede()
        clients[placement.session_id] = self
        self._placement = placement
        self._resume_digest = resume_digest

    def _detach(self) -> Placement | None:
        """No longer be the client of the session; None where another one is."""
        placement, self._placement = self._placement, None
        clients = self._node.attached.clients
        if placement is None or clients.get(placement.session_id) is not self:
            return None
        del clients[placement.session_id]
        return placement

    async def _stop_establishing(self) -> None:
        task, self._establishing = self._establishing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

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
        session, next_token = found.session, found.token
        assert session.worker_id is not None
        assert session.fence is not None
        await self._stop_establishing()
        self._tidy()
        self._adopt(
            Placement(session.session_id, session.worker_id, session.fence), digest(next_token)
        )
        self._active.set()
        self._up = Direction(current=session.negotiation, described=True)
        self._down = Direction(current=session.negotiation, described=True)
        node.metrics.sessions.labels("resumed").inc()
        log.info("session.resumed", session_id=session.session_id)
        self._connection.send(
            m.SessionResumed(
                session_id=session.session_id,
                worker_id=session.worker_id,
                resume_token=next_token,
                ice_servers=node.ice_servers(self._user_id),
            )
        )
        connected = m.ClientConnected(session_id=session.session_id, fence=session.fence)
        await node.relay.to_worker(session.worker_id, connected)

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
                if not self._active.is_set():
                    self._node.metrics.sessions.labels("active").inc()
                self._active.set()
            case m.Offer() | m.Answer() | m.IceCandidate():
                self._down_to_client(message)
            case m.Error():
                if not self._undecided:
                    self._error(message.code)
            case m.SessionEnded() if message.fence in (None, placement.fence):
                if self._undecided:
                    self._judge(False)
                else:
                    self.end(message.reason)

    def end(self, reason: str) -> None:
        """The session is over and its slot is free: tell the client, and close."""
        if self._over:
            return
        self._over = True
        shown = replies.reason(reason)
        log.info("session.ended", session_id=self.session_id, reason=shown)
        self._node.metrics.sessions.labels("ended").inc()
        if shown == ErrorCode.WORKER_LOST.value:
            self._error(ErrorCode.WORKER_LOST)
        self._connection.send(m.SessionEnded(session_id=self.session_id, reason=shown))
        self._connection.close(CloseCode.SESSION_ENDED, shown)

    def supersede(self) -> None:
        """The same client has resumed the session on another socket."""
        self._over = True
        self._connection.close(CloseCode.REPLACED, "resumed_elsewhere")

    def close(self) -> None:
        """The node goes away; the session does not."""
        self._connection.close(CloseCode.GOING_AWAY, "restarting")

    def _down_to_client(self, message: Part) -> None:
        try:
            for part in self._down.accept(message):
                self._connection.send(msgspec.structs.replace(part, session_id=self.session_id))
        except ProtocolError as error:
            log.warning("worker.excess", session_id=self.session_id, code=error.code.value)

    @property
    def _undecided(self) -> bool:
        """The worker has not answered the assignment yet."""
        return self._verdict is not None and not self._verdict.done()

    def _judge(self, confirmed: bool) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(confirmed)

    # --- what the store says ---------------------------------------------------

    async def review(self, session: Session | None, now: float, patience_s: float) -> None:
        """Compare with the session's record, read just now: it may have ended elsewhere.

        A record that is missing may come back (a store that lost its data is
        rebuilt from what workers report), so it is given ``patience_s``.
        """
        placement = self._placement
        if placement is None or self._over or self._undecided or self._placing is not None:
            return
        if session is None:
            self._missing_since = self._missing_since or now
            if now - self._missing_since > patience_s:
                self.end("lost")
            return
        self._missing_since = None
        if session.state is SessionState.ENDED or session.fence != placement.fence:
            self.end(session.reason)
        elif session.node and session.node != self._node.name:
            self.supersede()
        elif session.state is SessionState.ACTIVE and not session.node:
            await self._node.ledger.attach_client(
                placement.session_id, self._node.name, self._resume_digest
            )

    # --- the end ---------------------------------------------------------------

    def _error(self, code: ErrorCode) -> None:
        self._connection.send_error(code, replies.text(code))

    def _fail(self, code: ErrorCode) -> None:
        """The session cannot be: say why, close, and release what it holds."""
        if self._over or self._connection.ended:
            return
        log.info("session.failed", session_id=self.session_id, code=code.value)
        self._node.metrics.sessions.labels("failed").inc()
        self._leaving = code.value
        self._error(code)
        if self._placement is not None:
            self._connection.send(m.SessionEnded(session_id=self.session_id, reason=code.value))
        self._connection.close(replies.CLOSE.get(code, CloseCode.UNAVAILABLE), code.value)

    def _tidy(self) -> None:
        """Give up what the client held: at once, or, if it may come back, for later."""
        node = self._node
        reason = self._leaving or "client_left"
        placing, self._placing = self._placing, None
        placement = self._detach()
        if placing is not None:
            self._errand("give-back", lambda: placing.give_back(reason))
        if placement is None or self._over:
            return
        if self._active.is_set() and not self._leaving:
            node.metrics.sessions.labels("suspended").inc()
            self._errand("suspend", lambda: departure.suspend(node, placement))
        else:
            self._errand("release", lambda: departure.release(node, placement, reason))

    def _errand(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Clean-up outlasts the client, and an outage of the store for a while."""
        self._node.tasks.errand(work, name=name, patience_s=self._node.config.orphan_s)
