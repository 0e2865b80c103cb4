"""The helper processes of this Locust process, seen from greenlets.

A helper hosts the viewers; a greenlet per helper reads what it tells. A helper
that ends by itself fails the viewers it held, with an error they can show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import RLock

from system.client import hostproto
from system.client.errors import HelperGone
from system.client.histogram import LogHistogram
from system.client.hosts import HelperProcess

READY_S: Final = 30.0
"""Importing a WebRTC stack on a busy machine takes seconds."""
DRAIN_S: Final = 15.0
HELPER_GONE: Final = "helper_gone"
"""Reason of a session that was lost with its helper."""


@dataclass(eq=False, slots=True)
class Session:
    """A viewer that a helper was asked to start; ``done`` is set with its end, always."""

    command: hostproto.Start
    helper: _Helper
    joined: bool = False
    done: AsyncResult = field(default_factory=AsyncResult)

    @property
    def id(self) -> str:
        return self.command.id


class Listener(Protocol):
    """Told what helpers say, in the greenlet that reads them: it must not block."""

    def joined(self, session: Session, event: hostproto.Joined) -> None: ...

    def ended(self, session: Session, event: hostproto.Ended) -> None: ...

    def inputs(self, latencies: LogHistogram) -> None: ...

    def health(self, node: str, event: hostproto.Health) -> None: ...

    def lost(self, node: str, text: str) -> None: ...


class _Helper:
    """One helper process and the sessions it holds."""

    def __init__(self, node: str, listener: Listener) -> None:
        self.node = node
        self.sessions: dict[str, Session] = {}
        self.ready = Event()
        self.drained = Event()
        self.gone = Event()
        self._closing = False
        self._listener = listener
        self._process = HelperProcess(node)
        self._reader = gevent.spawn(self._read)

    def send(self, command: hostproto.Command) -> None:
        self._process.send(command)

    def close(self, timeout_s: float) -> None:
        self._closing = True
        self._process.close(timeout_s)
        self._reader.join(timeout_s)
        self._reader.kill()

    def kill(self) -> None:
        self._closing = True
        self._process.kill()

    def _read(self) -> None:
        why = ""
        try:
            for event in self._process.events():
                self._take(event)
        except HelperGone as error:
            why = str(error)
        finally:
            self._ended(why)

    def _take(self, event: hostproto.Event) -> None:
        match event:
            case hostproto.Ready():
                self.ready.set()
            case hostproto.Joined(id=name) if name in self.sessions:
                session = self.sessions[name]
                session.joined = True
                self._listener.joined(session, event)
            case hostproto.Ended(id=name) if name in self.sessions:
                session = self.sessions.pop(name)
                self._listener.ended(session, event)
                session.done.set(event)
            case hostproto.Health(inputs=inputs):
                self._tell_inputs(inputs)
                self._listener.health(self.node, event)
            case hostproto.Drained(inputs=inputs):
                self._tell_inputs(inputs)
                self.drained.set()
            case _:
                pass  # `queued`, and what comes after a session's end

    def _tell_inputs(self, inputs: dict[str, Any] | None) -> None:
        if inputs is not None:
            self._listener.inputs(LogHistogram.from_json(inputs))

    def _ended(self, why: str) -> None:
        self.gone.set()
        self.drained.set()
        if not self._closing:
            status = self._process.returncode
            how = why or (f"exit status {status}" if status is not None else "its pipe closed")
            self._process.kill()
            self._listener.lost(self.node, f"helper {self.node} was lost: {how}")
        for session in list(self.sessions.values()):
            event = hostproto.Ended(
                id=session.id,
                outcome="interrupted" if session.joined else "failed",
                reason=HELPER_GONE,
                summary={},
            )
            self._listener.ended(session, event)
            session.done.set(event)
        self.sessions.clear()


class Helpers:
    """So many helper processes, started when first needed and again where one was lost."""

    def __init__(self, count: int, listener: Listener) -> None:
        self._count = count
        self._listener = listener
        self._lock = RLock()
        self._helpers: list[_Helper] = []

    def start(self, name: Callable[[int], str]) -> None:
        """Have ``count`` helpers that are ready; ``name`` makes a node's name of its place.

        Raises:
            HelperGone: one could not be started, or was not ready in time.
        """
        with self._lock:
            alive = [helper for helper in self._helpers if not helper.gone.is_set()]
            for place in range(len(alive), self._count):
                alive.append(_Helper(name(place), self._listener))
            self._helpers = alive
            deadline = gevent.Timeout.start_new(READY_S)
            try:
                for helper in alive:
                    gevent.wait([helper.ready, helper.gone], count=1)
                    if helper.gone.is_set():
                        raise HelperGone(f"helper {helper.node} ended while it started")
            except gevent.Timeout as error:
                if error is not deadline:
                    raise
                raise HelperGone(f"a helper was not ready within {READY_S:g} s") from None
            finally:
                deadline.close()

    def begin(self, run: Callable[[str], hostproto.Run], name: Callable[[int], str]) -> None:
        """Start a run on every helper, under the names of this run; raises HelperGone."""
        self.start(name)
        for place, helper in enumerate(self._helpers):
            helper.node = name(place)
            helper.drained.clear()
            helper.send(run(helper.node))

    def view(self, command: hostproto.Start) -> Session:
        """Start a session on the helper with the fewest; it may end at once, never raises."""
        alive = [helper for helper in self._helpers if not helper.gone.is_set()]
        helper = min(alive or self._helpers, key=lambda each: len(each.sessions))
        session = Session(command, helper)
        try:
            if not alive:
                raise HelperGone("no helper is left")
            helper.sessions[session.id] = session
            helper.send(command)
        except HelperGone:
            helper.sessions.pop(session.id, None)
            if not session.done.ready():
                event = hostproto.Ended(
                    id=session.id, outcome="failed", reason=HELPER_GONE, summary={}
                )
                self._listener.ended(session, event)
                session.done.set(event)
        return session

    def leave(self, session: Session) -> None:
        """End a session as its viewer would; its ``done`` follows."""
        if session.done.ready():
            return
        with suppress(HelperGone):  # then its reader ends the session
            session.helper.send(hostproto.Stop(id=session.id))

    @property
    def sessions(self) -> list[Session]:
        """Sessions in progress."""
        return [session for helper in self._helpers for session in helper.sessions.values()]

    def drain(self, timeout_s: float = DRAIN_S) -> None:
        """End all sessions and have all rows written; one that does not is killed."""
        for helper in self._helpers:
            try:
                helper.send(hostproto.Drain())
                # What it tells of itself between two runs belongs to none.
                helper.send(hostproto.Run(epoch=time.time(), node=helper.node))
            except HelperGone:
                helper.drained.set()
        gevent.wait([helper.drained for helper in self._helpers], timeout=timeout_s)
        for helper in self._helpers:
            if not helper.drained.is_set():
                self._listener.lost(
                    helper.node,
                    f"helper {helper.node} did not write its rows within {timeout_s:g} s",
                )
                helper.kill()

    def close(self, timeout_s: float) -> None:
        """End every helper; safe to call twice."""
        helpers, self._helpers = self._helpers, []
        gevent.joinall([gevent.spawn(helper.close, timeout_s) for helper in helpers])
