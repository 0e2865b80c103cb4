"""Strict YAML: plain data and where each piece stands in the file.

Stricter than YAML 1.1: duplicate keys are refused, keys are text, only
``true`` and ``false`` are booleans, ``08:00`` is text, an alias cannot make a
document huge or endless.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from scenarios.errors import Problem, ScenarioError
from scenarios.fields import Place

BYTES_MAX = 1 << 20
NODES_MAX = 100_000
DEPTH_MAX = 50
MESSAGE_MAX = 600

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {
    f"tag:yaml.org,2002:{kind}"
    for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
}
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null"), None),
    "true": True,
    "false": False,
    ".nan": math.nan,
    ".inf": math.inf,
    "-.inf": -math.inf,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the file, counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """Plain data and the positions of its keys and values, by place."""

    filename: str
    data: Any = None
    keys: dict[Place, Mark] = field(default_factory=dict)
    values: dict[Place, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def below(self, place: Place, *parts: str | int) -> Place:
        """Go down by ``parts``; leave out those that the file has not, as in a shorthand."""
        for part in parts:
            if (*place, part) in self.values:
                place = (*place, part)
        return place

    def problem(self, place: Place, message: str, *, at_key: bool = False) -> Problem:
        """Build a problem at ``place``, or at the nearest part of it that the file has."""
        known = place
        while known not in self.values and known:
            known = known[:-1]
        marks = (self.keys, self.values) if at_key else (self.values, self.keys)
        mark = marks[0].get(known) or marks[1].get(known) or Mark(1, 1)
        if len(message) > MESSAGE_MAX:
            message = message[: MESSAGE_MAX - 1] + "…"
        return Problem(self.filename, mark.line, mark.column, place, message)


def parse(text: str, filename: str) -> Document:
    """Parse one YAML document; raise ScenarioError with every problem found."""
    if len(text) > BYTES_MAX:
        raise ScenarioError([Problem(filename, 1, 1, (), "the file is larger than 1 MiB")])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not valid YAML: {', '.join(filter(None, (error.context, error.problem)))}"
        raise ScenarioError([Problem(filename, line, column, (), message)]) from None
    except yaml.reader.ReaderError as error:
        line, column = position(text[: error.position])
        message = f"not valid YAML: character #x{error.character:04x} is not allowed"
        raise ScenarioError([Problem(filename, line, column, (), message)]) from None
    except yaml.YAMLError as error:
        message = f"not valid YAML: {str(error).splitlines()[0]}"
        raise ScenarioError([Problem(filename, 1, 1, (), message)]) from None
    except RecursionError:
        raise ScenarioError([Problem(filename, 1, 1, (), "nested too deeply")]) from None
    if node is None:
        raise ScenarioError([Problem(filename, 1, 1, (), "the file is empty")])
    document = Document(filename)
    _Builder(document).build_root(node)
    if document.problems:
        raise ScenarioError(document.problems)
    return document


def position(before: str) -> tuple[int, int]:
    """Line and column, counted from 1, of what follows the text ``before``."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


class _Builder:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def build_root(self, node: yaml.Node) -> None:
        self._document.data = self._build(node, (), [])

    def _build(self, node: yaml.Node, place: Place, above: list[yaml.Node]) -> Any:
        self._nodes += 1
        mark = _mark(node)
        self._document.values.setdefault(place, mark)
        if self._nodes > NODES_MAX:
            self._fatal(mark, place, "aliases make the document too large")
        if node in above:
            self._fatal(mark, place, "an alias refers to itself")
        if len(above) > DEPTH_MAX:
            self._fatal(mark, (), "nested too deeply")
        if node.tag not in _TAGS:
            self._complain(mark, place, f"tag {node.tag} is not allowed")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, [*above, node])
        if isinstance(node, yaml.SequenceNode):
            return [
                self._build(child, (*place, index), [*above, node])
                for index, child in enumerate(node.value)
            ]
        if not isinstance(node, yaml.ScalarNode):
            self._fatal(mark, place, "neither a mapping, a list nor a value")
        return self._scalar(node, place)

    def _mapping(
        self, node: yaml.MappingNode, place: Place, above: list[yaml.Node]
    ) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fatal(_mark(key_node), place, "a key must be text")
            key = key_node.value
            here = (*place, key)
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._fatal(_mark(key_node), here, "keys cannot be merged: write them out")
            if key in built:
                first = self._document.keys[here].line
                self._complain(_mark(key_node), here, f"key is there twice, first in line {first}")
                continue
            self._document.keys[here] = _mark(key_node)
            built[key] = self._build(value_node, here, above)
        return built

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        text = str(node.value)
        if node.style is not None or node.tag == _TEXT:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text) and len(text) < 30:
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text

    def _complain(self, mark: Mark, place: Place, message: str) -> None:
        self._document.problems.append(
            Problem(self._document.filename, mark.line, mark.column, place, message)
        )

    def _fatal(self, mark: Mark, place: Place, message: str) -> NoReturn:
        self._complain(mark, place, message)
        raise ScenarioError(self._document.problems)


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
