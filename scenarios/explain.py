"""Says in a scenario writer's words what pydantic found wrong, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic_core import ErrorDetails

from scenarios.document import Document
from scenarios.errors import Problem
from scenarios.fields import PROBLEMS, Place, did_you_mean
from scenarios.model import Scenario

_TYPES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "finite_number": "must be a finite number",
}


def explain(document: Document, errors: list[ErrorDetails]) -> Iterator[Problem]:
    """Turn validation errors into located problems."""
    for error in errors:
        place, schema, tags = _follow(document, tuple(error["loc"]))
        kind = error["type"]
        context = error.get("ctx", {})
        if kind == PROBLEMS:
            for below, message in context["all"]:
                yield document.problem((*place, *below), message)
        elif kind == "extra_forbidden":
            known = _properties(schema)
            hint = did_you_mean(place[-1], known) or f": one of {', '.join(known)}"
            yield document.problem(place, f"unknown key{hint}", at_key=True)
        elif kind == "missing":
            lost = str(error["loc"][-1])
            yield document.problem(place, f"`{lost}` is missing")
        elif kind == "union_tag_not_found":
            key = str(context["discriminator"]).strip("'")
            yield document.problem(place, f"`{key}` is missing: one of {', '.join(tags)}")
        elif kind == "union_tag_invalid":
            key = str(context["discriminator"]).strip("'")
            yield document.problem((*place, key), _one_of(context["tag"], tags))
        elif kind == "literal_error":
            allowed = re.findall(r"'([^']*)'", str(context["expected"]))
            if allowed:
                yield document.problem(place, _one_of(error["input"], allowed))
            else:
                message = f"must be {context['expected']}, not {error['input']!r}"
                yield document.problem(place, message)
        else:
            yield document.problem(place, _message(error))


def _one_of(given: Any, allowed: list[str]) -> str:
    listed = ", ".join(str(word) for word in allowed)
    return f"'{given}' is not one of {listed}{did_you_mean(given, allowed)}"


def _message(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error.get("ctx", {}).get("error", error["msg"]))
    given = error["input"]
    if kind in _TYPES:
        shown = f", not '{given}'" if isinstance(given, str | int | float) else ""
        return _TYPES[kind] + (", and is empty" if given is None else shown)
    if kind == "string_pattern_mismatch":
        return f"'{given}' may hold letters, digits, '.', '_' and '-' only"
    if kind == "too_short":
        return "must not be empty"
    return str(error["msg"]).replace("Input should be", "must be")


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema(by_alias=True)


def _follow(
    document: Document, loc: tuple[str | int, ...]
) -> tuple[Place, dict[str, Any], list[str]]:
    """Walk ``loc`` in file and schema; parts that name a union's member are not in the file.

    Returns the place in the file, the schema of the mapping that holds it, and
    the names of the union's members there.
    """
    place: Place = ()
    schema: dict[str, Any] = _resolve(_schema())
    holder = schema
    for part in loc:
        tags = _tags(schema)
        if part in tags:
            schema = _resolve({"$ref": tags[str(part)]})
            continue
        holder = schema
        if (*place, part) not in document.values and part == loc[-1]:
            break
        if part == "[key]":
            continue
        place = (*place, part)
        if isinstance(part, int):
            schema = _resolve(schema.get("items", {}))
        else:
            schema = _resolve(schema.get("properties", {}).get(part, {}))
    return place, holder, list(_tags(schema))


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while True:
        if "$ref" in schema:
            schema = _schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
            continue
        members = [
            member for member in schema.get("anyOf", []) if member.get("type") not in ("null",)
        ]
        unions = [member for member in members if "discriminator" in member or "$ref" in member]
        if "discriminator" in schema or not unions:
            return schema
        schema = unions[0]


def _tags(schema: dict[str, Any]) -> dict[str, str]:
    mapping: dict[str, str] = schema.get("discriminator", {}).get("mapping", {})
    return mapping


def _properties(schema: dict[str, Any]) -> list[str]:
    return list(schema.get("properties", {}))
