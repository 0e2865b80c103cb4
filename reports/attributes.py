"""``attrs`` of an event: a JSON object, or nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from reports.samples import Floats


def attributes(text: object) -> dict[str, object]:
    """Parse ``attrs``; what is no JSON object says nothing."""
    try:
        parsed = json.loads(text) if isinstance(text, str) and text else {}
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def happened_s(rows: pd.DataFrame) -> Floats:
    """Seconds of the run at which what the rows tell happened.

    A row of a session has the time of its arrival, because it counts there;
    ``after_s`` of its ``attrs`` says how much later it was.
    """
    after = (attributes(text).get("after_s") for text in rows["attrs"])
    after_s = [float(found) if isinstance(found, int | float) else 0.0 for found in after]
    arrived_s: Floats = rows["t_us"].to_numpy(dtype=np.float64) / 1e6
    return arrived_s + np.array(after_s, dtype=np.float64)
