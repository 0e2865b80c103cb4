"""Folds long logs of edits into snapshots, so that a new worker begins with little.

The log stays whole: a snapshot only says what it comes to at some index.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from system.media.project import Project, ProjectError, fold
from system.protocol.fields import ProjectState
from system.signaling.edits import last_index
from system.signaling.tasks import Tasks
from system.store.ledger import Ledger
from system.telemetry import logs

log = logs.get(__name__)

EVERY: Final = 256
"""Edits between two snapshots of a project."""

_PATIENCE_S: Final = 5.0
"""How long the store is asked; after that, the next snapshot makes good."""


class Snapshots:
    """Writes a snapshot for every so many edits that are logged through this node."""

    def __init__(self, ledger: Ledger, tasks: Tasks) -> None:
        self._ledger = ledger
        self._tasks = tasks

    def logged(self, project_id: str, index: int) -> None:
        """A new edit has got this place in the project's log."""
        if index % EVERY == 0:
            self._tasks.errand(
                lambda: self.write(project_id), name="snapshot", patience_s=_PATIENCE_S
            )

    async def write(self, project_id: str) -> None:
        """Fold all that is in the log by now. Raises StoreUnavailable."""
        state = await self._ledger.project(project_id)
        try:
            snapshot = await asyncio.to_thread(folded, state)
        except ProjectError as error:
            log.error("snapshot.impossible", project_id=project_id, error=str(error))
            return
        index = last_index(state)
        if await self._ledger.save_snapshot(project_id, index, snapshot):
            log.info("snapshot.written", project_id=project_id, index=index)


def folded(state: ProjectState) -> dict[str, Any]:
    """The state without a log: the same project, as ``Project.to_json`` has it.

    Raises:
        ProjectError: its snapshot is none.
    """
    if state.snapshot is None:
        project = Project.default(state.project_id)
    else:
        project = Project.from_json(json.dumps(state.snapshot))
    edits = (
        {"type": logged.edit.type, "editId": logged.edit.edit_id, "data": logged.edit.data}
        for logged in state.log
    )
    document: dict[str, Any] = json.loads(fold(project, edits).to_json())
    return document
