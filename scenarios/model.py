"""The scenario: what a user writes, validated; times in seconds, rates per second."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from scenarios import consistency, files
from scenarios.distributions import is_never
from scenarios.document import Document
from scenarios.errors import Problem, ScenarioError
from scenarios.faults import Fault, Network
from scenarios.fields import BitPerSecond, Name, Place, Strict, problems
from scenarios.files import Origin
from scenarios.gates import Gate
from scenarios.load import Load
from scenarios.plan import Plan
from scenarios.policies import Fixed
from scenarios.pool import Pool, Pools
from scenarios.regions import Region
from scenarios.simulation import Sim

SIDE_MAX = 7680


@dataclass(frozen=True, slots=True)
class Resolution:
    """Width and height of the picture in pixels, both even."""

    width: int
    height: int


def _resolution(value: Any) -> Any:
    if isinstance(value, Resolution):
        return value
    match = re.fullmatch(r"([0-9]{2,5})x([0-9]{2,5})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"'{value}' is not a resolution: write e.g. 1280x720")
    width, height = int(match[1]), int(match[2])
    if width % 2 or height % 2 or not (16 <= min(width, height) <= max(width, height) <= SIDE_MAX):
        raise ValueError(f"'{value}': both sides must be even, from 16 to {SIDE_MAX}")
    return Resolution(width, height)


class Stream(Strict):
    """The video that every viewer asks for."""

    codec: Literal["h264", "vp8"] = "h264"
    resolution: Annotated[
        Resolution,
        BeforeValidator(
            _resolution,
            json_schema_input_type=Annotated[str, Field(pattern=r"^[0-9]{2,5}x[0-9]{2,5}$")],
        ),
    ] = Resolution(1280, 720)
    fps: int = Field(default=30, ge=1, le=240)
    bitrate_bps: BitPerSecond = Field(default=2_500_000.0, alias="bitrate")
    pacing: Literal["on_demand", "constant"] = "on_demand"
    source: Literal["scene", "clip"] = "scene"


def _one_worker() -> tuple[Pool, ...]:
    return (Pool.model_construct(policy=Fixed.model_construct(kind="fixed", size=1)),)


class Scenario(Strict):
    """One scenario file; ``pools`` is what the file calls ``pool``."""

    version: Literal[1]
    name: Name
    description: str = Field(default="", max_length=2000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    stream: Stream = Stream()
    network: Network | None = None
    load: Load
    pools: Pools = Field(default_factory=_one_worker, alias="pool")
    regions: Annotated[tuple[Region, ...], Field(strict=False)] = ()
    faults: Annotated[tuple[Fault, ...], Field(strict=False)] = ()
    sim: Sim = Sim()
    plan: Plan | None = None
    gates: Annotated[tuple[Gate, ...], Field(strict=False)] = ()
    _document: Document | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        found = list(consistency.problems_of(self))
        if found:
            raise problems(found)
        for pool in self.pools:
            pool.begin_at(self.sim.start_s)
        return self

    @property
    def pool(self) -> Pool:
        """The pool, of a scenario that has one; raises ValueError where there are several."""
        if len(self.pools) > 1:
            raise ValueError(f"scenario '{self.name}' has {len(self.pools)} pools, not one")
        return self.pools[0]

    @property
    def is_loss(self) -> bool:
        """Whether nobody waits: whoever is not served at once has left."""
        return self.load.patience is not None and is_never(self.load.patience)

    def bind(self, document: Document, base: Path) -> None:
        """Remember the file, for problems that are found later. The loader's business."""
        self._document = document
        for part, place in files.walk(self, document):
            part.bind(Origin(document, place, base))

    def read_files(self) -> None:
        """Read every file that the scenario names; raise ScenarioError where one is unfit."""
        found: list[Problem] = []
        for part, _ in files.walk(self, self._document or Document("<scenario>")):
            try:
                part.read()
            except ScenarioError as error:
                found += error.problems
        if found:
            raise ScenarioError(found)

    def keep_files(self, directory: Path) -> None:
        """Copy every file that the scenario names; with ``base=directory`` it loads from there.

        Raises OSError; makes no directory where it names none.
        """
        for part, _ in files.walk(self, self._document or Document("<scenario>")):
            part.keep(directory)

    def problem(self, place: Place, message: str) -> Problem:
        """Build a problem with the line and column of ``place`` in the file."""
        document = self._document or Document("<scenario>")
        return document.problem(document.below((), *place), message, at_key=True)
