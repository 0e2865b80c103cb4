"""How a scenario is simulated."""

from __future__ import annotations

from pydantic import Field

from scenarios.fields import Seconds, Strict, TimeOfDay


class Adds(Strict):
    """What the real system adds to each drawn time, as ``sim fit`` measures it.

    ``boot``: the real start of a worker, to which an embedded run adds the drawn
    one; ``start`` likewise, from stopped. ``session``: how long a slot is held
    besides the viewer's stay: a join takes so much longer than its wait. ``scrub``: how
    much later than meant a freed worker serves again.
    """

    boot_s: Seconds = Field(default=0.0, alias="boot")
    start_s: Seconds = Field(default=0.0, alias="start")
    session_s: Seconds = Field(default=0.0, alias="session")
    scrub_s: Seconds = Field(default=0.0, alias="scrub")


class Sim(Strict):
    """Independent ``replications``; ``warmup`` before second 0; the time of day of second 0."""

    replications: int = Field(default=20, ge=1, le=100_000)
    warmup_s: Seconds = Field(default=0.0, alias="warmup")
    start_s: TimeOfDay = Field(default=0.0, alias="start")
    adds: Adds = Adds()
