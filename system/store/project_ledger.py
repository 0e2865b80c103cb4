"""Projects in the store: a snapshot and the log of edits after it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from system.protocol import limits
from system.protocol.fields import Edit, LoggedEdit, ProjectState
from system.store import schema
from system.store.base import ABSENT, Change
from system.store.transaction import LedgerBase

PAGE: Final = 1000


class ProjectLedger(LedgerBase):
    """See system.store.ledger.Ledger."""

    async def project(self, project_id: str, *, after: int = 0) -> ProjectState:
        """The project's snapshot, if it has one, and all edits after it.

        For somebody who knows everything up to the edit ``after``, the edits
        that follow are enough.
        """
        record = await self.store.get(schema.snapshot_key(project_id))
        snapshot, start = None, after
        if record is not None and int(record.value["index"]) > after:
            snapshot, start = record.value["snapshot"], int(record.value["index"])
        after = start
        edits: list[LoggedEdit] = []
        while True:
            page = await self.store.read_log(schema.edits_log(project_id), after, PAGE)
            edits += (LoggedEdit(index=i, edit=msgspec.convert(e, Edit)) for i, e in page)
            if len(page) < PAGE:
                break
            after = page[-1][0]
        return ProjectState(
            project_id=project_id, snapshot=snapshot, snapshot_index=start, log=tuple(edits)
        )

    async def save_snapshot(self, project_id: str, index: int, snapshot: dict[str, Any]) -> bool:
        """Keep what the log comes to at ``index``; False where a later one is kept already."""
        key = schema.snapshot_key(project_id)
        tries = self._tries()
        while True:
            await tries.pause()
            record = await self.store.get(key)
            if record is not None and int(record.value["index"]) >= index:
                return False
            version = ABSENT if record is None else record.version
            value = {"index": index, "snapshot": snapshot}
            if await self.store.compare_and_set(Change(key, version, value)):
                return True

    async def append_edit(self, project_id: str, edit: Edit) -> tuple[int, bool]:
        """Append an edit: its index, and whether it is new. (0, False): the log is full.

        A new one is published on the project's channel as a LoggedEdit; a
        repeated one again, since the first announcement may have been lost.
        """
        index, fresh = await self.store.append(
            schema.edits_log(project_id),
            schema.dump(edit),
            unique=edit.edit_id,
            limit=limits.MAX_EDITS_PER_PROJECT,
        )
        if index:
            logged = msgspec.json.encode(LoggedEdit(index=index, edit=edit)).decode()
            await self.store.publish(schema.project_channel(project_id), logged)
        return index, fresh
