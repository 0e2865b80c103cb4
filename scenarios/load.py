"""The load of a scenario: who arrives when, stays how long, and does what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from scenarios.distributions import Distribution
from scenarios.fields import (
    PerSecond,
    Place,
    PositivePerSecond,
    PositiveSeconds,
    Ratio,
    Seconds,
    Strict,
    problems,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]

InputType = Literal[
    "camera:orbit", "camera:zoom", "device:click", "device:drag", "connection:create"
]


def _orbit_only() -> dict[InputType, float]:
    return {"camera:orbit": 1.0}


class Arrivals(Strict):
    """How arrivals fall around the rate of the stages."""

    process: Literal["poisson", "deterministic"] = "poisson"


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


class Stage(Strict):
    """A stretch of time of an open load; the rate moves linearly from ``rate`` to ``to``."""

    name: Name
    for_s: PositiveSeconds = Field(alias="for")
    rate_per_s: PerSecond = Field(alias="rate")
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
    receive: Receive = Receive.model_construct(frames=1.0, decode=0.0)
    input: Input | None = None
    projects: int = Field(default=1, ge=1, le=100_000)


class OpenLoad(_Viewers):
    """Arrivals per second, whatever the system does."""

    model: Literal["open"]
    arrivals: Arrivals = Arrivals()
    session: Distribution
    stages: Annotated[tuple[Stage, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> OpenLoad:
        found = _stage_problems(self.stages)
        if all(stage.rate_per_s == 0 and stage.end_rate_per_s == 0 for stage in self.stages):
            found.append((("stages",), "nobody arrives: every rate is 0"))
        if self.session.mean <= 0:
            found.append((("session",), "must be longer than 0s"))
        if found:
            raise problems(found)
        return self


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
        if self.session is not None and self.session.mean <= 0:
            found.append((("session",), "must be longer than 0s"))
        if found:
            raise problems(found)
        return self


Load: TypeAlias = Annotated[OpenLoad | ClosedLoad, Field(discriminator="model")]


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
