"""What two runs must have in common to be compared: the scenario, but for its gates and texts."""

from __future__ import annotations

import hashlib
import json

from scenarios.document import parse

_JUDGEMENT = ("gates", "plan", "description", "sim")


def workload(scenario_text: str) -> str:
    """Digest what a scenario does; how it is judged or planned may change between runs."""
    data = parse(scenario_text, "scenario.yaml").data
    kept = {key: value for key, value in data.items() if key not in _JUDGEMENT}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
