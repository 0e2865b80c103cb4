"""Owns which frame is the first to show which inputs. Pure bookkeeping, one frame at a time."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SEQS = 1024
"""Inputs that one frame may acknowledge; the oldest beyond it stay unacknowledged."""


@dataclass(frozen=True, slots=True)
class FrameTicket:
    """A frame that has begun: its id and the inputs that no frame before it showed."""

    frame_id: int
    seqs: tuple[int, ...]


class AckBook:
    """Frame ids are consecutive from 1, for every frame that begins, sent or not.

    An input counts for the first frame that *begins* after it was applied and
    that reaches the network: the inputs of a frame that was not sent pass to
    the next one.
    """

    def __init__(self) -> None:
        self._frame_id = 0
        self._waiting: list[int] = []
        self.overflowed = 0

    def applied(self, seq: int | None) -> None:
        """An input is in the scene now. Without a ``seq`` nobody waits for its frame."""
        if seq is not None:
            self._waiting.append(seq)
            self._bound()

    def begin(self) -> FrameTicket:
        """The next frame's rendering begins: nothing applied later is in it."""
        self._frame_id += 1
        ticket = FrameTicket(self._frame_id, tuple(self._waiting))
        self._waiting.clear()
        return ticket

    def unsent(self, ticket: FrameTicket) -> None:
        """The frame never left: its inputs are first shown by the next one."""
        self._waiting[:0] = ticket.seqs
        self._bound()

    def _bound(self) -> None:
        excess = len(self._waiting) - MAX_SEQS
        if excess > 0:
            del self._waiting[:excess]
            self.overflowed += excess
