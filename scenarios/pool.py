"""The worker pool of a scenario: times, quota, price and the warm-pool policy."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from scenarios import quantities
from scenarios.distributions import Deterministic, Distribution
from scenarios.fields import Place, Ratio, Seconds, Strict, UsdPerHour, problems


class _Scaling(Strict):
    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=1)
    cooldown_s: Seconds = Field(default=0.0, alias="cooldown")
    scale_in_delay_s: Seconds = Field(default=0.0, alias="scale_in_delay")
    interval_s: Seconds = Field(default=10.0, alias="interval")

    @model_validator(mode="after")
    def _ordered(self) -> _Scaling:
        if self.max is not None and self.min > self.max:
            raise problems([(("min",), f"min {self.min} is above max {self.max}")])
        return self


class Fixed(_Scaling):
    """So many workers, always."""

    kind: Literal["fixed"]
    size: int = Field(ge=0)


def _warm(value: Any) -> Any:
    return quantities.parse(value, quantities.SHARE) if isinstance(value, str) else value


class Buffer(_Scaling):
    """Keep ``warm`` ready workers spare: a number, or a share of the busy ones."""

    kind: Literal["buffer"]
    warm: Annotated[
        int | float,
        Field(ge=0),
        BeforeValidator(_warm, json_schema_input_type=Annotated[int, Field(ge=0)] | Ratio),
    ]

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, data: Any) -> Any:
        warm = data.get("warm") if isinstance(data, dict) else None
        if isinstance(warm, float):
            raise problems([(("warm",), f"'{warm:g}' is neither a whole number nor a share")])
        return data

    @property
    def warm_workers(self) -> int:
        """Spare workers asked for as a number; 0 where it is a share."""
        return self.warm if isinstance(self.warm, int) else 0

    @property
    def warm_ratio(self) -> float:
        """Spare workers asked for as a share; 0.0 where it is a number."""
        return self.warm if isinstance(self.warm, float) else 0.0


Policy: TypeAlias = Annotated[Fixed | Buffer, Field(discriminator="kind")]


class Price(Strict):
    """Price of one worker, USD per hour."""

    running: UsdPerHour = 0.0
    stopped: UsdPerHour = 0.0


_NOW = Deterministic.model_construct(mean_s=0.0)


class Pool(Strict):
    """One pool of workers, named ``default``."""

    initial: int | None = Field(default=None, ge=0)
    slots_per_worker: int = Field(default=1, ge=1, le=64)
    reuse: bool = True
    boot: Distribution = _NOW
    scrub: Distribution = _NOW
    max_workers: int | None = Field(default=None, ge=1)
    price: Price = Price()
    policy: Policy

    @model_validator(mode="after")
    def _within_quota(self) -> Pool:
        found: list[tuple[Place, str]] = []
        quota = self.max_workers
        if quota is not None:
            if self.initial is not None and self.initial > quota:
                found.append((("initial",), f"{self.initial} is above max_workers {quota}"))
            if isinstance(self.policy, Fixed) and self.policy.size > quota:
                found.append(
                    (("policy", "size"), f"{self.policy.size} is above max_workers {quota}")
                )
            if self.policy.min > quota:
                found.append((("policy", "min"), f"{self.policy.min} is above max_workers {quota}"))
        if found:
            raise problems(found)
        return self

    @property
    def at_start(self) -> int:
        """Workers that are ready when the run begins."""
        if self.initial is not None:
            return self.initial
        rest = self.policy.size if isinstance(self.policy, Fixed) else self.policy.warm_workers
        rest = max(rest, self.policy.min)
        caps = [cap for cap in (self.policy.max, self.max_workers) if cap is not None]
        return min([rest, *caps])
