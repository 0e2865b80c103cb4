"""The one exception of this package and the located problems in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``file:line:column: path: message``.

    ``line`` is 0 where the file itself is the problem.
    """

    filename: str
    line: int
    column: int
    place: tuple[str | int, ...]
    message: str

    @property
    def path(self) -> str:
        """The place as a reader writes it, e.g. ``load.stages[1].rate``."""
        path = ""
        for part in self.place:
            if isinstance(part, int):
                path += f"[{part}]"
            else:
                path += f".{part}" if path else part
        return path

    def __str__(self) -> str:
        where = f"{self.filename}:{self.line}:{self.column}" if self.line else self.filename
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ScenarioError(Exception):
    """The scenario cannot be used; the text has one line per problem."""

    def __init__(self, found: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(found, key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
