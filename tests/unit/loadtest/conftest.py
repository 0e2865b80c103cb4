"""Imports Locust without its monkey-patching, which would reach every other test."""

from __future__ import annotations

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    import locust  # noqa: F401
finally:
    # Child processes of other tests must patch.
    del os.environ["LOCUST_SKIP_MONKEY_PATCH"]
