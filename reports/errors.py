"""The one exception of this package that a user sees."""

from __future__ import annotations


class RunDirError(Exception):
    """A run directory cannot be made, read or built; the text is one line that says why."""
