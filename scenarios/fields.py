"""What every part of the scenario model shares: the strict base, units as types, problems.

A check that spans several fields raises ``problems(...)``; each problem names
the place below the model it is about, so that the loader can point at it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from scenarios import quantities
from scenarios.quantities import Kind, QuantityError

Place: TypeAlias = tuple[str | int, ...]

PROBLEMS = "scenario_problems"


class Strict(BaseModel):
    """Frozen, no unknown keys, no silent conversion, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def problems(found: Iterable[tuple[Place, str]]) -> PydanticCustomError:
    """Build one error that carries several located problems."""
    listed = [(list(place), message) for place, message in found]
    return PydanticCustomError(PROBLEMS, "{count} problems", {"count": len(listed), "all": listed})


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Build the ``, did you mean …?`` suffix; empty when nothing is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f", did you mean '{near[0]}'?" if near else ""


def _parser(kind: Kind) -> Callable[[object], object]:
    def parse(value: object) -> object:
        if value is None:
            return None
        return quantities.parse(value, kind)

    return parse


def _text(kind: Kind, parser: Callable[[object], object] | None = None) -> BeforeValidator:
    return BeforeValidator(
        parser or _parser(kind),
        json_schema_input_type=Annotated[str, Field(pattern=kind.pattern, examples=[kind.example])],
    )


def _share(value: object) -> object:
    parsed = _parser(quantities.SHARE)(value)
    if isinstance(parsed, float) and parsed > 1.0:
        raise QuantityError(f"'{value}' is more than 100%")
    return parsed


def _chance(value: object) -> object:
    parsed = _share(value)
    if parsed == 1.0:
        raise QuantityError(f"'{value}' must be below 100%")
    return parsed


_TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"


def _time_of_day(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(_TIME_OF_DAY, value):
        hours, minutes, seconds = (*map(int, value.split(":")), 0)[:3]
        return hours * 3600.0 + minutes * 60.0 + seconds
    raise ValueError(f"'{value}' is not a time of day: write e.g. \"08:00\"")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
"""A name that a pool is also known by on the wire."""

Seconds = Annotated[float, _text(quantities.DURATION)]
PositiveSeconds = Annotated[float, Field(gt=0), _text(quantities.DURATION)]
PerSecond = Annotated[float, _text(quantities.RATE)]
PositivePerSecond = Annotated[float, Field(gt=0), _text(quantities.RATE)]
Ratio = Annotated[float, _text(quantities.SHARE, _share)]
Chance = Annotated[float, _text(quantities.SHARE, _chance)]
"""A probability that leaves something to hope for: below 100 %."""
Margin = Annotated[float, Field(gt=0), _text(quantities.SHARE)]
BitPerSecond = Annotated[float, Field(gt=0), _text(quantities.BITRATE)]
UsdPerHour = Annotated[float, _text(quantities.PRICE)]
TimeOfDay = Annotated[
    float,
    BeforeValidator(
        _time_of_day,
        json_schema_input_type=Annotated[str, Field(pattern=_TIME_OF_DAY, examples=["08:00"])],
    ),
]
"""Seconds after midnight."""
