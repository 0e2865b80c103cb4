"""How the ledger's records lie in the store: keys, channels, and records to values and back."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from system.protocol.states import FINAL, Session, SessionState, Worker
from system.store.base import Change, Record

T = TypeVar("T")

SESSIONS: Final = "session"
WORKERS: Final = "worker"
HEARTBEATS: Final = "heartbeat"
WAITING: Final = "waiting"
POOLS: Final = "pool"
LEADERS: Final = "leader"
EPOCH_KEY: Final = "meta:epoch"
TOMBSTONE_MS: Final = 60_000
"""Ended sessions and workers that are gone stay visible for so long."""


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process must know of a pool; written by the orchestrator."""

    scrub: bool = False
    """A freed worker rests until the orchestrator has scrubbed or replaced it."""
    max_workers: int | None = None
    policy: dict[str, Any] = {}


def session_key(session_id: str) -> str:
    return f"{SESSIONS}:{session_id}"


def worker_key(worker_id: str) -> str:
    return f"{WORKERS}:{worker_id}"


def heartbeat_key(worker_id: str) -> str:
    return f"{HEARTBEATS}:{worker_id}"


def waiting_key(session_id: str) -> str:
    """Exists while the client behind a queued session still asks."""
    return f"{WAITING}:{session_id}"


def pool_key(pool: str) -> str:
    return f"{POOLS}:{pool}"


def leader_key(pool: str) -> str:
    """Which orchestrator decides for a pool; gone when it has not said so for a while."""
    return f"{LEADERS}:{pool}"


def queue_of(pool: str) -> str:
    """Collection of a pool's queue; its records' versions are the order of arrival.

    Sessions that had a worker already (``moved``) come before all that had none.
    """
    return f"queue.{pool}"


def queue_key(pool: str, session_id: str) -> str:
    return f"{queue_of(pool)}:{session_id}"


def resume_key(digest: str) -> str:
    return f"resume:{digest}"


def snapshot_key(project_id: str) -> str:
    return f"project:{project_id}"


def edits_log(project_id: str) -> str:
    return f"edits:{project_id}"


def pool_channel(pool: str) -> str:
    return f"pool:{pool}"


def node_channel(node: str) -> str:
    return f"node:{node}"


def project_channel(project_id: str) -> str:
    return f"project:{project_id}"


def load(record: Record, kind: type[T]) -> T:
    """The record's value as a ``kind``."""
    return msgspec.convert(record.value, kind)


def dump(value: Any) -> dict[str, Any]:
    """A record as plain data."""
    data: dict[str, Any] = msgspec.to_builtins(value)
    return data


def session_change(before: Record | None, session: Session) -> Change:
    """Writes a session where ``before`` was read; an ended one as a tombstone."""
    return Change(
        session_key(session.session_id),
        0 if before is None else before.version,
        dump(session),
        TOMBSTONE_MS if session.state is SessionState.ENDED else None,
    )


def worker_change(before: Record | None, worker: Worker) -> Change:
    """Writes a worker where ``before`` was read; one that is final as a tombstone."""
    return Change(
        worker_key(worker.worker_id),
        0 if before is None else before.version,
        dump(worker),
        TOMBSTONE_MS if worker.state in FINAL else None,
    )
