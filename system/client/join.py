"""How long each phase of a join took: disjoint phases that sum to the join time. Pure."""

from __future__ import annotations

from system.protocol.metrics import JOIN_PHASES


class JoinTimeline:
    """Milestones of one join on the monotonic clock, kept in whole microseconds.

    A phase ends with the milestone of its name: ``schedule`` when the client
    begins, ``ws`` when the socket is open, ``allocate`` with the first ``queued``
    or ``session-created``, ``queue`` with ``session-created``, ``sdp`` when the
    answer is applied, ``ice`` and ``dtls`` when they are through, then the first
    packet and the first frame. Things overlap (the offer leaves before a worker
    is there), so a milestone counts as no earlier than the one before it; one
    that never came takes no time.
    """

    def __init__(self, scheduled_s: float) -> None:
        self._scheduled_us = round(scheduled_s * 1e6)
        self._marks: dict[str, int] = {}

    def mark(self, phase: str, at_s: float) -> None:
        """The phase ended now; only the first time counts."""
        if phase not in JOIN_PHASES:
            raise ValueError(f"{phase} is no phase of a join")
        self._marks.setdefault(phase, round(at_s * 1e6))

    def reached(self, phase: str) -> bool:
        return phase in self._marks

    @property
    def open_phase(self) -> str:
        """The phase after the last that has ended: where a join stands, or failed."""
        ended = [i for i, phase in enumerate(JOIN_PHASES) if phase in self._marks]
        return JOIN_PHASES[min(ended[-1] + 1 if ended else 0, len(JOIN_PHASES) - 1)]

    def phases_us(self) -> dict[str, int]:
        """Every phase's length in microseconds. Needs the first frame."""
        end = self._marks["first_frame"]
        before = self._scheduled_us
        lengths = {}
        for phase in JOIN_PHASES:
            at = min(max(self._marks.get(phase, before), before), max(end, before))
            lengths[phase] = at - before
            before = at
        return lengths

    def phases_s(self) -> dict[str, float]:
        return {phase: length / 1e6 for phase, length in self.phases_us().items()}

    @property
    def join_time_s(self) -> float:
        """Scheduled arrival to first frame, the sum of the phases."""
        return sum(self.phases_us().values()) / 1e6
