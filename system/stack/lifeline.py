"""The pipe whose write end only the stack's owner holds: when it dies, its children see EOF.

No child is ever left behind by ``kill -9`` of the owner, because the kernel
closes the write end. The children's side is ``system.telemetry.lifeline``.
"""

from __future__ import annotations

import os
import weakref

_open: weakref.WeakSet[Lifeline] = weakref.WeakSet()


class Lifeline:
    """A pipe; ``read_fd`` goes to children, the write end stays here until ``close``."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()
        self._closed = False
        _open.add(self)

    def close(self) -> None:
        """Let go: every child that still lives ends itself. Idempotent."""
        if self._closed:
            return
        self._closed = True
        os.close(self._write_fd)
        os.close(self.read_fd)


def _forget_in_fork() -> None:
    """A forked child without exec (locust --processes) must not keep the owner's end open."""
    for lifeline in list(_open):
        lifeline.close()


os.register_at_fork(after_in_child=_forget_in_fork)
