"""Warm-pool policies of a scenario: kinds and parameters, not how they decide.

What each does is ``system.orchestrator.policy``; workers are whole numbers,
shares are of the busy workers unless a policy says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from scenarios import quantities
from scenarios.fields import (
    Margin,
    Place,
    PositiveSeconds,
    Ratio,
    Seconds,
    Strict,
    TimeOfDay,
    problems,
)

DAY_S = 86_400.0

Method = Literal["ewma", "holt-winters", "mtginf"]


def _workers(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f"'{value:g}' is neither a whole number nor a share")
    return quantities.parse(value, quantities.SHARE) if isinstance(value, str) else value


Workers = Annotated[
    int | float,
    Field(ge=0),
    BeforeValidator(_workers, json_schema_input_type=Annotated[int, Field(ge=0)] | Margin),
]
"""A whole number of workers (int), or a share such as ``20%`` (float)."""


class Scaling(Strict):
    """What every policy takes besides its own parameters."""

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=1)
    cooldown_s: Seconds = Field(default=0.0, alias="cooldown")
    scale_in_delay_s: Seconds = Field(default=0.0, alias="scale_in_delay")
    interval_s: Seconds = Field(default=10.0, alias="interval")

    @model_validator(mode="after")
    def _sound(self) -> Scaling:
        found = list(self.complaints())
        if found:
            raise problems(found)
        return self

    def complaints(self) -> Iterator[tuple[Place, str]]:
        """Yield what cannot be meant."""
        if self.max is None:
            return
        if self.min > self.max:
            yield ("min",), f"min {self.min} is above max {self.max}"
        for place, workers in self.sizes():
            if workers > self.max:
                yield place, f"{workers} is above max {self.max}"

    def sizes(self) -> Iterator[tuple[Place, int]]:
        """Yield every number of workers that the policy is told to have, and where."""
        yield from ()

    def rest(self, start_s: float) -> int:
        """Ready workers that it holds when nobody is there, ``start_s`` after midnight."""
        held = max(self._held(start_s), self.min)
        return held if self.max is None else min(held, self.max)

    def _held(self, start_s: float) -> int:
        return 0


class Fixed(Scaling):
    """So many workers, always."""

    kind: Literal["fixed"]
    size: int = Field(ge=0)

    def sizes(self) -> Iterator[tuple[Place, int]]:
        yield ("size",), self.size

    def _held(self, start_s: float) -> int:
        return self.size


class _Warm(Scaling):
    warm: Workers

    @property
    def warm_workers(self) -> int:
        """Spare workers asked for as a number; 0 where it is a share."""
        return self.warm if isinstance(self.warm, int) else 0

    @property
    def warm_ratio(self) -> float:
        """Spare workers asked for as a share; 0.0 where it is a number."""
        return self.warm if isinstance(self.warm, float) else 0.0

    def sizes(self) -> Iterator[tuple[Place, int]]:
        yield ("warm",), self.warm_workers

    def _held(self, start_s: float) -> int:
        return self.warm_workers


class Buffer(_Warm):
    """Keep ``warm`` ready workers spare: a number, or a share of the busy ones."""

    kind: Literal["buffer"]


class TwoTier(_Warm):
    """A buffer, and ``stopped`` workers behind it that start faster than new ones boot."""

    kind: Literal["two-tier"]
    stopped: int = Field(ge=0)


class Step(Strict):
    """From this time of day on, keep ``warm`` ready workers spare."""

    at_s: TimeOfDay = Field(alias="at")
    warm: Workers


class Schedule(Scaling):
    """A buffer that changes with the time of day; ``sim.start`` says when a run begins.

    The last step holds over midnight until the first.
    """

    kind: Literal["schedule"]
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1)]

    def complaints(self) -> Iterator[tuple[Place, str]]:
        yield from super().complaints()
        for index in range(1, len(self.steps)):
            if self.steps[index].at_s <= self.steps[index - 1].at_s:
                yield ("steps", index, "at"), "must be later than the step before"

    def sizes(self) -> Iterator[tuple[Place, int]]:
        for index, step in enumerate(self.steps):
            if isinstance(step.warm, int):
                yield ("steps", index, "warm"), step.warm

    def _held(self, start_s: float) -> int:
        current = self.steps[-1]
        for step in self.steps:
            if step.at_s <= start_s % DAY_S:
                current = step
        return current.warm if isinstance(current.warm, int) else 0


class Target(Scaling):
    """As many workers as keep this share of their slots in use."""

    kind: Literal["target"]
    utilisation: Annotated[Ratio, Field(gt=0)]


class Predictive(Scaling):
    """Workers for the load that is predicted for when a launch would be ready.

    ``ewma`` goes on at the smoothed level, ``holt-winters`` adds trend and
    ``season``, ``mtginf`` lets known arrival rates and session lengths say how
    many will be in progress. ``half_life`` is the age at which an observation
    weighs half. ``headroom`` comes on top: workers, or a share of the prediction.
    """

    kind: Literal["predictive"]
    method: Method
    headroom: Workers = 0
    half_life_s: PositiveSeconds = Field(default=300.0, alias="half_life")
    season_s: PositiveSeconds = Field(default=DAY_S, alias="season")

    def complaints(self) -> Iterator[tuple[Place, str]]:
        yield from super().complaints()
        if "season_s" in self.model_fields_set and self.method != "holt-winters":
            yield ("season",), f"goes with method holt-winters, not {self.method}"

    def sizes(self) -> Iterator[tuple[Place, int]]:
        if isinstance(self.headroom, int):
            yield ("headroom",), self.headroom

    def _held(self, start_s: float) -> int:
        return self.headroom if isinstance(self.headroom, int) else 0


class PerRequest(Scaling):
    """A worker is launched for each session that finds none free; idle for ``idle``, it goes.

    As function platforms do: the newest idle worker serves first, and a session
    waits for its own worker. It decides nothing between, so that of the common
    parameters it takes only ``max``.
    """

    kind: Literal["per-request"]
    idle_s: PositiveSeconds = Field(alias="idle")

    def complaints(self) -> Iterator[tuple[Place, str]]:
        yield from super().complaints()
        for name in ("min", "cooldown_s", "scale_in_delay_s", "interval_s"):
            if name in self.model_fields_set:
                key = type(self).model_fields[name].alias or name
                yield (key,), "a per-request policy takes only `idle` and `max`"


Single: TypeAlias = Annotated[
    Fixed | Buffer | Schedule | Target | Predictive | TwoTier | PerRequest,
    Field(discriminator="kind"),
]
"""Each of these is a ``Scaling``."""


class Highest(Strict):
    """Several policies: the one that wants most workers wins. A list in the file is one of these.

    ``min``, ``max`` and the delays are each policy's own.
    """

    kind: Literal["max"]
    of: Annotated[tuple[Single, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _decides(self) -> Highest:
        found = [
            (("of", index), "a per-request policy stands alone")
            for index, part in enumerate(self.of)
            if isinstance(part, PerRequest)
        ]
        if found:
            raise problems(found)
        return self

    def rest(self, start_s: float) -> int:
        """Ready workers that it holds when nobody is there, ``start_s`` after midnight."""
        return max(policy.rest(start_s) for policy in self.of)

    @property
    def interval_s(self) -> float:
        return min(policy.interval_s for policy in self.of)


def listed(value: Any) -> Any:
    """Read a list of policies as the highest of them."""
    return {"kind": "max", "of": value} if isinstance(value, list) else value


_Any: TypeAlias = Annotated[
    Fixed | Buffer | Schedule | Target | Predictive | TwoTier | PerRequest | Highest,
    Field(discriminator="kind"),
]
Policy: TypeAlias = Annotated[
    _Any, BeforeValidator(listed, json_schema_input_type=_Any | list[Single])
]


def singles(policy: Scaling | Highest) -> list[tuple[Place, Scaling]]:
    """The policies that ``policy`` is made of, and where each stands below it."""
    if isinstance(policy, Highest):
        return [((index,), part) for index, part in enumerate(policy.of)]
    return [((), policy)]
