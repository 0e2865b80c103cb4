"""One run as one Locust process sees it: its viewers, their commands, its own rows."""

from __future__ import annotations

import heapq
import json
import math
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import gevent

from loadtest._arrivals import RateCap
from loadtest._helpers import HELPER_GONE
from loadtest._order import Order
from loadtest._target import with_viewers
from scenarios import schedule
from scenarios.load import CapacityLoad, OpenLoad
from scenarios.loader import loads
from scenarios.model import Scenario
from scenarios.schedule import Arrival
from system.client import hostproto
from system.protocol import tokens
from system.protocol.records import EventRow, SystemRow
from system.stack.config import is_loopback

FOR_EVER_S: Final = 365 * 86_400.0


class RunShare:
    """One run as this process sees it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.scenario: Scenario = loads(
            order.scenario_text, host=None, base=None if order.files is None else Path(order.files)
        )
        self.is_open = isinstance(self.scenario.load, OpenLoad)
        self.searches = isinstance(self.scenario.load, CapacityLoad)
        if not self.is_open and not self.searches:
            self.scenario = with_viewers(self.scenario, order.users)
        self.arrivals = schedule.arrivals(self.scenario)
        self.spans = schedule.stages(self.scenario)
        self.stage = self.spans[0].name
        """Of a capacity search, which says when the next one begins."""
        self.start_at = time.monotonic() + order.epoch - time.time()
        per_s = order.joins_per_s
        self.cap = RateCap(None if per_s is None else per_s / order.share_count)
        self.node = f"locust-{order.share_index}"
        self.parts = order.parts or Path(tempfile.mkdtemp(prefix="remote-render-parts-"))
        self.system: list[SystemRow] = []
        self.events: list[EventRow] = []
        self.problems: list[str] = []
        self.greenlets: list[gevent.Greenlet] = []
        self.ending = False
        self._free: list[int] = []
        self._numbers = 0
        self._ids = 0
        self._keys = tokens.Keys.from_secret(order.secret) if order.secret else None
        wanted = self.scenario.load.input
        self._input = (
            hostproto.InputMix(wanted.rate_per_s, {str(kind): w for kind, w in wanted.mix.items()})
            if wanted is not None
            else None
        )
        path = self.scenario.network
        self._network = (
            hostproto.Network(path.rtt_s, path.jitter_s, path.loss) if path is not None else None
        )
        self._token_text: str | None = None
        address = urlsplit(order.url).hostname or ""
        local = "::1" if ":" in address else "127.0.0.1"
        self._ice = hostproto.Ice(addresses=(local,) if is_loopback(address) else None)

    def part(self, table: str) -> Path:
        """The Parquet part of this process's own rows."""
        return self.parts / f"{table}-{self.node}.parquet"

    @property
    def told_spans(self) -> tuple[hostproto.Span, ...]:
        """The stages as helpers write them into rows; a search's rows go by their time alone."""
        if self.searches:
            return (hostproto.Span("", 0.0, FOR_EVER_S),)
        return tuple(hostproto.Span(span.name, span.start_s, span.end_s) for span in self.spans)

    @property
    def pictures(self) -> tuple[int, int] | None:
        """The size of the pictures that will be judged; None where none will."""
        if self.order.picture_every_s is None or not self.scenario.load.receive.decode:
            return None
        resolution = self.scenario.stream.resolution
        return resolution.width, resolution.height

    def stage_now(self) -> str:
        """The stage of what a viewer begins now."""
        if self.searches:
            return self.stage
        return schedule.stage_at(self.spans, time.monotonic() - self.start_at)

    def take_number(self) -> int:
        """The lowest viewer number of this process that is free."""
        if self._free:
            return heapq.heappop(self._free)
        self._numbers += 1
        return self.order.share.number(self._numbers - 1)

    def give_number(self, number: int) -> None:
        heapq.heappush(self._free, number)

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def first(self, number: int) -> Arrival:
        """The first session of a closed load's viewer; more viewers than planned are welcome."""
        if number < len(self.arrivals):
            return self.arrivals[number]
        return schedule.arrivals(with_viewers(self.scenario, number + 1))[number]

    def after(self, previous: Arrival) -> Arrival | None:
        """What its viewer does after ``previous``; Locust ends the run, not the scenario."""
        now_s = min(time.monotonic() - self.start_at, schedule.duration_s(self.scenario) - 1e-3)
        return schedule.next_arrival(self.scenario, previous, now_s)

    def command(self, arrival: Arrival, name: str, scheduled_at: float) -> hostproto.Start:
        stream = self.scenario.stream
        return hostproto.Start(
            id=name,
            user_id=arrival.user_id,
            project_id=arrival.project_id,
            url=self.order.url,
            scheduled_at=scheduled_at,
            token=self._token(arrival),
            session_s=None if math.isinf(arrival.session_s) else arrival.session_s,
            patience_s=arrival.patience_s,
            tier=arrival.tier,
            input=self._input,
            stage=arrival.stage,
            seed=arrival.input_seed,
            ice=self._ice,
            network=self._network,
            codec=stream.codec,
            fps=stream.fps,
            pacing=stream.pacing,
            picture_every_s=self.order.picture_every_s,
        )

    def _token(self, arrival: Arrival) -> str | None:
        if self._keys is not None:
            return tokens.sign(
                self._keys,
                tokens.Audience.CLIENT,
                arrival.user_id,
                now_s=time.time(),
                ttl_s=tokens.JOIN_TTL_S,
                project_id=arrival.project_id,
            )
        if self.order.token_file is not None:
            # A token that is being replaced just now may be away for a moment.
            with suppress(OSError):
                self._token_text = Path(self.order.token_file).read_text(encoding="utf-8").strip()
        return self._token_text

    def note_arrival(self, command: hostproto.Start) -> None:
        """That an arrival was begun, and how late: also of one that leaves no other trace."""
        self._note(command, "arrival", max(time.time() - command.scheduled_at, 0.0), "s")

    def note_lost(self, command: hostproto.Start) -> None:
        """A session whose helper was lost: nobody else writes a row for it."""
        after_s = round(max(time.time() - command.scheduled_at, 0.0), 3)
        attrs = {"code": HELPER_GONE, "after_s": after_s}
        self._note(command, "session.failed", 1.0, "ratio", attrs)

    def _note(
        self,
        command: hostproto.Start,
        event: str,
        value: float,
        unit: str,
        attrs: dict[str, Any] | None = None,
    ) -> None:
        self.events.append(
            EventRow(
                t_us=round((command.scheduled_at - self.order.epoch) * 1e6),
                source="loadtest",
                node=self.node,
                session_id=command.id,
                stage=command.stage,
                event=event,
                value=value,
                unit=unit,
                attrs=json.dumps(attrs) if attrs else "",
            )
        )
