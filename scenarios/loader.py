"""Loads scenario files; every problem is told with its file, line and column."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from scenarios.document import BYTES_MAX, parse, position
from scenarios.errors import Problem, ScenarioError
from scenarios.explain import explain
from scenarios.model import Scenario
from scenarios.support import Host, refuse_unsupported

__all__ = ["ScenarioError", "load", "loads", "read"]


def read(path: str | Path) -> str:
    """Read the text of a scenario file; raise ScenarioError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ScenarioError([Problem(str(path), 0, 0, (), reason)]) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = position(raw[: error.start].decode("utf-8-sig"))
        message = f"not UTF-8 text (byte {error.start})"
        raise ScenarioError([Problem(str(path), line, column, (), message)]) from None


def load(path: str | Path, *, host: Host | None = "measured") -> Scenario:
    """Load a scenario file for ``host``; None accepts the whole language.

    Raises ScenarioError with every problem found, or with everything that the
    host cannot honour.
    """
    return loads(read(path), str(path), host=host)


def loads(
    text: str,
    filename: str = "<scenario>",
    *,
    host: Host | None = "measured",
    base: Path | None = None,
) -> Scenario:
    """Load a scenario from its text; ``filename`` is what problems are told with.

    Files that it names are looked for in ``base``, else beside ``filename``.
    """
    document = parse(text, filename)
    if not isinstance(document.data, dict):
        raise ScenarioError([document.problem((), "a scenario must be a mapping")])
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        raise ScenarioError(list(explain(document, error.errors(include_url=False)))) from None
    scenario.bind(document, Path(filename).parent if base is None else base)
    if host is not None:
        refuse_unsupported(scenario, host)
    return scenario
