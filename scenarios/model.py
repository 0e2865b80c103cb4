"""The scenario: what a user writes, validated; times in seconds, rates per second.

Not every section of the format is built yet; ``unsupported.py`` names the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scenarios.fields import BitPerSecond, Place, Strict, did_you_mean, problems
from scenarios.gates import Gate
from scenarios.load import Load, Name
from scenarios.pool import Fixed, Pool

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
    source: Literal["scene"] = "scene"


class Scenario(Strict):
    """One scenario file."""

    version: Literal[1]
    name: Name
    description: str = Field(default="", max_length=1000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    stream: Stream = Stream()
    load: Load
    pool: Pool = Pool.model_construct(policy=Fixed.model_construct(kind="fixed", size=1))
    gates: Annotated[tuple[Gate, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _gates_fit(self) -> Scenario:
        found: list[tuple[Place, str]] = []
        measured = {stage.name: stage.measure for stage in self.load.stages}
        ids: set[str] = set()
        for index, gate in enumerate(self.gates):
            if gate.id in ids:
                found.append((("gates", index, "id"), f"gate '{gate.id}' is there twice"))
            ids.add(gate.id)
            if gate.during is None:
                continue
            at: Place = ("gates", index, "during")
            if gate.during not in measured:
                hint = did_you_mean(gate.during, measured)
                found.append((at, f"'{gate.during}' is not a stage{hint}"))
            elif not measured[gate.during]:
                found.append((at, f"stage '{gate.during}' is not measured"))
        if found:
            raise problems(found)
        return self
