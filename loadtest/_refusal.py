"""What a user is told when a load test cannot start or go on: one line a reason, no traceback."""

from __future__ import annotations

import sys


class Refusal(Exception):
    """The load test cannot start, and the user can mend it; the text has one line per reason."""


def tell(text: str) -> None:
    """Say on standard error what went wrong."""
    sys.stderr.write("".join(f"error: {line}\n" for line in text.splitlines()))
    sys.stderr.flush()
