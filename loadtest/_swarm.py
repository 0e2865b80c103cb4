"""The viewers of one Locust process: its share of a run, held by its helpers."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import gevent
from locust.exception import StopUser

from loadtest._arrivals import pace
from loadtest._helpers import HELPER_GONE, Helpers, Session
from loadtest._meter import ProcessMeter
from loadtest._order import Order
from loadtest._pulse import PERIOD_S, Pulse, PulseMaker
from loadtest._share import RunShare
from loadtest._table import Table
from reports import tables
from scenarios.schedule import Arrival
from system.client import hostproto
from system.client.errors import HelperGone
from system.client.histogram import LogHistogram

logger = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE_S: Final = 1.0
"""A closed load's viewer waits so long before it tries again."""
CLOSE_S: Final = 5.0


@dataclass(slots=True)
class Outcome:
    """What a process hands back after its share: why it cannot be trusted, and its rows."""

    problems: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    """Parts that are not in the run directory because that is on another machine."""


class Swarm:
    """Starts viewers and keeps the books of this process; one run after another."""

    def __init__(self, table: Table, helpers: int) -> None:
        self.tell: Callable[[Pulse], None] = lambda pulse: None
        """Told once a second how this process and its viewers are."""
        self.helpers = Helpers(helpers, self)
        self._pulse = PulseMaker()
        self._count = helpers
        self._table = table
        self._run: RunShare | None = None

    def start_helpers(self) -> None:
        """Have the helpers ready before a run needs them; raises HelperGone."""
        self.helpers.start(self._node)

    def warm(self) -> None:
        """Start the helpers ahead of need; who needs them is told what went wrong."""
        with suppress(HelperGone):
            self.start_helpers()

    def _node(self, place: int) -> str:
        index = self._run.order.share_index if self._run else 0
        return f"helper-{index * self._count + place}"

    def begin(self, order: Order) -> None:
        """Take a share in a run; raises HelperGone."""
        share = RunShare(order)
        self._run = share
        parts = str(share.parts)
        spans, pictures = share.told_spans, share.pictures
        try:
            self.helpers.begin(
                lambda node: hostproto.Run(
                    epoch=order.epoch, parts=parts, node=node, stages=spans, pictures=pictures
                ),
                self._node,
            )
        except HelperGone as error:
            share.problems.append(str(error))
            raise
        meter = ProcessMeter(
            share.node,
            start_at=share.start_at,
            sessions=lambda: len(self.helpers.sessions),
            emit=share.system.append,
        )
        share.greenlets.append(gevent.spawn(meter.run))
        share.greenlets.append(gevent.spawn(self._beat, share))

    def _beat(self, share: RunShare) -> None:
        self._pulse = PulseMaker()
        while True:
            gevent.sleep(PERIOD_S)
            cpu = share.system[-1]["cpu"] if share.system else 0.0
            going = [(session.command.stage, session.joined) for session in self.helpers.sessions]
            self.tell(self._pulse.take(share.node, cpu, going))

    def enter(self, stage: str) -> None:
        """Sessions that begin from now on belong to ``stage``; for a capacity search."""
        if self._run is not None:
            self._run.stage = stage

    def pace(self, spawn: Callable[[Arrival], None], ready: Callable[[], bool]) -> None:
        """Let this process's arrivals of an open load begin, each at its time."""
        share = self._run
        if share is None or not share.is_open:
            return

        def arrive() -> None:
            # A user that starts while Locust still "ramps up to 0" would be stopped by it.
            while not ready():
                gevent.sleep(0.01)
            pace(
                share.order.share.of(share.arrivals),
                start_at=share.start_at,
                clock=time.monotonic,
                sleep=gevent.sleep,
                begin=spawn,
            )

        share.greenlets.append(gevent.spawn(arrive))

    def watch(self, arrival: Arrival | None) -> None:
        """Live as one Locust user: one session of an open load, or a closed load's, for ever.

        Raises:
            StopUser: this user is done.
        """
        share = self._run
        if share is None or share.ending or (share.is_open and arrival is None):
            raise StopUser
        if arrival is not None:
            self._view(share, arrival, f"v{arrival.index}", share.order.epoch + arrival.at_s)
            raise StopUser
        number = share.take_number()
        try:
            self._watch_again_and_again(share, number)
        finally:
            share.give_number(number)

    def _watch_again_and_again(self, share: RunShare, number: int) -> None:
        following: Arrival | None = share.first(number)
        while following is not None and not share.ending:
            following = replace(following, stage=share.stage_now())
            session = self._view(share, following, f"v{number}-{share.next_id()}", time.time())
            ended: hostproto.Ended = session.done.get()
            if ended.outcome != "ok" and not share.ending:
                gevent.sleep(PAUSE_AFTER_FAILURE_S)
            following = share.after(following)
        raise StopUser

    def _view(self, share: RunShare, arrival: Arrival, name: str, scheduled_at: float) -> Session:
        wait_s = share.cap.reserve(time.monotonic())
        if wait_s > 0:
            gevent.sleep(wait_s)
            if not share.is_open:
                scheduled_at = time.time()
        command = share.command(arrival, name, scheduled_at)
        share.note_arrival(command)
        session = self.helpers.view(command)
        try:
            session.done.get()
        finally:
            self.helpers.leave(session)
        return session

    def stop_arrivals(self) -> None:
        """Begin no further session in this run."""
        if self._run is not None:
            self._run.ending = True
            gevent.killall(self._run.greenlets)

    def drain(self) -> Outcome:
        """End the share: sessions end, rows are written. Afterwards there is no run."""
        share = self._run
        if share is None:
            return Outcome()
        self.stop_arrivals()
        self.helpers.drain()
        self._run = None
        outcome = Outcome(problems=share.problems)
        tables.write_rows(share.part("system"), "system", share.system)
        tables.write_rows(share.part("events"), "events", share.events)
        if share.order.parts is None:
            outcome.files = sorted(share.parts.glob("*.parquet"))
        return outcome

    def forget(self, outcome: Outcome) -> None:
        """Remove parts that were handed on."""
        for parent in {file.parent for file in outcome.files}:
            shutil.rmtree(parent, ignore_errors=True)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """End the helpers; those that take longer are killed."""
        self.stop_arrivals()
        self.helpers.close(timeout_s)

    # --- what helpers tell -------------------------------------------------------

    def joined(self, session: Session, event: hostproto.Joined) -> None:
        self._pulse.joined(session.command.stage, event)
        self._table.joined(event.join_time_s)

    def ended(self, session: Session, event: hostproto.Ended) -> None:
        self._pulse.ended(session.command.stage, event, joined=session.joined)
        self._table.ended(event.outcome, event.reason, joined=session.joined, summary=event.summary)
        if event.reason == HELPER_GONE and self._run is not None:
            self._run.note_lost(session.command)

    def inputs(self, latencies: LogHistogram) -> None:
        self._pulse.inputs(latencies)
        self._table.inputs(latencies)

    def health(self, node: str, event: hostproto.Health) -> None:
        self._pulse.health(node, event)

    def lost(self, node: str, text: str) -> None:
        logger.error("%s", text)
        if self._run is not None:
            self._run.problems.append(text)
