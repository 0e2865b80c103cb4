"""Owns when a drag is over: its last position becomes an edit, once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUIET_S: Final = 0.2
"""Clients that never say ``end``: a device that rested so long has been put down.

One that says of a position that it is not the end may pause where it likes.
"""

MAX_DEVICES: Final = 256

Position = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Drag:
    """Where a device is, and the client's id for the edit if it gave one."""

    device_id: str
    position: Position
    edit_id: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What a drag message means: not ``shown`` if a newer one was there already.

    ``final`` is the position that becomes an edit now: an edit that comes late
    is still one, and the newer position follows it in the log.
    """

    shown: bool
    final: Drag | None = None


class DragTracker:
    """The drags of one viewer. The channel is unordered: an older position loses."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[Drag, float | None]] = {}
        """By device, with when it falls due; None: not before its end is said."""
        self._newest_seq: dict[str, int] = {}

    @property
    def live(self) -> tuple[Drag, ...]:
        """Positions that are no edit yet."""
        return tuple(drag for drag, _ in self._live.values())

    def moved(self, drag: Drag, now_s: float, *, seq: int | None, end: bool | None) -> Moved:
        """A drag message for a device that exists; ``end`` None: the client did not say."""
        if seq is not None:
            if seq <= self._newest_seq.get(drag.device_id, -1):
                return Moved(shown=False, final=drag if end else None)
            if len(self._newest_seq) >= MAX_DEVICES:
                del self._newest_seq[next(iter(self._newest_seq))]
            self._newest_seq[drag.device_id] = seq
        held = self._live.pop(drag.device_id, None)
        if end:
            return Moved(shown=True, final=drag)
        if drag.edit_id is None and held is not None:
            drag = Drag(drag.device_id, drag.position, held[0].edit_id)
        if len(self._live) >= MAX_DEVICES:
            return Moved(shown=True, final=drag)
        # Without numbers one cannot tell a position that comes after the end from a new drag.
        end_comes = end is False and seq is not None
        self._live[drag.device_id] = (drag, None if end_comes else now_s + QUIET_S)
        return Moved(shown=True)

    def next_at(self) -> float | None:
        """When the next live drag falls due."""
        return min((at for _, at in self._live.values() if at is not None), default=None)

    def due(self, now_s: float) -> list[Drag]:
        """Drags that have been quiet long enough; they are no longer live."""
        over = [drag for drag, at in self._live.values() if at is not None and at <= now_s]
        for drag in over:
            del self._live[drag.device_id]
        return over

    def finish(self) -> list[Drag]:
        """The viewer leaves or starts anew: every live drag is over, sequence numbers too."""
        over = list(self.live)
        self._live.clear()
        self._newest_seq.clear()
        return over
