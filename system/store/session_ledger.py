"""Signaling's side of the ledger: workers that register and beat, sessions from confirm to end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from system.protocol import tokens
from system.protocol.fields import Fence, HeldSession
from system.protocol.messages import Register
from system.protocol.states import (
    FINAL,
    Refusal,
    Session,
    SessionActivated,
    SessionConfirmed,
    SessionResumed,
    SessionState,
    SessionSuspended,
    SlotConfirmed,
    Worker,
    WorkerBooting,
    WorkerReady,
    apply,
)
from system.store import schema
from system.store.base import ANY, Change, Record
from system.store.transaction import WORKER_LOST, LedgerBase, lost

HELD = frozenset({SessionState.CONNECTING, SessionState.ACTIVE, SessionState.SUSPENDED})
"""States in which a worker has the session, and says so when it registers again."""


class SessionLedger(LedgerBase):
    """See system.store.ledger.Ledger."""

    # --- workers ---------------------------------------------------------------

    async def register(self, register: Register, node: str) -> Worker | Refusal:
        """Take a worker into the pool; of one id the newest generation wins.

        Sessions that the ledger gave it and that it no longer has are ended;
        sessions that it reports and the store has forgotten (it was wiped) are
        taken over. What it reports beyond the returned ``sessions`` is void:
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
            ended = tuple(s for s in worker.sessions if s not in ready.sessions)
            _, changes = await self._ending_all(ended, WORKER_LOST)
            if await self.store.compare_and_set(
                schema.worker_change(record, ready),
                *(schema.session_change(None, session) for session in adopted),
                *changes,
                publish=schema.pool_channel(ready.pool),
            ):
                return ready

    async def heartbeat(
        self, worker_id: str, generation: int, sessions: Iterable[HeldSession] = ()
    ) -> bool:
        """The worker lives. False: the store does not know it (any more), it must register."""
        found = await self._worker(worker_id)
        if found is None or found[1].generation != generation or found[1].state in FINAL:
            return False
        await self._beat(worker_id, generation)
        return True

    async def worker_lost(
        self, worker_id: str, generation: int, reason: str, *, node: str | None = None
    ) -> list[Session]:
        """The worker is gone: end its sessions and return them.

        One that was told to go, and had no session left, has not failed.
        Nothing happens if a newer generation has registered, or if the worker
        is attached to another node than ``node`` by now.
        """
        ended = await self._end_worker(
            worker_id,
            lost(reason),
            WORKER_LOST,
            lambda worker: worker.generation == generation and node in (None, worker.node),
        )
        return ended or []

    # --- sessions --------------------------------------------------------------

    async def attach_client(self, session_id: str, node: str, resume_digest: str) -> Session | None:
        """Note where the client is and which resume token it holds; None if the session ended."""
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None or found[1].state is SessionState.ENDED:
                return None
            attached = replace(found[1], node=node, resume_digest=resume_digest)
            if await self.store.compare_and_set(
                schema.session_change(found[0], attached),
                *_resume_changes(found[1].resume_digest, attached),
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
        return await self._to_session(session_id, SessionActivated(fence)) is not None

    async def suspend(self, session_id: str) -> Session | None:
        """The client's socket is lost; None where the session is not active."""
        until_ms = await self.store.now_ms() + self.resume_grace_ms
        return await self._to_session(session_id, SessionSuspended(until_ms))

    async def resume(
        self, resume_token: str, client_id: str, node: str
    ) -> tuple[Session, str] | None:
        """The client is back on ``node``: its session and the next token.

        None where the token was used, is somebody else's, or came too late. The
        session it had is found even where its old socket was not yet given up.
        """
        digest = tokens.digest(resume_token)
        next_token = tokens.new_resume_token()
        tries = self._tries()
        while True:
            await tries.pause()
            pointer = await self.store.get(schema.resume_key(digest))
            if pointer is None:
                return None
            found = await self._session(pointer.value["session_id"])
            if found is None:
                return None
            record, session = found
            if session.client_id != client_id or session.resume_digest != digest:
                return None
            until_ms = session.suspended_until_ms
            if until_ms is not None and until_ms < await self.store.now_ms():
                return None
            resumed = apply(session, SessionResumed(node, tokens.digest(next_token)))
            if isinstance(resumed, Refusal):
                return None
            if await self.store.compare_and_set(
                schema.session_change(record, resumed), *_resume_changes(digest, resumed)
            ):
                return resumed, next_token

    async def release(self, session_id: str, *, fence: Fence | None, reason: str) -> bool:
        """End the session and free its slot. True if it has ended, by this call or before.

        With a ``fence``, only if the session is still that fence's.
        """
        ended = await self._end_session(
            session_id, reason, lambda session: fence is None or session.fence == fence
        )
        if ended is not None:
            return True
        found = await self._session(session_id)
        return found is not None and found[1].state is SessionState.ENDED

    # --- inside ----------------------------------------------------------------

    async def _beat(self, worker_id: str, generation: int) -> None:
        key = schema.heartbeat_key(worker_id)
        await self.store.put(key, {"generation": generation}, 3 * self.heartbeat_ms)

    async def _to_session(
        self, session_id: str, event: SessionActivated | SessionSuspended
    ) -> Session | None:
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None:
                return None
            changed = apply(found[1], event)
            if isinstance(changed, Refusal):
                return None
            if changed == found[1] or await self.store.compare_and_set(
                schema.session_change(found[0], changed)
            ):
                return changed

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
                client_id="",
                project_id="",
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


def _resume_changes(old_digest: str, session: Session) -> list[Change]:
    """The session's one valid resume token points to it, its last one no longer."""
    changes = []
    if old_digest:
        changes.append(Change(schema.resume_key(old_digest), ANY, None))
    if session.resume_digest:
        pointer = {"session_id": session.session_id}
        changes.append(Change(schema.resume_key(session.resume_digest), ANY, pointer))
    return changes
