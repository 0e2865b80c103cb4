"""Choices of a plan: one value, a list of values, or a range that is spelt out."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from scenarios import quantities
from scenarios.fields import Ratio, Seconds, Strict
from scenarios.policies import Workers
from scenarios.quantities import Kind

CANDIDATES_MAX = 10_000
DEFAULT_STEPS = 10
"""Steps of a range of shares or durations that names none."""


class _Range(Strict):
    """The schema of a range; ``step`` is 1, or a tenth of the range."""

    start: int | str = Field(alias="from")
    stop: int | str = Field(alias="to")
    step: int | str | None = None


def _choices(value: Any, kind: Kind | None) -> Any:
    """Spell out a range; make a single value a list of one."""
    if isinstance(value, dict):
        return _spelt_out(value, kind)
    return value if isinstance(value, list) else [value]


def _spelt_out(given: dict[str, Any], kind: Kind | None) -> list[Any]:
    unknown = set(given) - {"from", "to", "step"}
    if unknown or not {"from", "to"} <= set(given):
        raise ValueError("a range is {from: …, to: …, step: …}")
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in given.values())
    if not whole and kind is None:
        raise ValueError("a range of whole numbers is {from: 1, to: 20, step: 1}")
    size = Fraction(1) if whole or kind is None else _unit(kind)
    low, high = (_exact(given[key], None if whole else kind) for key in ("from", "to"))
    if high <= low:
        raise ValueError(f"'to' must be above 'from', not {given['to']}")
    if "step" in given:
        step = _exact(given["step"], None if whole else kind)
    else:
        step = Fraction(1) if whole else (high - low) / DEFAULT_STEPS
    if step <= 0:
        raise ValueError("'step' must be above 0")
    count = math.floor((high - low) / step) + 1
    if count > CANDIDATES_MAX:
        raise ValueError(f"a range of {count} values, over {CANDIDATES_MAX}")
    values = [low + index * step for index in range(count)]
    if whole or kind is None:
        return [int(value) for value in values]
    unit = next(unit for unit, unit_size in kind.units.items() if unit_size == size)
    return [f"{float(value / size):.12g}{unit}" for value in values]


def _unit(kind: Kind) -> Fraction:
    return Fraction(1) if Fraction(1) in kind.units.values() else next(iter(kind.units.values()))


def _exact(value: Any, kind: Kind | None) -> Fraction:
    if kind is None:
        return Fraction(value)
    return Fraction(quantities.parse(value, kind)).limit_denominator(10**9)


def choices(kind: Kind | None, item: Any) -> BeforeValidator:
    """Read a tuple of ``item``; ranges are of whole numbers or, where given, of ``kind``."""
    return BeforeValidator(
        lambda value: _choices(value, kind), json_schema_input_type=item | list[item] | _Range
    )


_Count = Annotated[int, Field(ge=0)]
_Ceiling = Annotated[int, Field(ge=1)]
_Part = Annotated[Ratio, Field(gt=0)]
SOME = Field(strict=False, min_length=1)

Counts = Annotated[tuple[_Count, ...], SOME, choices(None, _Count)]
Ceilings = Annotated[tuple[_Ceiling, ...], SOME, choices(None, _Ceiling)]
WorkersChoices = Annotated[tuple[Workers, ...], SOME, choices(quantities.SHARE, Workers)]
Shares = Annotated[tuple[_Part, ...], SOME, choices(quantities.SHARE, _Part)]
Durations = Annotated[tuple[Seconds, ...], SOME, choices(quantities.DURATION, Seconds)]
