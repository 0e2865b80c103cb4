"""Sessions between a client that comes and goes and workers that are lost.

A session that loses its worker is put at the front of its pool's queue, under
the same id; while its client is away it waits suspended instead. All of it is
in the session's one record: the state, and whether it has a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from system.protocol import tokens
from system.protocol.fields import Fence
from system.protocol.states import (
    Refusal,
    Session,
    SessionResumed,
    SessionState,
    SessionSuspended,
    SessionUnplaced,
    apply,
)
from system.store import schema
from system.store.base import ANY, Change, Record
from system.store.transaction import LedgerBase, unqueue


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session whose client is back, with the next resume token.

    ``before`` is the session as the client found it: a worker that it has no
    longer must be told.
    """

    session: Session
    token: str
    before: Session


class MovingLedger(LedgerBase):
    """See system.store.ledger.Ledger."""

    async def suspend(self, session_id: str) -> Session | None:
        """The client's socket is lost; None where the session is to be ended instead.

        One that is being moved keeps no slot meanwhile.
        """
        return await self._suspend(session_id, lambda session: True)

    async def resume(self, resume_token: str, client_id: str, node: str) -> Resumed | None:
        """The client is back on ``node``.

        None where the token was used, is somebody else's, or came too late. The
        session it had is found even where its old socket was not yet given up.
        A session without a worker is queued; so is one that was being moved,
        whose next worker may never have heard of it.
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
            back = await self._back(record, session, node, tokens.digest(next_token))
            if back is None:
                return None
            resumed, changes = back
            queued = resumed.state is SessionState.QUEUED
            if await self.store.compare_and_set(
                *changes,
                *resume_changes(digest, resumed),
                publish=schema.pool_channel(session.pool) if queued else None,
            ):
                return Resumed(resumed, next_token, session)

    async def requeue(
        self, session_id: str, *, lost: Fence, node: str | None = None
    ) -> Session | None:
        """Have a session wait for another worker than the one of fence ``lost``.

        One that waits already, or was given another worker, stays as it is.
        With a ``node`` the client is there: a session that was suspended is
        queued again.

        Returns:
            The session; None where it has ended, cannot be moved, or its client
            is elsewhere.
        """
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None:
                return None
            record, session = found
            if session.state is SessionState.ENDED or not session.movable:
                return None
            if node is not None and session.node not in ("", node):
                return None
            waits = session.worker_id is None
            if session.fence == lost and session.worker_id is not None:
                waiting, changes = self._unplaced(record, session)
                changes += await self._freeing(session.worker_id, session_id, session.pool)
            elif waits and session.state is SessionState.SUSPENDED and node is not None:
                back = await self._back(record, session, node, session.resume_digest)
                if back is None:
                    return None
                waiting, changes = back
            else:
                if waits:
                    await self.store.put(schema.waiting_key(session_id), {}, self.waiting_ms)
                return session
            if await self.store.compare_and_set(
                *changes, publish=schema.pool_channel(session.pool)
            ):
                return waiting

    # --- inside ----------------------------------------------------------------

    async def _requeue(self, session_id: str, fits: Callable[[Session], bool]) -> Session | None:
        """Unplace a session of which nobody asks; None where it does not fit."""
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None or not fits(found[1]) or found[1].worker_id is None:
                return None
            record, session = found
            waiting, changes = self._unplaced(record, session, asked=False)
            changes += await self._freeing(found[1].worker_id, session_id, session.pool)
            if await self.store.compare_and_set(
                *changes, publish=schema.pool_channel(session.pool)
            ):
                return waiting

    async def _suspend(self, session_id: str, fits: Callable[[Session], bool]) -> Session | None:
        tries = self._tries()
        while True:
            await tries.pause()
            found = await self._session(session_id)
            if found is None or not fits(found[1]):
                return None
            record, session = found
            parting = await self._parting(session)
            if parting is None:
                return None
            suspended, freeing = parting
            if session.state is SessionState.QUEUED:
                freeing += unqueue(session)
            if await self.store.compare_and_set(
                schema.session_change(record, suspended),
                *freeing,
                publish=schema.pool_channel(session.pool) if freeing else None,
            ):
                return suspended

    async def _back(
        self, record: Record, session: Session, node: str, resume_digest: str
    ) -> tuple[Session, list[Change]] | None:
        """The session with its client on ``node``, and the changes for it; None: it cannot be."""
        away = session
        changes: list[Change] = []
        if session.state is not SessionState.ACTIVE:
            parting = await self._parting(session)
            if parting is None:
                return None
            away, changes = parting
        resumed = apply(away, SessionResumed(node, resume_digest))
        if isinstance(resumed, Refusal):
            return None
        if resumed.worker_id is not None:
            return resumed, [schema.session_change(record, resumed)]
        waiting, added = self._first_in_queue(record, resumed)
        return waiting, changes + added

    async def _parting(self, session: Session) -> tuple[Session, list[Change]] | None:
        """The session without its client, and what frees the slot that it may not keep.

        None where it cannot be without: no worker has had it yet.
        """
        if session.state is SessionState.SUSPENDED:
            return session, []
        until_ms = await self.store.now_ms() + self.resume_grace_ms
        away = session
        freeing: list[Change] = []
        if session.state in (SessionState.RESERVED, SessionState.CONNECTING):
            if not session.moved or session.worker_id is None:
                return None
            unplaced = apply(session, SessionUnplaced())
            assert isinstance(unplaced, Session)
            away = unplaced
            freeing = await self._freeing(session.worker_id, session.session_id, session.pool)
        suspended = apply(away, SessionSuspended(until_ms))
        return None if isinstance(suspended, Refusal) else (suspended, freeing)


def resume_changes(old_digest: str, session: Session) -> list[Change]:
    """The session's one valid resume token points to it, its last one no longer."""
    changes = []
    if old_digest:
        changes.append(Change(schema.resume_key(old_digest), ANY, None))
    if session.resume_digest:
        pointer = {"session_id": session.session_id}
        changes.append(Change(schema.resume_key(session.resume_digest), ANY, pointer))
    return changes
