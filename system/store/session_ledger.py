"""Signaling's side of the ledger: workers that register and beat, sessions from confirm to end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from system.protocol.fields import Fence, HeldSession
from system.protocol.messages import Register
from system.protocol.states import (
    FINAL,
    HELD,
    Refusal,
    Session,
    SessionActivated,
    SessionConfirmed,
    SessionState,
    SlotConfirmed,
    Worker,
    WorkerBooting,
    WorkerReady,
    apply,
)
from system.store import schema
from system.store.base import Record
from system.store.moving import MovingLedger, resume_changes
from system.store.transaction import WORKER_LOST, lost


class SessionLedger(MovingLedger):
    """See system.store.ledger.Ledger."""

    # --- workers ---------------------------------------------------------------

    async def register(self, register: Register, node: str) -> Worker | Refusal:
        """Take a worker into the pool; of one id the newest generation wins.

        Sessions that the ledger gave it and that it no longer has are ended,
        or moved if they were an older process's. Those that it reports and the
        store has forgotten (it was wiped) are taken over. What it reports
        beyond the returned ``sessions`` is void:
        tell it that they have ended.
        """
        tries = self._tries()
        while True:
            await tries.pause()
            await self._beat(register.worker_id, register.generation)
            now_ms = await self.store.now_ms()
            found = await self._worker(register.worker_id)
            record, worker = found or (None, await self._unknown_worker(register, now_ms))
            known = await self.store.get_many(
                schema.session_key(s)
                for s in {*worker.sessions, *(h.session_id for h in register.sessions)}
            )
            adopted = self._adopted(register, node, worker, known, now_ms)
            worker = replace(
                worker,
                sessions=(*worker.sessions, *(s.session_id for s in adopted)),
                active=(*worker.active, *(s.session_id for s in adopted)),
            )
            ready = apply(
                _without(worker, _dropped(worker, register, known)),
                WorkerReady(
                    at_ms=now_ms,
                    generation=register.generation,
                    node=node,
                    slots=register.slots,
                    endpoint=register.endpoint,
                    renderer=register.renderer,
                    encoder=register.encoder,
                    sessions=tuple(held.session_id for held in register.sessions),
                ),
            )
            if isinstance(ready, Refusal):
                return ready
            left = tuple(s for s in worker.sessions if s not in ready.sessions)
            restarted = register.generation > worker.generation
            _, changes = await self._leaving(worker.worker_id, left, WORKER_LOST, move=restarted)
            if await self.store.compare_and_set(
                schema.worker_change(record, ready),
                *(schema.session_change(None, session) for session in adopted),
                *changes,
                publish=schema.pool_channel(ready.pool),
            ):
                return ready

    async def heartbeat(
        self,
        worker_id: str,
        generation: int,
        sessions: Iterable[HeldSession] = (),
        vitals: Mapping[str, float] | None = None,
    ) -> bool:
        """The worker lives. False: the store does not know it (any more), it must register.

        ``vitals`` are kept until the next heartbeat, for those who look at workers.
        """
        found = await self._worker(worker_id)
        if found is None or found[1].generation != generation or found[1].state in FINAL:
            return False
        await self._beat(worker_id, generation, vitals or {})
        return True

    async def worker_lost(
        self, worker_id: str, generation: int, reason: str, *, node: str | None = None
    ) -> list[Session]:
        """The worker is gone: its sessions, moved where that can be, else ended.

        One that was told to go, and had no session left, has not failed.
        Nothing happens if a newer generation has registered, or if the worker
        is attached to another node than ``node`` by now.
        """
        left = await self._end_worker(
            worker_id,
            lost(reason),
            WORKER_LOST,
            lambda worker: worker.generation == generation and node in (None, worker.node),
        )
        return left or []

    # --- sessions --------------------------------------------------------------

    async def attach_client(
        self, session_id: str, node: str, resume_digest: str, *, moves: bool = False
    ) -> Session | None:
        """Note where the client is and which resume token it holds; None if the session ended.

        ``moves``: it can be given another worker.
        """
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None or found[1].state is SessionState.ENDED:
                return None
            attached = replace(found[1], node=node, resume_digest=resume_digest, moves=moves)
            if await self.store.compare_and_set(
                schema.session_change(found[0], attached),
                *resume_changes(found[1].resume_digest, attached),
            ):
                return attached

    async def confirm(self, session_id: str, fence: Fence) -> bool:
        """The worker has the session: the lease becomes a holding. False: too late, or stale."""
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None or found[1].fence != fence or found[1].worker_id is None:
                return False
            record, session = found
            if session.state in HELD:
                return True
            now_ms = await self.store.now_ms()
            if session.lease_until_ms is not None and session.lease_until_ms < now_ms:
                return False
            worker = await self._worker(found[1].worker_id)
            confirmed = apply(session, SessionConfirmed(fence))
            if worker is None or isinstance(confirmed, Refusal):
                return False
            holding = apply(worker[1], SlotConfirmed(session_id, now_ms))
            if isinstance(holding, Refusal):
                return False
            if await self.store.compare_and_set(
                schema.session_change(record, confirmed),
                schema.worker_change(worker[0], holding),
                publish=schema.pool_channel(session.pool),
            ):
                return True

    async def activate(self, session_id: str, fence: Fence) -> bool:
        """Media flows. False: the session has ended or the fence is stale."""
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None:
                return False
            changed = apply(found[1], SessionActivated(fence))
            if isinstance(changed, Refusal):
                return False
            if changed == found[1] or await self.store.compare_and_set(
                schema.session_change(found[0], changed)
            ):
                return True

    async def release(
        self, session_id: str, *, fence: Fence | None, reason: str, node: str | None = None
    ) -> bool:
        """End the session and free its slot. True if it has ended, by this call or before.

        With a ``fence``, only if the session is still that fence's, or if its
        client is at ``node``.
        """

        def fits(session: Session) -> bool:
            return fence is None or session.fence == fence or session.node == node

        ended = await self._end_session(session_id, reason, fits)
        if ended is not None:
            return True
        found = await self._session(session_id)
        return found is not None and found[1].state is SessionState.ENDED

    # --- inside ----------------------------------------------------------------

    async def _beat(
        self, worker_id: str, generation: int, vitals: Mapping[str, float] | None = None
    ) -> None:
        key = schema.heartbeat_key(worker_id)
        beat = {"generation": generation, "vitals": dict(vitals or {})}
        await self.store.put(key, beat, 3 * self.heartbeat_ms)

    async def _unknown_worker(self, register: Register, now_ms: int) -> Worker:
        """A worker that nobody here launched, or whose record a wipe has taken."""
        worker = Worker(
            worker_id=register.worker_id,
            pool=register.pool,
            fence_n=await self._first_fence(now_ms),
            generation=register.generation,
            created_ms=now_ms,
        )
        booting = apply(worker, WorkerBooting(now_ms))
        assert isinstance(booting, Worker)
        return booting

    @staticmethod
    def _adopted(
        register: Register,
        node: str,
        worker: Worker,
        known: dict[str, Record],
        now_ms: int,
    ) -> list[Session]:
        """Sessions that the worker holds and the store has forgotten, as records."""
        room = max(0, register.slots - len(worker.sessions))
        forgotten = [
            held for held in register.sessions if schema.session_key(held.session_id) not in known
        ]
        return [
            Session(
                session_id=held.session_id,
                client_id=held.user_id,
                project_id=held.project_id,
                pool=worker.pool,
                state=SessionState.ACTIVE,
                worker_id=register.worker_id,
                fence=held.fence,
                created_ms=now_ms,
            )
            for held in forgotten[:room]
            if held.session_id not in worker.sessions
        ]


def _dropped(worker: Worker, register: Register, known: dict[str, Record]) -> frozenset[str]:
    """Sessions that the worker confirmed once and no longer has."""
    reported = {held.session_id for held in register.sessions}
    return frozenset(
        session_id
        for session_id in worker.active
        if session_id not in reported and schema.session_key(session_id) in known
    )


def _without(worker: Worker, dropped: frozenset[str]) -> Worker:
    return replace(
        worker,
        sessions=tuple(s for s in worker.sessions if s not in dropped),
        active=tuple(s for s in worker.active if s not in dropped),
    )
