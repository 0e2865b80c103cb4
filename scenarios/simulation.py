"""How a scenario is simulated."""

from __future__ import annotations

from pydantic import Field

from scenarios.fields import Seconds, Strict, TimeOfDay


class Sim(Strict):
    """Independent ``replications``; ``warmup`` before second 0; the time of day of second 0."""

    replications: int = Field(default=20, ge=1, le=100_000)
    warmup_s: Seconds = Field(default=0.0, alias="warmup")
    start_s: TimeOfDay = Field(default=0.0, alias="start")
