"""Long validations of the simulator; ``tox -e sim`` runs them.

Data that is not part of the project is read from the directory that
``RR_VALIDATION_DATA`` names; without it those tests are skipped by name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

for _tests in ("sim", "orchestrator"):
    sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / _tests))


@pytest.fixture(scope="session")
def data() -> Path:
    named = os.environ.get("RR_VALIDATION_DATA")
    if not named:
        pytest.skip("RR_VALIDATION_DATA is not set: no data to validate against")
    return Path(named)
