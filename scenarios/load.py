"""The load of a scenario: who arrives when, stays how long, and does what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from scenarios import traces
from scenarios.distributions import AnyDistribution, Distribution, is_never
from scenarios.fields import (
    Name,
    PerSecond,
    Place,
    PositivePerSecond,
    PositiveSeconds,
    Ratio,
    Seconds,
    Strict,
    problems,
)
from scenarios.files import BadFile, FromFile
from scenarios.traces import Recorded

STEPS_MAX = 1000

InputType = Literal[
    "camera:orbit", "camera:zoom", "device:click", "device:drag", "connection:create"
]


def _orbit_only() -> dict[InputType, float]:
    return {"camera:orbit": 1.0}


class Arrivals(FromFile):
    """How arrivals fall around the rate of the stages, or the recorded ones of a CSV file.

    Of a ``trace``, ``time`` and ``session`` name columns: when each arrives
    (seconds or timestamps; the first is second 0) and how many seconds it
    stays. ``filter`` says which rows count.
    """

    process: Literal["poisson", "deterministic"] = "poisson"
    trace: Annotated[str, Field(min_length=1)] | None = None
    time: str | None = None
    session: str | None = None
    filter: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Arrivals:
        found: list[tuple[Place, str]] = []
        if self.trace is None:
            given = [key for key in ("time", "session", "filter") if getattr(self, key) is not None]
            found += [((key,), f"`{key}` goes with `trace` only") for key in given]
        else:
            if "process" in self.model_fields_set:
                found.append((("process",), "a trace takes no `process`: its times are recorded"))
            if self.time is None:
                found.append(((), "`time` is missing: the column of the trace that says when"))
        if self.filter is not None:
            try:
                traces.parse_filter(self.filter)
            except ValueError as error:
                found.append((("filter",), str(error)))
        if found:
            raise problems(found)
        return self

    def named(self) -> str | None:
        return self.trace

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """The arrivals of the trace, in order; raise ScenarioError where the file is unfit."""
        if self.trace is None or self.time is None:
            raise ValueError("these arrivals have no trace")
        keep = traces.parse_filter(self.filter) if self.filter is not None else None
        try:
            return traces.read(self._path(self.trace), self.time, self.session, keep)
        except BadFile as error:
            raise self._unfit("trace", str(error)) from None

    def read(self) -> None:
        if self.trace is not None:
            len(self.recorded)


class Receive(Strict):
    """Shares of viewers per receive tier; they sum to 100 %."""

    frames: Ratio = 0.0
    decode: Ratio = 0.0

    @model_validator(mode="after")
    def _whole(self) -> Receive:
        total = self.frames + self.decode
        if abs(total - 1.0) > 1e-9:
            raise problems([((), f"frames and decode sum to {total * 100:g}%, not to 100%")])
        return self


class Input(Strict):
    """Inputs of one viewer: events per second, and weights per type."""

    rate_per_s: PositivePerSecond = Field(alias="rate")
    mix: dict[InputType, Annotated[float, Field(ge=0)]] = Field(default_factory=_orbit_only)

    @model_validator(mode="after")
    def _weighted(self) -> Input:
        if sum(self.mix.values()) <= 0:
            raise problems([(("mix",), "needs at least one weight above 0")])
        return self


class Retry(Strict):
    """Who is turned away or gives up comes again ``after``, with chance ``share``, some times."""

    after: Distribution
    share: Annotated[Ratio, Field(gt=0)] = 1.0
    times: int = Field(default=3, ge=1, le=20)

    @model_validator(mode="after")
    def _later(self) -> Retry:
        if is_never(self.after):
            raise problems([(("after",), "must be longer than 0s")])
        return self


class Stage(Strict):
    """A stretch of time of an open load; the rate moves linearly from ``rate`` to ``to``.

    With a trace a stage has no rate: it says what a stretch of it is called.
    """

    name: Name
    for_s: PositiveSeconds = Field(alias="for")
    rate_per_s: PerSecond = Field(default=0.0, alias="rate")
    to_per_s: PerSecond | None = Field(default=None, alias="to")
    measure: bool = True

    @property
    def end_rate_per_s(self) -> float:
        return self.rate_per_s if self.to_per_s is None else self.to_per_s


class ClosedStage(Strict):
    """A stretch of time of a closed load."""

    name: Name
    for_s: PositiveSeconds = Field(alias="for")
    measure: bool = True


class _Viewers(Strict):
    patience: Distribution | None = None
    retry: Retry | None = None
    receive: Receive = Receive.model_construct(frames=1.0, decode=0.0)
    input: Input | None = None
    projects: int = Field(default=1, ge=1, le=100_000)


class OpenLoad(_Viewers):
    """Arrivals per second, whatever the system does.

    ``session`` and ``stages`` may be absent where a trace says how long each
    stays, and how long it all lasts.
    """

    model: Literal["open"]
    arrivals: Arrivals = Field(default_factory=Arrivals)
    session: Distribution | None = None
    stages: Annotated[tuple[Stage, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> OpenLoad:
        found = _stage_problems(self.stages) if self.stages else []
        if self.arrivals.trace is None:
            found += self._rate_problems()
        else:
            found += self._trace_problems()
        found += [*_length_problems(self.session), *_retry_problems(self)]
        if found:
            raise problems(found)
        return self

    def _rate_problems(self) -> list[tuple[Place, str]]:
        found: list[tuple[Place, str]] = []
        if self.session is None:
            found.append(((), "`session` is missing"))
        if not self.stages:
            given = "stages" in self.model_fields_set
            found.append((("stages",), "must not be empty") if given else ((), _NO_STAGES))
        for index, stage in enumerate(self.stages):
            if "rate_per_s" not in stage.model_fields_set:
                found.append((("stages", index), "`rate` is missing"))
        if not found and all(
            stage.rate_per_s == 0 and stage.end_rate_per_s == 0 for stage in self.stages
        ):
            found.append((("stages",), "nobody arrives: every rate is 0"))
        return found

    def _trace_problems(self) -> list[tuple[Place, str]]:
        found: list[tuple[Place, str]] = []
        if (self.session is None) == (self.arrivals.session is None):
            found.append(
                ((), "a trace takes either `session`, or `arrivals.session` with its column")
            )
        for index, stage in enumerate(self.stages):
            found += [
                (("stages", index, key), "a trace says who arrives: its stages take no rate")
                for key, field in (("rate", "rate_per_s"), ("to", "to_per_s"))
                if field in stage.model_fields_set
            ]
        return found


class ClosedLoad(_Viewers):
    """So many concurrent viewers; each starts its next session when one ends.

    Without ``session`` a viewer stays to the end. ``ramp`` spreads the first
    joins evenly over so long.
    """

    model: Literal["closed"]
    users: int = Field(ge=1, le=100_000)
    session: Distribution | None = None
    ramp_s: Seconds = Field(default=0.0, alias="ramp")
    for_s: PositiveSeconds | None = Field(default=None, alias="for")
    stages: Annotated[tuple[ClosedStage, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> ClosedLoad:
        found = _stage_problems(self.stages) if self.stages else []
        if bool(self.stages) == (self.for_s is not None):
            found.append(((), "a closed load takes either `for` or `stages`"))
        found += [*_length_problems(self.session), *_retry_problems(self)]
        if found:
            raise problems(found)
        return self


class CapacityLoad(_Viewers):
    """Concurrent viewers, raised by ``step`` every ``hold`` until a gate fails or ``max`` is held.

    A step that misses a gate is held as long again, and judged by both parts together.

    Like a closed load otherwise: each viewer starts its next session when one
    ends, and without ``session`` stays to the end.
    """

    model: Literal["capacity"]
    from_users: int = Field(ge=1, le=100_000, alias="from")
    step: int = Field(ge=1, le=100_000)
    hold_s: PositiveSeconds = Field(alias="hold")
    max_users: int = Field(ge=1, le=100_000, alias="max")
    session: Distribution | None = None

    @model_validator(mode="after")
    def _consistent(self) -> CapacityLoad:
        found = [*_length_problems(self.session), *_retry_problems(self)]
        if self.max_users < self.from_users:
            found.append((("max",), f"max {self.max_users} is below from {self.from_users}"))
        elif len(self.users) > STEPS_MAX:
            found.append((("step",), f"asks for {len(self.users)} steps, over {STEPS_MAX}"))
        if found:
            raise problems(found)
        return self

    @property
    def users(self) -> tuple[int, ...]:
        """Concurrent viewers of each step; the last step is ``max``."""
        steps = list(range(self.from_users, self.max_users + 1, self.step))
        return tuple(steps if steps[-1] == self.max_users else [*steps, self.max_users])

    @property
    def stages(self) -> tuple[Stage, ...]:
        """No stages of its own: each step is one."""
        return ()


Load: TypeAlias = Annotated[OpenLoad | ClosedLoad | CapacityLoad, Field(discriminator="model")]

_NO_STAGES = "`stages` is missing"


def _length_problems(session: AnyDistribution | None) -> list[tuple[Place, str]]:
    if session is not None and is_never(session):
        return [(("session",), "must be longer than 0s")]
    return []


def _retry_problems(load: _Viewers) -> list[tuple[Place, str]]:
    if load.retry is not None and load.patience is None:
        return [(("retry",), "nobody ever leaves to come again: give the viewers `patience`")]
    return []


def _stage_problems(stages: Sequence[Stage | ClosedStage]) -> list[tuple[Place, str]]:
    found: list[tuple[Place, str]] = []
    names: set[str] = set()
    for index, stage in enumerate(stages):
        if stage.name in names:
            found.append((("stages", index, "name"), f"stage '{stage.name}' is there twice"))
        names.add(stage.name)
    if not any(stage.measure for stage in stages):
        found.append((("stages",), "no stage is measured"))
    return found
