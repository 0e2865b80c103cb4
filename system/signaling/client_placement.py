"""How a client gets a worker, and another one when that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from system.protocol import limits
from system.protocol import messages as m
from system.protocol.errors import ErrorCode
from system.protocol.fields import ProjectState
from system.protocol.states import Session
from system.protocol.tokens import digest, new_resume_token
from system.signaling import departure
from system.signaling.client_link import ClientLink
from system.signaling.connection import Connection
from system.signaling.node import Node
from system.signaling.orchestrator_client import AllocationRefused, OrchestratorUnavailable
from system.signaling.placement import Placement, Placing
from system.store.base import StoreUnavailable
from system.telemetry import logs

log = logs.get(__name__)

_ATTEMPTS: Final = 2
"""A worker that refuses, or never confirms, is replaced once without the client's doing."""

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
"""Between two attempts to move a session."""


class ClientPlacement(ClientLink):
    """A client and the task that gets it to a worker that has confirmed, and to media."""

    def __init__(
        self,
        node: Node,
        connection: Connection[m.FromClient],
        *,
        user_id: str,
        project_id: str,
        gpu: str,
    ) -> None:
        super().__init__(node, connection)
        self._user_id = user_id
        self._project_id = project_id
        self._gpu = gpu
        self._resume_digest = ""
        self._moves = False
        """The client can be given another worker."""
        self._placing: Placing | None = None
        self._verdict: asyncio.Future[bool] | None = None
        self._active = asyncio.Event()
        self._begun = False
        """Media has flowed: the session outlasts this socket, and its worker."""
        self._moving = False
        """The worker is lost, and no other has confirmed yet."""
        self._establishing: asyncio.Task[None] | None = None

    async def _establish(self, get_worker: Callable[[], Awaitable[None]]) -> None:
        """Get a worker, hand it what has waited for it, and see media flow."""
        try:
            await get_worker()
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
        node = self._node
        for attempt in range(_ATTEMPTS):
            started = loop.time()
            self._placing = Placing.first(node, self._user_id, self._project_id, self._gpu)
            placement = await self._placing.place(self._connection.send)
            node.metrics.allocation.observe(loop.time() - started)
            started = loop.time()
            if await self._begin(placement):
                node.metrics.confirmation.observe(loop.time() - started)
                node.metrics.sessions.labels("confirmed").inc()
                return
            log.info("session.unconfirmed", session_id=placement.session_id, attempt=attempt)
            node.metrics.sessions.labels("unconfirmed").inc()
            self._detach()
            await departure.release(node, placement, "unconfirmed")
        raise AllocationRefused(ErrorCode.NO_CAPACITY)

    async def _begin(self, placement: Placement) -> bool:
        """Attach the client, tell both sides, and wait for the worker's word."""
        node = self._node
        token = new_resume_token()
        self._resume_digest = digest(token)
        attached = await node.ledger.attach_client(
            placement.session_id, node.name, self._resume_digest, moves=self._moves
        )
        if attached is None:
            return False
        self._adopt(placement)
        self._placing = None
        if self._moves != attached.moves:
            await self._can_move()
        self._connection.send(
            m.SessionCreated(
                session_id=placement.session_id,
                worker_id=placement.worker_id,
                endpoint=placement.endpoint,
                ice_servers=node.ice_servers(self._user_id),
                resume_token=token,
            )
        )
        log.info("session.created", session_id=placement.session_id, worker_id=placement.worker_id)
        return await self._assign(placement, self._project_id)

    async def _assign(self, placement: Placement, project_id: str) -> bool:
        """Give the session to its worker; whether that has confirmed it."""
        node = self._node
        self._verdict = asyncio.get_running_loop().create_future()
        assigned = m.SessionAssigned(
            session_id=placement.session_id,
            fence=placement.fence,
            project=ProjectState(project_id=project_id),
            negotiation=self._up.current,
            user_id=self._user_id,
            lease_ms=placement.lease_ms,
            ice_servers=node.ice_servers(self._user_id),
        )
        if not await node.relay.to_worker(placement.worker_id, assigned):
            self._verdict.cancel()
            return False
        try:
            async with asyncio.timeout(placement.lease_ms / 1000 + node.config.confirm_margin_s):
                return await self._verdict
        except TimeoutError:
            return False

    async def _stop_establishing(self) -> None:
        task, self._establishing = self._establishing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- getting another worker ------------------------------------------------

    async def _can_move(self) -> None:
        """Note, for whoever finds the worker lost, that it is not the session's end."""
        self._moves = True
        if (placement := self._placement) is None:
            return
        try:
            await self._node.ledger.attach_client(
                placement.session_id, self._node.name, self._resume_digest, moves=True
            )
        except StoreUnavailable:
            return  # the next review does it

    def _move(self) -> None:
        """The session has lost its worker: get it another one."""
        if self._moving:
            return
        self._moving = self._begun = True
        self._active.clear()
        self._node.metrics.sessions.labels("moved").inc()
        log.info("session.moving", session_id=self.session_id)
        before, self._establishing = self._establishing, None

        async def move() -> None:
            if before is not None:
                before.cancel()
                await asyncio.gather(before, return_exceptions=True)
            await self._establish(self._get_another_worker)

        self._establishing = asyncio.create_task(move(), name="move")

    async def _get_another_worker(self) -> None:
        """Return with the session confirmed by another worker, however many it takes.

        It waits as long as a session may be without its client; an orchestrator
        or a store that is away meanwhile costs nothing but time.
        """
        node = self._node
        loop = asyncio.get_running_loop()
        started = loop.time()
        pause_s = _FIRST_PAUSE_S
        try:
            async with asyncio.timeout(node.config.move_patience_s):
                while not await self._try_another_worker():
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        except TimeoutError:
            raise AllocationRefused(ErrorCode.WORKER_LOST) from None
        self._moving = False
        node.metrics.replacement.observe(loop.time() - started)

    async def _try_another_worker(self) -> bool:
        """One attempt; raises AllocationRefused where there will be none."""
        node, before = self._node, self._placement
        assert before is not None
        try:
            session = await node.ledger.requeue(
                before.session_id, lost=before.fence, node=node.name
            )
            if session is None:
                raise AllocationRefused(ErrorCode.WORKER_LOST)
            turn = max(session.negotiation, self._up.current + 1)
            if turn > limits.MAX_NEGOTIATION:
                raise AllocationRefused(ErrorCode.WORKER_LOST)
            self._up.close(turn)
            self._down.advance(turn)
            placement = await self._find_place(session)
            self._adopt(placement)
            self._placing = None
            log.info("session.moved", session_id=session.session_id, worker_id=placement.worker_id)
            self._connection.send(
                m.WorkerReplaced(
                    session_id=session.session_id,
                    worker_id=placement.worker_id,
                    negotiation=turn,
                    ice_servers=node.ice_servers(self._user_id),
                )
            )
            if await self._assign(placement, session.project_id or self._project_id):
                return True
            node.metrics.sessions.labels("unconfirmed").inc()
            await departure.drop(node, placement, "unconfirmed")
        except (OrchestratorUnavailable, StoreUnavailable):
            log.warning("session.move_delayed", session_id=self.session_id)
        except AllocationRefused as refused:
            # Queued no longer: it was served, or given up, meanwhile. Its record will tell.
            if refused.code not in (ErrorCode.CONFLICT, ErrorCode.NOT_FOUND):
                raise
        finally:
            self._placing = None
        return False

    async def _find_place(self, session: Session) -> Placement:
        """A place for a session in the queue; a spare is taken without the orchestrator."""
        node = self._node
        self._placing = Placing.again(
            node, self._user_id, self._project_id, session.pool, session.session_id
        )
        spare = await node.ledger.reserve_queued(session.session_id, session.pool)
        if spare is None:
            return await self._placing.place(self._connection.send)
        return Placement.reserved(spare)

    # --- the worker's word -----------------------------------------------------

    @property
    def _undecided(self) -> bool:
        """The worker has not answered the assignment yet."""
        return self._verdict is not None and not self._verdict.done()

    def _judge(self, confirmed: bool) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(confirmed)
