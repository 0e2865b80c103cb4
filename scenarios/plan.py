"""What a planner may choose from: policies with ranges of parameters, its budget, its gates.

Wherever a policy takes a value, a plan takes a list of them or a range
``{from: 1, to: 20, step: 1}``; the candidates are all combinations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from scenarios.fields import (
    Name,
    Place,
    PositiveSeconds,
    Strict,
    TimeOfDay,
    problems,
)
from scenarios.policies import (
    Buffer,
    Fixed,
    Highest,
    Method,
    PerRequest,
    Policy,
    Predictive,
    Schedule,
    Single,
    Step,
    Target,
    TwoTier,
    listed,
    singles,
)
from scenarios.ranges import (
    CANDIDATES_MAX,
    SOME,
    Ceilings,
    Counts,
    Durations,
    Shares,
    WorkersChoices,
    choices,
)


class Space(Strict):
    """The candidates of one kind of policy."""

    makes: ClassVar[type[Single]]

    min: Counts = (0,)
    max: Ceilings | None = None
    cooldown_s: Durations = Field(default=(0.0,), alias="cooldown")
    scale_in_delay_s: Durations = Field(default=(0.0,), alias="scale_in_delay")
    interval_s: Durations = Field(default=(10.0,), alias="interval")

    @property
    def parameters(self) -> dict[str, tuple[Any, ...]]:
        """The values of every parameter, by the attribute of the policy."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: values if isinstance(values, tuple) else (values,)
            for name, values in found.items()
        }

    @property
    def count(self) -> int:
        """Number of candidates."""
        return math.prod(len(values) for values in self.parameters.values())

    def candidates(self) -> Iterator[Single]:
        """Yield every combination as a policy, those that cannot be meant included."""
        parameters = self.parameters
        for values in itertools.product(*parameters.values()):
            yield self.makes.model_construct(**dict(zip(parameters, values, strict=True)))


class FixedSpace(Space):
    """Candidates of ``fixed``."""

    makes: ClassVar[type[Single]] = Fixed
    kind: Literal["fixed"]
    size: Counts


class BufferSpace(Space):
    """Candidates of ``buffer``."""

    makes: ClassVar[type[Single]] = Buffer
    kind: Literal["buffer"]
    warm: WorkersChoices


class TwoTierSpace(Space):
    """Candidates of ``two-tier``."""

    makes: ClassVar[type[Single]] = TwoTier
    kind: Literal["two-tier"]
    warm: WorkersChoices
    stopped: Counts


class TargetSpace(Space):
    """Candidates of ``target``."""

    makes: ClassVar[type[Single]] = Target
    kind: Literal["target"]
    utilisation: Shares


class PredictiveSpace(Space):
    """Candidates of ``predictive``; all have one ``season``."""

    makes: ClassVar[type[Single]] = Predictive
    kind: Literal["predictive"]
    method: Annotated[tuple[Method, ...], SOME, choices(None, Method)]
    headroom: WorkersChoices = (0,)
    half_life_s: Durations = Field(default=(300.0,), alias="half_life")


class PerRequestSpace(Strict):
    """Candidates of ``per-request``."""

    kind: Literal["per-request"]
    idle_s: Durations = Field(alias="idle")
    max: Ceilings | None = None

    @property
    def count(self) -> int:
        """Number of candidates."""
        return len(self.idle_s) * len(self.max or (None,))

    def candidates(self) -> Iterator[PerRequest]:
        """Yield every combination."""
        for idle_s, most in itertools.product(self.idle_s, self.max or (None,)):
            yield PerRequest.model_construct(kind="per-request", idle_s=idle_s, max=most)


class StepSpace(Strict):
    """The candidates of one step of a schedule."""

    at_s: TimeOfDay = Field(alias="at")
    warm: WorkersChoices


class ScheduleSpace(Space):
    """Candidates of ``schedule``: all combinations of its steps."""

    makes: ClassVar[type[Single]] = Schedule
    kind: Literal["schedule"]
    steps: Annotated[tuple[StepSpace, ...], SOME]

    @property
    def count(self) -> int:
        return super().count // len(self.steps) * math.prod(len(step.warm) for step in self.steps)

    def candidates(self) -> Iterator[Single]:
        each = [
            [Step.model_construct(at_s=step.at_s, warm=warm) for warm in step.warm]
            for step in self.steps
        ]
        others = {name: values for name, values in self.parameters.items() if name != "steps"}
        for steps in itertools.product(*each):
            for values in itertools.product(*others.values()):
                given = dict(zip(others, values, strict=True))
                yield Schedule.model_construct(**given, steps=steps)


SingleSpace: TypeAlias = Annotated[
    FixedSpace | BufferSpace | TwoTierSpace | TargetSpace | PredictiveSpace | ScheduleSpace,
    Field(discriminator="kind"),
]


class HighestSpace(Strict):
    """All combinations of several policies of which the highest wins; a list in the file."""

    kind: Literal["max"]
    of: Annotated[tuple[SingleSpace, ...], SOME]

    @property
    def count(self) -> int:
        """Number of candidates."""
        return math.prod(space.count for space in self.of)

    def candidates(self) -> Iterator[Highest]:
        """Yield every combination."""
        for parts in itertools.product(*(list(space.candidates()) for space in self.of)):
            yield Highest.model_construct(kind="max", of=parts)


_Any: TypeAlias = Annotated[
    FixedSpace
    | PerRequestSpace
    | BufferSpace
    | TwoTierSpace
    | TargetSpace
    | PredictiveSpace
    | ScheduleSpace
    | HighestSpace,
    Field(discriminator="kind"),
]
AnySpace: TypeAlias = Annotated[
    _Any, BeforeValidator(listed, json_schema_input_type=_Any | list[SingleSpace])
]


class Plan(Strict):
    """The search: ``budget`` of wall-clock time, ids of the ``gates`` to hold, candidates.

    Without ``gates`` all that a simulation has; without ``policies`` a default
    around the load. ``pool`` says whose policy is sought where there are several.
    """

    budget_s: PositiveSeconds = Field(default=60.0, alias="budget")
    gates: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    pool: Name | None = None
    policies: Annotated[tuple[AnySpace, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _sound(self) -> Plan:
        count = sum(space.count for space in self.policies)
        if count > CANDIDATES_MAX:
            raise problems([(("policies",), f"{count} candidates, over {CANDIDATES_MAX}")])
        found = list(self._senseless())
        if found:
            raise problems(found)
        return self

    def _senseless(self) -> Iterator[tuple[Place, str]]:
        """Yield the first candidate of each space that cannot be meant."""
        for index, space in enumerate(self.policies):
            if isinstance(space, PerRequestSpace) and 0.0 in space.idle_s:
                yield ("policies", index, "idle"), "must be longer than 0s"
            for candidate in space.candidates():
                wrong = [
                    (("policies", index, *place, *below), message)
                    for place, part in singles(candidate)
                    for below, message in part.complaints()
                ]
                if wrong:
                    yield wrong[0]
                    break

    def above_quota(self, quota: int) -> Iterator[tuple[Place, str]]:
        """Yield each space that has a candidate which asks for more workers than there may be."""
        for index, space in enumerate(self.policies):
            sizes = [
                (workers, (*place, *below))
                for candidate in space.candidates()
                for place, part in singles(candidate)
                for below, workers in part.sizes()
            ]
            workers, place = max(sizes, default=(0, ()))
            if workers > quota:
                yield ("policies", index, *place), f"{workers} is above max_workers {quota}"

    def candidates(self) -> Iterator[Policy]:
        """Yield every policy to be considered."""
        for space in self.policies:
            yield from space.candidates()
