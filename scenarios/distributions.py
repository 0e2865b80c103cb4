"""Distributions of times in a scenario: a mean, and samples from a given random stream."""

from __future__ import annotations

import math
import random
from abc import abstractmethod
from array import array
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from scenarios import files, quantities
from scenarios.fields import PositiveSeconds, Seconds, Strict, problems
from scenarios.files import BadFile, FromFile

Z95 = 1.6448536269514722
"""The 95 % point of the standard normal."""


class _Times(Strict):
    @property
    @abstractmethod
    def mean(self) -> float:
        """The mean in seconds."""

    @abstractmethod
    def sample(self, rng: random.Random) -> float:
        """Draw one time in seconds."""


class Deterministic(_Times):
    """Always ``mean``; a bare duration in the file is one of these."""

    dist: Literal["deterministic"] = "deterministic"
    mean_s: Seconds = Field(alias="mean")

    @property
    def mean(self) -> float:
        return self.mean_s

    def sample(self, rng: random.Random) -> float:
        return self.mean_s


class Exponential(_Times):
    """Memoryless, with the given mean."""

    dist: Literal["exponential"] = "exponential"
    mean_s: PositiveSeconds = Field(alias="mean")

    @property
    def mean(self) -> float:
        return self.mean_s

    def sample(self, rng: random.Random) -> float:
        return rng.expovariate(1.0 / self.mean_s)


class Lognormal(_Times):
    """Given by ``mean`` and ``cv`` (standard deviation over mean), or by ``median`` and ``p95``."""

    dist: Literal["lognormal"] = "lognormal"
    mean_s: PositiveSeconds | None = Field(default=None, alias="mean")
    cv: float | None = Field(default=None, gt=0)
    median_s: PositiveSeconds | None = Field(default=None, alias="median")
    p95_s: PositiveSeconds | None = Field(default=None, alias="p95")

    @model_validator(mode="after")
    def _one_pair(self) -> Lognormal:
        given = {
            name
            for name, value in (
                ("mean", self.mean_s),
                ("cv", self.cv),
                ("median", self.median_s),
                ("p95", self.p95_s),
            )
            if value is not None
        }
        if given not in ({"mean", "cv"}, {"median", "p95"}):
            raise problems([((), "lognormal takes either mean and cv, or median and p95")])
        if self.median_s and self.p95_s and self.p95_s <= self.median_s:
            raise problems([(("p95",), "must be greater than median")])
        return self

    @property
    def mu(self) -> float:
        """Mean of the logarithm of the time in seconds."""
        if self.median_s is not None:
            return math.log(self.median_s)
        return math.log(self.mean_s or 1.0) - self.sigma**2 / 2

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of the time."""
        if self.median_s is not None and self.p95_s is not None:
            return math.log(self.p95_s / self.median_s) / Z95
        return math.sqrt(math.log1p((self.cv or 0.0) ** 2))

    @property
    def mean(self) -> float:
        return math.exp(self.mu + self.sigma**2 / 2)

    def sample(self, rng: random.Random) -> float:
        return rng.lognormvariate(self.mu, self.sigma)


class Weibull(_Times):
    """``shape`` below 1: many short, few long; ``scale`` is the 63rd percentile."""

    dist: Literal["weibull"] = "weibull"
    shape: float = Field(ge=0.05, le=100)
    scale_s: PositiveSeconds = Field(alias="scale")

    @property
    def mean(self) -> float:
        return self.scale_s * math.gamma(1.0 + 1.0 / self.shape)

    def sample(self, rng: random.Random) -> float:
        return rng.weibullvariate(self.scale_s, self.shape)


class Empirical(FromFile, _Times):
    """Values of a CSV column, drawn with replacement; the file is read when first needed.

    ``unit`` is the one that the column is in.
    """

    dist: Literal["empirical"] = "empirical"
    file: str = Field(min_length=1)
    column: str = Field(min_length=1)
    unit: Literal["us", "ms", "s", "min", "h", "d"] = "s"
    _values: array[float] | None = PrivateAttr(default=None)

    @property
    def values(self) -> array[float]:
        """The values in seconds, ascending; raise ScenarioError where the file is unfit."""
        if self._values is None:
            unit_s = float(quantities.DURATION.units[self.unit])
            try:
                stamp = files.stamp(self._path(self.file))
                self._values = _column(stamp, self.column, unit_s)
            except BadFile as error:
                raise self._unfit("file", str(error)) from None
        return self._values

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    def sample(self, rng: random.Random) -> float:
        values = self.values
        return values[int(rng.random() * len(values))]

    def read(self) -> None:
        len(self.values)

    def named(self) -> str | None:
        return self.file


@lru_cache(maxsize=16)
def _column(stamp: tuple[str, int, int], column: str, unit_s: float) -> array[float]:
    path = stamp[0]
    name = Path(path).name
    found = sorted(
        files.number(name, row, column, cell) * unit_s
        for row, (cell,) in files.rows(path, [column])
    )
    if not found or found[-1] == 0:
        raise BadFile(f"{name}: no value of {column} is above 0")
    return array("d", found)


AnyDistribution: TypeAlias = Annotated[
    Deterministic | Exponential | Lognormal | Weibull | Empirical, Field(discriminator="dist")
]


def is_never(distribution: _Times) -> bool:
    """Whether it is always 0; known without reading a file."""
    return isinstance(distribution, Deterministic) and distribution.mean_s == 0.0


def _shorthand(value: Any) -> Any:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return {"dist": "deterministic", "mean": value}
    return value


Distribution: TypeAlias = Annotated[
    AnyDistribution,
    BeforeValidator(_shorthand, json_schema_input_type=Seconds | AnyDistribution),
]
