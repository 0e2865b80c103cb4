"""Imports Locust without its monkey-patching, which would reach every other test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pages import Pages

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    import locust  # noqa: F401
finally:
    # Child processes of other tests must patch.
    del os.environ["LOCUST_SKIP_MONKEY_PATCH"]


@pytest.fixture
def pages() -> Iterator[Pages]:
    server = Pages()
    yield server
    server.close()
