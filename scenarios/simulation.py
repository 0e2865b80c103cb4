"""How a scenario is simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from scenarios import files
from scenarios.fields import Seconds, Strict, TimeOfDay
from scenarios.files import BadFile, FromFile


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


class Sim(FromFile):
    """Independent ``replications``; ``warmup`` before second 0; the time of day of second 0.

    ``against`` is another scenario file, whose design is simulated on the same
    days, to be laid beside this one.
    """

    replications: int = Field(default=20, ge=1, le=100_000)
    warmup_s: Seconds = Field(default=0.0, alias="warmup")
    start_s: TimeOfDay = Field(default=0.0, alias="start")
    adds: Adds = Adds()
    against: Annotated[str, Field(min_length=1)] | None = None

    def named(self) -> str | None:
        return self.against

    @property
    def against_file(self) -> Path | None:
        """The other scenario; raise ScenarioError where there is no such file."""
        if self.against is None:
            return None
        path = self._path(self.against)
        try:
            files.stamp(path)
        except BadFile as error:
            raise self._unfit("against", str(error)) from None
        return path

    def read(self) -> None:
        self.against_file  # noqa: B018  raises where it is missing
