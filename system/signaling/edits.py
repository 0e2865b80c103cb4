"""Edits: into the project's log before anybody is told, then to every worker that shows it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from system.protocol.errors import ErrorCode
from system.protocol.fields import Edit, LoggedEdit, ProjectState
from system.protocol.messages import EditAcknowledged, EditApplied, EditRequest
from system.signaling.metrics import Metrics
from system.signaling.sessions import WorkerPort
from system.signaling.tasks import Tasks
from system.store.base import Store, StoreUnavailable
from system.store.ledger import Ledger
from system.store.schema import edits_log, project_channel
from system.telemetry import logs

log = logs.get(__name__)

_SUBSCRIBE_S: Final = 2.0
_RETRY_S: Final = 0.25
_PAGE: Final = 1000

_logged = msgspec.json.Decoder(LoggedEdit)


async def append(
    ledger: Ledger,
    metrics: Metrics,
    request: EditRequest,
    *,
    project_id: str,
    user_id: str,
    on_logged: Callable[[str, int], None],
) -> EditAcknowledged:
    """Log a worker's edit; the answer is made only from what the store has said.

    A repeated edit gets the index of the first. Without the store the edit is
    refused, and the client may send it again. ``on_logged`` hears of new ones.
    """
    edit = msgspec.structs.replace(request.edit, user_id=user_id)
    answer = EditAcknowledged(session_id=request.session_id, edit_id=edit.edit_id)
    try:
        index, fresh = await ledger.append_edit(project_id, edit)
    except StoreUnavailable:
        metrics.edits.labels("unavailable").inc()
        return msgspec.structs.replace(answer, code=ErrorCode.UNAVAILABLE)
    if index == 0:
        metrics.edits.labels("refused").inc()
        return msgspec.structs.replace(answer, code=ErrorCode.EDIT_REFUSED)
    metrics.edits.labels("fresh" if fresh else "repeated").inc()
    if fresh:
        on_logged(project_id, index)
    return msgspec.structs.replace(answer, index=index)


class Feeds:
    """The edits of those projects that workers attached here show."""

    def __init__(self, store: Store, ledger: Ledger, tasks: Tasks) -> None:
        self._store = store
        self._ledger = ledger
        self._tasks = tasks
        self._feeds: dict[str, _Feed] = {}

    async def show(self, project_id: str, port: WorkerPort) -> ProjectState:
        """From now on ``port`` gets the project's edits; what the project is by now.

        An edit logged around this call may be in neither: ask ``missed`` once
        the state is on its way to the worker. Every show needs a ``hide``, also
        one that raises.

        Raises:
            StoreUnavailable: the state could not be read.
        """
        feed = self._feeds.get(project_id)
        if feed is None:
            feed = self._feeds[project_id] = _Feed(self._store, project_id)
            feed.task = self._tasks.spawn(feed.run(), name="edit-feed")
        feed.viewers[port] += 1
        try:
            async with asyncio.timeout(_SUBSCRIBE_S):
                await feed.subscribed.wait()
        except TimeoutError:
            raise StoreUnavailable("no subscription in time") from None
        state = await self._ledger.project(project_id)
        if feed.last is None:
            feed.last = last_index(state)
        return state

    async def missed(self, project_id: str, after: int) -> Sequence[EditApplied]:
        """Edits that the feed has passed already and a state of index ``after`` lacks."""
        feed = self._feeds.get(project_id)
        if feed is None or feed.last is None or feed.last <= after:
            return ()
        return await feed.read(after)

    def hide(self, project_id: str, port: WorkerPort) -> None:
        """Undo one ``show``."""
        feed = self._feeds.get(project_id)
        if feed is None:
            return
        feed.viewers[port] -= 1
        if feed.viewers[port] <= 0:
            del feed.viewers[port]
        if not feed.viewers:
            del self._feeds[project_id]
            if feed.task is not None:
                feed.task.cancel()


def last_index(state: ProjectState) -> int:
    """Index of the last edit that a project's state contains."""
    return state.log[-1].index if state.log else state.snapshot_index


class _Feed:
    """One project's channel; fills the gaps that a channel may have from the log."""

    def __init__(self, store: Store, project_id: str) -> None:
        self._store = store
        self._project_id = project_id
        self.viewers: Counter[WorkerPort] = Counter()
        self.subscribed = asyncio.Event()
        self.last: int | None = None
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        while True:
            try:
                async with self._store.subscribe(project_channel(self._project_id)) as messages:
                    self.subscribed.set()
                    if self.last is not None:
                        await self._catch_up(self.last)
                    async for _, text in messages:
                        await self._passed(_logged.decode(text))
            except StoreUnavailable:
                log.warning("feed.interrupted")
            except msgspec.DecodeError:
                log.warning("feed.undecodable")
            self.subscribed.clear()
            await asyncio.sleep(_RETRY_S)

    async def read(self, after: int) -> list[EditApplied]:
        entries: list[EditApplied] = []
        while True:
            page = await self._store.read_log(edits_log(self._project_id), after, _PAGE)
            for index, entry in page:
                try:
                    edit = msgspec.convert(entry, Edit)
                except msgspec.ValidationError:
                    log.error("edit.undecodable", project_id=self._project_id, index=index)
                    continue
                logged = LoggedEdit(index=index, edit=edit)
                entries.append(EditApplied(project_id=self._project_id, edit=logged))
            if len(page) < _PAGE:
                return entries
            after = page[-1][0]

    async def _passed(self, logged: LoggedEdit) -> None:
        """Tell in log order, each once; announcements of several nodes may cross."""
        if self.last is not None and logged.index > self.last + 1:
            await self._catch_up(self.last)
        if self.last is None or logged.index > self.last:
            self._tell(EditApplied(project_id=self._project_id, edit=logged))

    async def _catch_up(self, after: int) -> None:
        for message in await self.read(after):
            self._tell(message)

    def _tell(self, message: EditApplied) -> None:
        self.last = max(self.last or 0, message.edit.index)
        for port in tuple(self.viewers):
            port.deliver(message)
