"""Loads scenario files; every problem is told with its file, line and column."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from scenarios import unsupported
from scenarios.document import BYTES_MAX, parse
from scenarios.errors import Problem, ScenarioError
from scenarios.explain import explain
from scenarios.fields import Place
from scenarios.model import Scenario

__all__ = ["ScenarioError", "load", "loads", "read"]


def read(path: str | Path) -> str:
    """Read the text of a scenario file; raise ScenarioError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ScenarioError([Problem(str(path), 0, 0, (), reason)]) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text (byte {error.start})"
        raise ScenarioError([Problem(str(path), 0, 0, (), message)]) from None


def load(path: str | Path) -> Scenario:
    """Load a scenario file; raise ScenarioError with every problem found."""
    return loads(read(path), str(path))


def loads(text: str, filename: str = "<scenario>") -> Scenario:
    """Load a scenario from its text; ``filename`` is what problems are told with."""
    document = parse(text, filename)
    if not isinstance(document.data, dict):
        raise ScenarioError([document.problem((), "a scenario must be a mapping")])
    refused = list(unsupported.find(document.data))
    found = [document.problem(part.place, part.message, at_key=True) for part in refused]
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        hidden = [part.hides for part in refused]
        found += [
            problem
            for problem in explain(document, error.errors(include_url=False))
            if not any(_below(problem.place, place) for place in hidden)
        ]
    if found or scenario is None:
        raise ScenarioError(found)
    return scenario


def _below(place: Place, above: Place) -> bool:
    return place[: len(above)] == above
