"""``attrs`` of an event: a JSON object, or nothing."""

from __future__ import annotations

import json


def attributes(text: object) -> dict[str, object]:
    """Parse ``attrs``; what is no JSON object says nothing."""
    try:
        parsed = json.loads(text) if isinstance(text, str) and text else {}
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
