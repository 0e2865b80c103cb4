"""Gates: limits a run must keep, in the units of their metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scenarios import quantities
from scenarios.fields import Place, Strict, did_you_mean, problems
from scenarios.load import Name
from system.protocol.metrics import METRICS, STATISTICS


@dataclass(frozen=True, slots=True)
class RawLimit:
    """A limit as written, before the metric says which unit it must have."""

    text: str
    number: float | None


def _raw(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a quantity, e.g. 2s")
    return RawLimit(str(value), None if isinstance(value, str) else float(value))


_Limit = Annotated[RawLimit | None, BeforeValidator(_raw, json_schema_input_type=str | int | float)]


class Gate(Strict):
    """``stat`` of ``metric`` must stay at or below (``<=``) or above (``>=``) a limit.

    ``limit`` is in the unit of the metric: 2s is 2.0, 95% is 0.95.
    """

    id: Name
    metric: str
    stat: str
    at_most: _Limit = Field(default=None, alias="<=")
    at_least: _Limit = Field(default=None, alias=">=")
    during: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> Gate:
        found: list[tuple[Place, str]] = []
        if self.metric not in METRICS:
            hint = did_you_mean(self.metric, METRICS)
            found.append((("metric",), f"'{self.metric}' is not a metric{hint}"))
        if self.stat not in STATISTICS:
            hint = did_you_mean(self.stat, STATISTICS) or f": one of {', '.join(STATISTICS)}"
            found.append((("stat",), f"'{self.stat}' is not a statistic{hint}"))
        if (self.at_most is None) == (self.at_least is None):
            found.append(((), "a gate takes exactly one of `<=` and `>=`"))
        elif self.metric in METRICS:
            try:
                _limit(self._written, METRICS[self.metric].unit)
            except quantities.QuantityError as error:
                found.append(((self.op,), str(error)))
        if found:
            raise problems(found)
        return self

    @property
    def op(self) -> Literal["<=", ">="]:
        return "<=" if self.at_most is not None else ">="

    @property
    def _written(self) -> RawLimit:
        written = self.at_most if self.at_most is not None else self.at_least
        if written is None:
            raise AssertionError("a gate without a limit does not validate")
        return written

    @property
    def limit(self) -> float:
        return _limit(self._written, self.unit)

    @property
    def unit(self) -> str:
        return METRICS[self.metric].unit


def _limit(written: RawLimit, unit: str) -> float:
    kind = quantities.BY_BASE.get(unit)
    if kind is not None:
        return quantities.parse(written.text if written.number is None else written.number, kind)
    if written.number is None or not 0 <= written.number < float("inf"):
        raise quantities.QuantityError(f"'{written.text}' is not a number of 0 or more")
    return written.number
