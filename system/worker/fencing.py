"""Owns the worker's memory of fences: which assignment is new, which command is stale. Pure."""

from __future__ import annotations

from enum import Enum

from system.protocol.fields import Fence


class Assignment(Enum):
    """What an assignment is to this worker."""

    NEW = "new"
    REPEATED = "repeated"
    STALE = "stale"


class FenceGuard:
    """Admits assignments in the order of their fences only.

    A worker that was paused past its lease, or a command that was delayed on
    the way, carries an old fence; what it names has been given to someone else.
    """

    def __init__(self) -> None:
        self._highest: Fence | None = None

    @property
    def highest(self) -> Fence | None:
        return self._highest

    def admit(self, fence: Fence, held: Fence | None) -> Assignment:
        """Judge an assignment; ``held`` is the fence of that session here, if it is here.

        A new one is remembered even if the worker then has no slot for it.
        """
        if held is not None and fence == held:
            return Assignment.REPEATED
        if self._highest is not None and fence <= self._highest:
            return Assignment.STALE
        self._highest = fence
        return Assignment.NEW


def commands(held: Fence, fence: Fence | None) -> bool:
    """Whether a command with ``fence`` may touch the session held under ``held``."""
    return fence is not None and fence == held
