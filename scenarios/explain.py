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
        if error["type"] == "too_short" and _has_bad_items(error, errors):
            continue
        place, schema, tags = _follow(document, tuple(error["loc"]))
        kind = error["type"]
        context = error.get("ctx", {})
        if kind == PROBLEMS:
            for below, message in context["all"]:
                yield document.problem(document.below(place, *below), message)
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


def _has_bad_items(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether a list is short only because items that are wrong do not count."""
    at = error["loc"]
    return any(len(each["loc"]) > len(at) and each["loc"][: len(at)] == at for each in errors)


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
        dot = "'.', " if "." in str(error.get("ctx", {}).get("pattern")) else ""
        return f"'{given}' may hold letters, digits, {dot}'_' and '-' only"
    if kind == "too_short":
        return "must not be empty"
    if kind == "string_unicode":
        return "has an unpaired surrogate (\\ud800 to \\udfff), which is no character"
    if kind == "string_too_long":
        return f"has more than {error['ctx']['max_length']} characters"
    return str(error["msg"]).replace("Input should be", "must be")


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema(by_alias=True)


def _follow(
    document: Document, loc: tuple[str | int, ...]
) -> tuple[Place, dict[str, Any], list[str]]:
    """Walk ``loc`` in file and schema; not all its parts are in the file.

    The name of a union's member is not, nor what a shorthand leaves out. Returns
    the place in the file, the schema of the mapping that holds it, and the
    names of the union's members there.
    """
    place: Place = ()
    below = _members(_schema())
    holder = _mapping(below)
    for part in loc:
        tags = _tags(below)
        if part in tags:
            below = _members({"$ref": tags[str(part)]})
            continue
        holder = _mapping(below)
        place = document.below(place, part)
        if isinstance(part, int):
            below = [member for schema in below for member in _members(schema.get("items", {}))]
        else:
            below = _members(holder.get("properties", {}).get(part, {}))
    return place, holder, list(_tags(below))


def _members(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What ``schema`` may be: references followed, alternatives spread out."""
    if "$ref" in schema:
        return _members(_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return [member for each in schema["anyOf"] for member in _members(each)]
    return [schema]


def _mapping(members: list[dict[str, Any]]) -> dict[str, Any]:
    """The member that is a mapping of named keys; empty where none is."""
    return next((member for member in members if "properties" in member), {})


def _tags(members: list[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for member in members:
        found.update(member.get("discriminator", {}).get("mapping", {}))
    return found


def _properties(schema: dict[str, Any]) -> list[str]:
    return list(schema.get("properties", {}))
