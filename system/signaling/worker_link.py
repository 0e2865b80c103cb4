"""One registered worker: what passes between it, its sessions' clients and the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from system.protocol import messages as m
from system.protocol.errors import CloseCode, ErrorCode
from system.protocol.fields import Fence, HeldSession
from system.protocol.states import Refusal, Session, SessionState, Worker
from system.protocol.tokens import WORKER_TTL_S
from system.signaling import departure, edits
from system.signaling.connection import Connection
from system.signaling.node import Node
from system.signaling.sessions import ForWorker, Superseded
from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)

_MISSES = 2
"""Heartbeats in a row that may leave out a session the worker has confirmed."""
_VITALS: Final = ("cpu", "rss_bytes", "loop_lag_s", "frames", "encode_s")

_RENEW_S: Final = WORKER_TTL_S / 2
"""A worker that comes back has a token that is good for at least as long."""

_INBOX = 256
"""Messages read and not yet handled; with more, the socket is not read."""

_LAST_WORDS_S = 0.25
"""What a worker said before its socket was lost is handled first, but not for longer."""

WORKER_STOPPED = "worker_stopped"
"""Why a worker that was told to go ends the sessions that outlast its deadline."""


@dataclass
class Held:
    """A session that this worker was given, through here or before it came back."""

    fence: Fence
    project_id: str
    user_id: str
    confirmed: bool = False
    misses: int = 0


class WorkerLink:
    """One registered worker on this node."""

    def __init__(
        self, node: Node, connection: Connection[m.FromWorker], register: m.Register
    ) -> None:
        self._node = node
        self._connection = connection
        self._register = register
        self._held: dict[str, Held] = {}
        self._beating: asyncio.Task[None] | None = None
        self._drained = False
        self._renewed_s = 0.0
        self._inbox: asyncio.Queue[m.FromWorker] = asyncio.Queue(_INBOX)

    @property
    def worker_id(self) -> str:
        return self._register.worker_id

    @property
    def generation(self) -> int:
        return self._register.generation

    async def run(self, worker: Worker) -> None:
        """Serve the worker until it is gone."""
        self._connection.send(
            m.Registered(
                heartbeat_ms=self._node.config.heartbeat_ms,
                store_time_ms=await self._node.store.now_ms(),
            )
        )
        self._renew_token()
        work = asyncio.create_task(self._work(worker), name="worker-messages")
        try:
            while (message := await self._connection.receive()) is not None:
                await self._inbox.put(message)
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._inbox.join()
        except TimeoutError:
            log.warning("worker.unheard", worker_id=self.worker_id, messages=self._inbox.qsize())
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _work(self, worker: Worker) -> None:
        """Handle what was read, in order; apart from the reading, which a slow store must not stop.

        The socket's pings would stay unanswered, and the worker give it up.
        """
        try:
            await self._take_over(worker, self._register.sessions)
        except StoreUnavailable:
            self._connection.close(CloseCode.UNAVAILABLE, "unavailable")
            return
        while True:
            message = await self._inbox.get()
            try:
                await self._take(message)
            except StoreUnavailable:
                log.warning("worker.unheard", worker_id=self.worker_id)
            except Exception as error:
                log.exception("worker.mishandled", error, worker_id=self.worker_id)
            finally:
                self._inbox.task_done()

    def deliver(self, message: ForWorker) -> None:
        """Pass a message on to the worker; never waits."""
        match message:
            case m.SessionAssigned():
                self._node.tasks.spawn(self._assign(message), name="assign")
            case m.SessionEnded():
                self._forget(message.session_id)
                self._connection.send(message)
            case Superseded():
                if message.generation >= self.generation:
                    self.supersede()
            case _:
                self._connection.send(message)

    def supersede(self) -> None:
        """A newer process of this worker, or the same on a newer socket, has registered."""
        self._connection.close(CloseCode.REPLACED, "replaced")

    def close(self) -> None:
        """The node goes away; the worker and its sessions do not."""
        self._connection.close(CloseCode.GOING_AWAY, "restarting")

    def forget_all(self) -> None:
        """Stop showing the worker's projects."""
        for session_id in tuple(self._held):
            self._forget(session_id)

    async def lost(self) -> None:
        """The socket is gone, so the worker is: move or end its sessions and tell their clients.

        Not if it has registered again meanwhile, here or elsewhere.
        """
        node = self._node
        if self.worker_id in node.attached.workers:
            return
        reason = "drained" if self._drained else "connection lost"
        left = await node.ledger.worker_lost(
            self.worker_id, self.generation, reason, node=node.name
        )
        log.info("worker.lost", worker_id=self.worker_id, sessions=len(left))
        for session in left:
            await departure.tell_client(node, session)

    # --- sessions --------------------------------------------------------------

    async def _assign(self, message: m.SessionAssigned) -> None:
        """Hand a session over, with its project as the log has it now."""
        project_id = message.project.project_id
        self._held[message.session_id] = Held(message.fence, project_id, message.user_id)
        try:
            state = await self._node.feeds.show(project_id, self)
            if message.session_id not in self._held:
                return
            self._connection.send(msgspec.structs.replace(message, project=state))
            for edit in await self._node.feeds.missed(project_id, edits.last_index(state)):
                self._connection.send(edit)
        except StoreUnavailable:
            self._forget(message.session_id)
            refused = m.SessionRefused(
                session_id=message.session_id, fence=message.fence, code=ErrorCode.UNAVAILABLE
            )
            await self._node.relay.to_client(message.session_id, refused)

    async def _take_over(self, worker: Worker, reported: Sequence[HeldSession]) -> None:
        """After a reconnection: keep the sessions that are still the worker's, void the others."""
        for held in reported:
            if held.session_id in worker.sessions:
                if held.session_id not in self._held:
                    await self._find(held.session_id)
            else:
                self._void(held.session_id, held.fence, "not_held")
        for project_id in {held.project_id for held in self._held.values() if held.project_id}:
            known = self._register.projects.get(project_id, 0)
            state = await self._node.ledger.project(project_id, after=known)
            self._connection.send(m.ProjectCaughtUp(project=state))

    async def _find(self, session_id: str) -> Held | None:
        """The worker's own session of that id, from the store if need be; None: not its own."""
        if (held := self._held.get(session_id)) is not None:
            return held
        session = await self._node.ledger.get_session(session_id)
        if session is None or not _runs(session, self.worker_id) or session.fence is None:
            return None
        if (held := self._held.get(session_id)) is not None:
            return held
        held = Held(session.fence, session.project_id, session.client_id, confirmed=True)
        self._held[session_id] = held
        await self._node.feeds.show(session.project_id, self)
        return held

    def _renew_token(self) -> None:
        self._renewed_s = time.monotonic()
        if (token := self._node.gate.renewed(self.worker_id)) is not None:
            self._connection.send(m.TokenRenewed(token=token))

    def _forget(self, session_id: str | None) -> None:
        if session_id is not None and (held := self._held.pop(session_id, None)) is not None:
            self._node.feeds.hide(held.project_id, self)

    def _void(self, session_id: str, fence: Fence, reason: str) -> None:
        """Have the worker drop a session that is not, or no longer, its own."""
        self._forget(session_id)
        self._connection.send(m.SessionEnded(session_id=session_id, reason=reason, fence=fence))

    # --- from the worker -------------------------------------------------------

    async def _take(self, message: m.FromWorker) -> None:
        node = self._node
        match message:
            case m.Heartbeat():
                self._compare(message.sessions)
                if time.monotonic() - self._renewed_s >= _RENEW_S:
                    self._renew_token()
                if self._beating is None or self._beating.done():
                    self._beating = node.tasks.spawn(self._beat(message), name="heartbeat")
            case m.SessionConfirmed():
                await self._confirmed(message)
            case m.SessionRefused():
                self._forget(message.session_id)
                await node.relay.to_client(message.session_id, message)
            case m.SessionActive():
                held = await self._find(message.session_id)
                if held is not None and await node.ledger.activate(
                    message.session_id, message.fence
                ):
                    await node.relay.to_client(message.session_id, message)
                else:
                    self._void(message.session_id, message.fence, "stale_fence")
            case m.SessionEnded():
                await self._ended(message)
            case m.Offer() | m.Answer() | m.IceCandidate() | m.Error():
                session_id = message.session_id
                if session_id is not None and await self._find(session_id) is not None:
                    await node.relay.to_client(session_id, message)
            case m.EditRequest():
                await self._edit(message)
            case m.Drained():
                self._drained = True
            case m.Ping():
                self._connection.send(m.Pong(time=message.time))
            case _:
                pass

    async def _confirmed(self, message: m.SessionConfirmed) -> None:
        """The lease becomes a holding; where it is too late, both sides hear of it."""
        held = await self._find(message.session_id)
        code = ErrorCode.STALE_FENCE
        try:
            if held is not None and await self._node.ledger.confirm(
                message.session_id, message.fence
            ):
                held.confirmed = True
                await self._node.relay.to_client(message.session_id, message)
                return
        except StoreUnavailable:
            code = ErrorCode.UNAVAILABLE
        self._void(message.session_id, message.fence, "lease_expired")
        refused = m.SessionRefused(session_id=message.session_id, fence=message.fence, code=code)
        await self._node.relay.to_client(message.session_id, refused)

    async def _ended(self, message: m.SessionEnded) -> None:
        """The slot is free: in the store first, and whatever happens, for the client."""
        session_id = message.session_id
        if session_id is None or (held := await self._find(session_id)) is None:
            return
        if message.fence is not None and message.fence != held.fence:
            return
        self._forget(session_id)
        if message.reason == WORKER_STOPPED:
            self._errand("move", lambda: self._hand_on(session_id, held.fence))
            return
        self._free(session_id, held.fence, message.reason)
        over = msgspec.structs.replace(message, fence=held.fence)
        await self._node.relay.to_client(session_id, over)

    async def _hand_on(self, session_id: str, fence: Fence) -> None:
        """The worker goes away, not the viewer."""
        ledger = self._node.ledger
        await ledger.drain(self.worker_id, WORKER_STOPPED)
        session = await ledger.requeue(session_id, lost=fence)
        if session is None:
            await ledger.release(session_id, fence=fence, reason=WORKER_STOPPED)
            session = await ledger.get_session(session_id)
        if session is not None:
            await departure.tell_client(self._node, session)

    def _free(self, session_id: str, fence: Fence, reason: str) -> None:
        release = self._node.ledger.release
        self._errand("release", lambda: release(session_id, fence=fence, reason=reason or "ended"))

    def _errand(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        node = self._node
        node.tasks.errand(work, name=name, patience_s=node.config.orphan_s)

    async def _edit(self, message: m.EditRequest) -> None:
        held = await self._find(message.session_id)
        if held is None or held.fence != message.fence:
            answer = m.EditAcknowledged(
                session_id=message.session_id,
                edit_id=message.edit.edit_id,
                code=ErrorCode.STALE_FENCE,
            )
        else:
            answer = await edits.append(
                self._node.ledger,
                self._node.metrics,
                message,
                project_id=held.project_id,
                user_id=held.user_id,
                on_logged=self._node.snapshots.logged,
            )
        self._connection.send(answer)

    # --- heartbeats ------------------------------------------------------------

    async def _beat(self, beat: m.Heartbeat) -> None:
        """Renew the worker's life; one that the store has forgotten is registered again."""
        node = self._node
        try:
            vitals = {name: getattr(beat, name) for name in _VITALS}
            known = await node.ledger.heartbeat(
                self.worker_id, self.generation, beat.sessions, vitals
            )
            if known:
                return
            again = msgspec.structs.replace(self._register, sessions=beat.sessions)
            result = await node.ledger.register(again, node.name)
        except StoreUnavailable:
            log.warning("heartbeat.unstored", worker_id=self.worker_id)
            return
        if isinstance(result, Refusal):
            self._connection.close(CloseCode.REPLACED, "replaced")
            return
        log.info("worker.restored", worker_id=self.worker_id, sessions=len(result.sessions))
        for held in beat.sessions:
            if held.session_id not in result.sessions:
                self._void(held.session_id, held.fence, "not_held")

    def _compare(self, reported: Sequence[HeldSession]) -> None:
        """Void what the worker holds and should not; free what it should and does not hold."""
        told = {held.session_id for held in reported}
        for theirs in reported:
            if theirs.session_id not in self._held:
                self._node.tasks.spawn(self._question(theirs), name="question")
        for session_id, ours in tuple(self._held.items()):
            if session_id in told or not ours.confirmed:
                ours.misses = 0
                continue
            ours.misses += 1
            if ours.misses >= _MISSES:
                log.warning("session.dropped", session_id=session_id, worker_id=self.worker_id)
                self._forget(session_id)
                self._free(session_id, ours.fence, "dropped_by_worker")

    async def _question(self, theirs: HeldSession) -> None:
        try:
            if await self._find(theirs.session_id) is None:
                self._void(theirs.session_id, theirs.fence, "not_held")
        except StoreUnavailable:
            return


def _runs(session: Session, worker_id: str) -> bool:
    return session.worker_id == worker_id and session.state is not SessionState.ENDED
