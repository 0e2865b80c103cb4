"""The JSON schema of scenario files, for editors; ``scenario.schema.json`` is its export."""

from __future__ import annotations

from typing import Any

from scenarios.model import Scenario


def json_schema() -> dict[str, Any]:
    """Build the schema of what a user may write."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    _drop_parsed_defaults(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Exported by: remote-render scenario schema",
        **schema,
        "title": "Remote Render scenario",
    }


def _drop_parsed_defaults(schema: Any) -> None:
    """Remove defaults that are already in base units: a user cannot write them."""
    if isinstance(schema, dict):
        written = schema.get("anyOf", [schema])
        parsed = schema.get("default")
        if parsed is not None and not isinstance(parsed, str | bool):
            types = {member.get("type") for member in written}
            if types & {"string", None}:
                del schema["default"]
        for below in schema.values():
            _drop_parsed_defaults(below)
    elif isinstance(schema, list):
        for below in schema:
            _drop_parsed_defaults(below)
