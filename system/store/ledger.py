"""The ledger: the only code that changes session and worker records.

Every change is one ``states.apply`` and one compare-and-set over all records
it touches, tried again after a conflict. Nothing is remembered in the process,
so any number of orchestrators and signaling nodes may each have a ledger. All
methods raise StoreUnavailable and nothing else. Every change of a pool is
announced on its channel (``pool:<name>``).
"""

from __future__ import annotations

from collections.abc import Iterable

from system.protocol.states import Session, Worker
from system.store import schema
from system.store.expiry import Expired, ExpiryLedger
from system.store.pool_ledger import PoolLedger
from system.store.project_ledger import ProjectLedger
from system.store.reserving import PoolSnapshot, Reservation
from system.store.session_ledger import SessionLedger

__all__ = ["Expired", "Ledger", "PoolSnapshot", "Reservation"]


class Ledger(PoolLedger, SessionLedger, ExpiryLedger, ProjectLedger):
    """Sessions, workers, queues and projects in one store.

    Args:
        store: where the records are.
        lease_ms: a reservation must be confirmed within it.
        heartbeat_ms: a worker is lost after three of them without one.
        resume_grace_ms: how long a suspended session waits for its client.
        waiting_ms: how long a queued session lives without anybody asking for it.
        scrub: freed workers of pools without settings in the store rest until scrubbed.
        rng: jitter, and which worker is tried after a conflict.
    """

    async def get_session(self, session_id: str) -> Session | None:
        found = await self._session(session_id)
        return None if found is None else found[1]

    async def get_worker(self, worker_id: str) -> Worker | None:
        found = await self._worker(worker_id)
        return None if found is None else found[1]

    async def sessions(self) -> list[Session]:
        """All sessions, those that ended within the last minute included."""
        return [schema.load(r, Session) for r in await self.store.list(schema.SESSIONS)]

    async def workers(self) -> list[Worker]:
        """All workers, those that failed or went within the last minute included."""
        return [schema.load(r, Worker) for r in await self.store.list(schema.WORKERS)]

    async def vitals(self, worker_ids: Iterable[str]) -> dict[str, dict[str, float]]:
        """What those workers that live said of themselves in their last heartbeats."""
        keys = {schema.heartbeat_key(worker_id): worker_id for worker_id in worker_ids}
        found = await self.store.get_many(keys)
        return {keys[key]: record.value.get("vitals", {}) for key, record in found.items()}
