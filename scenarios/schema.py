"""The JSON schema of scenario files, for editors; ``scenario.schema.json`` is its export."""

from __future__ import annotations

from typing import Any

from scenarios.model import Scenario


def json_schema() -> dict[str, Any]:
    """Build the schema of what a user may write."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Exported by: remote-render scenario schema",
        **schema,
        "title": "Remote Render scenario",
    }
