"""Why the embedded stack could not start, each in one line.

::

    StackError              a component did not start, or died
    ├── AddressInUse        the port asked for is taken, or the address is not ours
    └── BadConfig           a setting that cannot work
"""

from __future__ import annotations


class StackError(Exception):
    """A component did not start, or died; the text names it and quotes its last log line."""


class AddressInUse(StackError):
    """The address cannot be bound."""


class BadConfig(StackError, ValueError):
    """A setting that cannot work; the text names it."""
