"""Gates: limits a run must keep, in the units of their metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scenarios import quantities
from scenarios.fields import Margin, Name, Place, Ratio, Seconds, Strict, did_you_mean, problems
from system.protocol.metrics import METRICS, STATISTICS

_MEASURED_ONLY = ("video.", "net.", "input.", "session.join.")


def is_simulated(metric: str) -> bool:
    """Whether a simulation has this metric; it renders and sends nothing."""
    return not metric.startswith(_MEASURED_ONLY)


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


class Regression(Strict):
    """The ratio to the baseline may be worse by so much."""

    margin: Margin


class Abort(Strict):
    """A limit that is broken ends the run, but not in the first ``after`` of measured time."""

    after_s: Seconds = Field(default=0.0, alias="after")


class Gate(Strict):
    """``stat`` of ``metric`` must keep one rule.

    ``<=`` and ``>=``: a limit, which ``strict`` asks of the whole interval and
    ``abort`` enforces during the run. ``regression``: no worse than the
    baseline, which are runs before, or with ``mode: ab`` runs of another build
    in between. ``agrees_with: sim``: within a share of the model's prediction.

    ``limit`` is in the unit of the metric: 2s is 2.0, 95% is 0.95.
    """

    id: Name
    metric: str
    stat: str
    at_most: _Limit = Field(default=None, alias="<=")
    at_least: _Limit = Field(default=None, alias=">=")
    strict: bool = False
    abort: Abort | None = None
    regression: Regression | None = None
    mode: Literal["baseline", "ab"] = "baseline"
    agrees_with: Literal["sim"] | None = None
    within: Annotated[Ratio, Field(gt=0)] | None = None
    during: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> Gate:
        found = [*self._unknown(), *self._contradictions(), *self._bad_limit()]
        if found:
            raise problems(found)
        return self

    def _unknown(self) -> Iterator[tuple[Place, str]]:
        if self.metric not in METRICS:
            hint = did_you_mean(self.metric, METRICS)
            yield ("metric",), f"'{self.metric}' is not a metric{hint}"
        if self.stat not in STATISTICS:
            hint = did_you_mean(self.stat, STATISTICS) or f": one of {', '.join(STATISTICS)}"
            yield ("stat",), f"'{self.stat}' is not a statistic{hint}"

    def _contradictions(self) -> Iterator[tuple[Place, str]]:
        rules = (self.at_most, self.at_least, self.regression, self.agrees_with)
        if sum(rule is not None for rule in rules) != 1:
            yield (), "a gate takes exactly one of `<=`, `>=`, `regression` and `agrees_with`"
            return
        if self.kind != "limit":
            for key, given in (("strict", self.strict), ("abort", self.abort is not None)):
                if given:
                    yield (key,), f"`{key}` goes with `<=` or `>=` only"
        if "mode" in self.model_fields_set and self.kind != "regression":
            yield ("mode",), "`mode` goes with `regression` only"
        if self.agrees_with is not None and self.within is None:
            yield (), "`within` is missing: how far from the model the run may be"
        if self.agrees_with is None and self.within is not None:
            yield ("within",), "`within` goes with `agrees_with` only"
        if (
            self.agrees_with is not None
            and self.metric in METRICS
            and not is_simulated(self.metric)
        ):
            yield ("metric",), f"'{self.metric}' does not exist in a simulation"

    def _bad_limit(self) -> Iterator[tuple[Place, str]]:
        for key, written in (("<=", self.at_most), (">=", self.at_least)):
            if written is not None and self.metric in METRICS:
                try:
                    _limit(written, METRICS[self.metric].unit)
                except quantities.QuantityError as error:
                    yield (key,), str(error)

    @property
    def kind(self) -> Literal["limit", "regression", "agreement"]:
        if self.regression is not None:
            return "regression"
        return "limit" if self.agrees_with is None else "agreement"

    @property
    def op(self) -> Literal["<=", ">="]:
        """Of a gate with a limit."""
        return "<=" if self.at_most is not None else ">="

    @property
    def limit(self) -> float:
        """Of a gate with a limit; raises ValueError for another kind."""
        written = self.at_most if self.at_most is not None else self.at_least
        if written is None:
            raise ValueError(f"gate '{self.id}' has no limit but a {self.kind}")
        return _limit(written, self.unit)

    @property
    def unit(self) -> str:
        return METRICS[self.metric].unit


def _limit(written: RawLimit, unit: str) -> float:
    kind = quantities.BY_BASE.get(unit)
    if kind is not None:
        value = quantities.parse(written.text if written.number is None else written.number, kind)
        if kind is quantities.SHARE and value > 1.0:
            raise quantities.QuantityError(f"'{written.text}' is more than 100%")
        return value
    if written.number is None or not 0 <= written.number < float("inf"):
        raise quantities.QuantityError(f"'{written.text}' is not a number of 0 or more")
    return written.number
