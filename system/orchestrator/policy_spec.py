"""A policy as it is written in a pool's configuration, and as the numbers it is asked with."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from system.orchestrator.policy import ALL, MEMORIES, Numbers
from system.orchestrator.policy.combined import highest
from system.telemetry.config import parse_duration_s

DAY_S: Final = 86_400.0

_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_TIME_OF_DAY: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_DURATIONS: Final = ("cooldown", "scale_in_delay", "interval", "half_life", "season")

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Workers = Count | float | str


class BadPool(ValueError):
    """A pool or a policy that cannot be used; the text says which and why."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Step(_Strict, frozen=True):
    warm: Workers
    at: str | None = None
    at_s: Seconds | None = None


class Forecast(_Strict, frozen=True):
    """Sessions that are expected to be in progress: values ``step_s`` apart from a Unix time on."""

    origin_s: float
    step_s: Positive
    values: Annotated[list[Seconds], msgspec.Meta(min_length=1)]


class _Policy(_Strict, frozen=True):
    kind: str
    size: Count | None = None
    warm: Workers | None = None
    stopped: Count | None = None
    steps: Annotated[list[_Step], msgspec.Meta(min_length=1)] | None = None
    midnight_s: float | None = None
    utilisation: Annotated[float, msgspec.Meta(gt=0, le=1)] | str | None = None
    method: Literal["ewma", "holt-winters", "mtginf"] | None = None
    headroom: Workers | None = None
    half_life_s: Positive | None = None
    season_s: Positive | None = None
    forecast: Forecast | None = None
    min: Count = 0
    max: Count | None = None
    cooldown_s: Seconds = 0.0
    scale_in_delay_s: Seconds = 0.0
    interval_s: Seconds = 0.0


_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "fixed": ("size",),
    "buffer": ("warm",),
    "two-tier": ("warm", "stopped"),
    "schedule": ("steps", "midnight_s"),
    "target": ("utilisation",),
    "predictive": ("method", "headroom", "half_life_s", "season_s", "forecast"),
}
"""What each kind takes beside the common fields."""

_NEEDED: Final = ("size", "warm", "stopped", "steps", "utilisation", "method")


HIGHEST: Final = "max"
"""Kind of several policies of which the one that wants most workers wins."""


class PolicyPart(msgspec.Struct, frozen=True):
    """One policy: its kind, a key of ``policy.ALL``, and the numbers that it is asked with."""

    kind: str
    parameters: Numbers


class PolicySpec(msgspec.Struct, frozen=True):
    """A policy of a pool, ready to be asked; several parts are combined."""

    parts: tuple[PolicyPart, ...]
    interval_s: float
    """Between two decisions; 0 decides on every change."""
    given: dict[str, Any]
    """As it was written, for ``GET /pools``."""

    @property
    def kind(self) -> str:
        return self.parts[0].kind if len(self.parts) == 1 else HIGHEST

    @property
    def memories(self) -> tuple[Numbers, ...]:
        """What each part remembers at first."""
        return tuple(MEMORIES[part.kind] for part in self.parts)

    def decide(
        self, observation: Numbers, memories: Sequence[Numbers]
    ) -> tuple[tuple[float, float, float, float], tuple[Numbers, ...]]:
        """Workers to launch, terminate, start and stop; and what each part remembers now."""
        decisions = [
            ALL[part.kind](observation, part.parameters, memory)
            for part, memory in zip(self.parts, memories, strict=True)
        ]
        return highest(decisions), tuple(memory for _, memory in decisions)

    def asked_with(self, memories: Sequence[Numbers]) -> dict[str, Any]:
        """For the log: everything but the observation that a decision depends on."""
        parts = [
            {"kind": part.kind, "parameters": part.parameters, "memory": memory}
            for part, memory in zip(self.parts, memories, strict=True)
        ]
        return parts[0] if len(parts) == 1 else {"kind": HIGHEST, "parts": parts}


def policy(
    given: Mapping[str, Any],
    max_workers: int | None,
    *,
    lead_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> PolicySpec:
    """A policy from its mapping; times as ``cooldown: 10s`` or ``cooldown_s: 10``.

    ``{kind: max, of: [...]}`` are several, of which the one that wants most workers
    wins; they are asked at the shortest of their intervals.

    A ``schedule`` counts from ``midnight_s``, a Unix time; without it from
    00:00 UTC. A ``forecast`` counts from its ``origin_s``.

    Args:
        max_workers: quota of the pool; None is none.
        lead_s: how far ahead a predictive policy looks: the time that a launch takes.
        clock: what the policy is told as ``now_s``.
        wall: Unix time.

    Raises:
        BadPool: an unknown kind, field or value.
    """
    written = [given]
    if given.get("kind") == HIGHEST:
        written = _several(given)
    offset_s = wall() - clock()
    found = [_single(one, max_workers, lead_s, offset_s) for one in written]
    parts = tuple(part for part, _ in found)
    return PolicySpec(parts, min(interval_s for _, interval_s in found), dict(given))


def _several(given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = given.get("of")
    if set(given) != {"kind", "of"}:
        raise BadPool("policy: max takes of, a list of policies, and nothing else")
    if not isinstance(listed, list | tuple) or not listed:
        raise BadPool("policy: of is not a list of policies, or it is empty")
    if not all(isinstance(one, Mapping) for one in listed):
        raise BadPool("policy: of has something that is not a policy")
    return list(listed)


def _single(
    given: Mapping[str, Any], max_workers: int | None, lead_s: float, offset_s: float
) -> tuple[PolicyPart, float]:
    """One policy, and its interval."""
    kind = given.get("kind")
    if isinstance(kind, str) and kind not in _OWN:
        raise BadPool(f"policy: kind {kind!r} is none of {', '.join((*_OWN, HIGHEST))}")
    try:
        fields = msgspec.convert(_in_seconds(given), _Policy)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadPool(f"policy: {error}") from None
    _check(fields)
    caps = [cap for cap in (fields.max, max_workers) if cap is not None]
    common = (
        float(fields.min),
        float(min(caps)) if caps else math.inf,
        fields.cooldown_s,
        fields.scale_in_delay_s,
    )
    own: tuple[float, ...] = ()
    kind = fields.kind if fields.method is None else fields.method
    match fields.kind:
        case "two-tier":
            head, own = _workers(fields.warm), (float(fields.stopped or 0),)
        case "schedule":
            head, own = (0.0, 0.0), _steps(fields, offset_s)
        case "target":
            head, own = (0.0, 0.0), (_utilisation(fields.utilisation),)
        case "predictive":
            head, own = _workers(fields.headroom), _prediction(fields, lead_s, offset_s)
        case _:
            head = _workers(fields.warm if fields.size is None else fields.size)
    return PolicyPart(kind, (*head, *common, *own)), fields.interval_s


def _check(fields: _Policy) -> None:
    for names in _OWN.values():
        for name in names:
            if getattr(fields, name) is not None and name not in _OWN[fields.kind]:
                raise BadPool(f"policy: {fields.kind} takes no {name}")
    for name in _NEEDED:
        if name in _OWN[fields.kind] and getattr(fields, name) is None:
            raise BadPool(f"policy: {fields.kind} needs {name}")
    if fields.method == "mtginf" and fields.forecast is None:
        raise BadPool("policy: mtginf needs a forecast")
    if fields.max is not None and fields.min > fields.max:
        raise BadPool(f"policy: min {fields.min} is above max {fields.max}")


def _workers(value: Workers | None) -> tuple[float, float]:
    """(workers, share of them)."""
    match value:
        case str():
            share = _SHARE.fullmatch(value.strip())
            if share is None:
                raise BadPool(f"policy: {value!r} is neither a number nor a share such as 20%")
            return 0.0, float(share[1]) / 100
        case float():
            return 0.0, value
        case _:
            return float(value or 0), 0.0


def _utilisation(value: float | str | None) -> float:
    share = _workers(value)[1]
    if not 0 < share <= 1:
        raise BadPool(f"policy: utilisation {value!r} is not above 0% and at most 100%")
    return share


def _steps(fields: _Policy, offset_s: float) -> tuple[float, ...]:
    steps = [(_time_of_day_s(step), *_workers(step.warm)) for step in fields.steps or ()]
    if any(after[0] <= before[0] for before, after in itertools.pairwise(steps)):
        raise BadPool("policy: the steps are not in order of time")
    midnight_s = 0.0 if fields.midnight_s is None else fields.midnight_s
    to_day_s = offset_s - midnight_s
    return (to_day_s, float(len(steps)), *(number for step in steps for number in step))


def _time_of_day_s(step: _Step) -> float:
    if (step.at is None) is (step.at_s is None):
        raise BadPool("policy: a step takes either at or at_s")
    if step.at_s is not None:
        return step.at_s
    match = _TIME_OF_DAY.fullmatch(step.at or "")
    if match is None:
        raise BadPool(f"policy: {step.at!r} is no time of day such as 08:00")
    return int(match[1]) * 3600.0 + int(match[2]) * 60.0 + int(match[3] or 0)


def _prediction(fields: _Policy, lead_s: float, offset_s: float) -> tuple[float, ...]:
    if fields.method == "mtginf" and fields.forecast is not None:
        forecast = fields.forecast
        origin_s = forecast.origin_s - offset_s
        return (lead_s, origin_s, forecast.step_s, float(len(forecast.values)), *forecast.values)
    half_life_s = 300.0 if fields.half_life_s is None else fields.half_life_s
    if fields.method == "ewma":
        return (lead_s, half_life_s)
    return (lead_s, half_life_s, DAY_S if fields.season_s is None else fields.season_s)


def _in_seconds(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: value for key, value in given.items() if value is not None}
    for name in _DURATIONS:
        value = fields.pop(name, None)
        if value is not None:
            fields[f"{name}_s"] = parse_duration_s(str(value))
    if isinstance(fields.get("steps"), tuple):
        fields["steps"] = list(fields["steps"])
    return fields
