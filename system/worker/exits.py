"""Owns the worker's exit codes."""

from typing import Final

DONE: Final = 0
USAGE: Final = 2
PROBE_FAILED: Final = 3
CONTROL_LOST: Final = 4
INTERNAL: Final = 5
