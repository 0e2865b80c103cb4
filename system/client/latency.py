"""Which inputs have been seen, after how long, and which were lost. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

LOST_AFTER_S = 2.0
MAX_FRAMES = 512
MAX_PENDING = 4096


@dataclass(frozen=True, slots=True)
class InputSample:
    """One input's fate. ``value_s`` None: it was not seen within ``after_s`` seconds.

    ``lost``: never acknowledged within LOST_AFTER_S of being sent, or never
    sent. Acknowledged and not seen is censored but not lost. ``late_s`` is how
    long after it was scheduled it was sent, which is this side's doing.
    """

    seq: int
    scheduled_s: float
    value_s: float | None
    after_s: float
    lost: bool
    late_s: float = 0.0


@dataclass(slots=True)
class _Pending:
    scheduled_s: float
    sent_s: float

    @property
    def late_s(self) -> float:
        return max(0.0, self.sent_s - self.scheduled_s)


class InputMeter:
    """Matches inputs, acknowledgements and frames, in whatever order they come.

    An input's sample is the time from when it was scheduled to when the frame
    that its acknowledgement names, or the first one after it if that was lost,
    was seen. Acknowledgements travel on their own channel and may overtake their
    frame or be overtaken by it.
    """

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._named: dict[int, list[tuple[int, _Pending]]] = {}
        self._ids: list[int] = []  # frames seen, ids ascending
        self._times: list[float] = []
        self.sent = 0
        self.acked = 0

    def input(self, seq: int, scheduled_s: float, sent_s: float | None) -> list[InputSample]:
        """An input was due; ``sent_s`` None: the channel did not take it, so it is lost."""
        self.sent += 1
        if sent_s is None or len(self._pending) >= MAX_PENDING:
            return [InputSample(seq, scheduled_s, None, 0.0, lost=True)]
        self._pending[seq] = _Pending(scheduled_s, sent_s)
        return []

    def ack(self, frame_id: int, seqs: tuple[int, ...], now: float) -> list[InputSample]:
        """The worker says that ``frame_id`` is the first to show ``seqs``."""
        found = [
            (seq, pending)
            for seq in seqs
            if (pending := self._pending.get(seq)) and now - pending.sent_s <= LOST_AFTER_S
        ]
        for seq, _ in found:
            del self._pending[seq]
        self.acked += len(found)
        if not found:
            return []
        at = bisect_left(self._ids, frame_id)
        if at < len(self._ids):
            return _samples(found, self._times[at])
        self._named.setdefault(frame_id, []).extend(found)
        return []

    def seen(self, frame_id: int, now: float) -> list[InputSample]:
        """A frame is visible; it also shows what earlier, lost frames would have."""
        if self._ids and frame_id <= self._ids[-1]:
            return []
        self._ids.append(frame_id)
        self._times.append(now)
        if len(self._ids) > MAX_FRAMES:
            del self._ids[: MAX_FRAMES // 2], self._times[: MAX_FRAMES // 2]
        if not self._named:
            return []
        due = [named for named in self._named if named <= frame_id]
        return [sample for named in due for sample in _samples(self._named.pop(named), now)]

    def expire(self, now: float) -> list[InputSample]:
        """Inputs that count as lost by now."""
        late = [s for s, p in self._pending.items() if now - p.sent_s > LOST_AFTER_S]
        return [_censored(seq, self._pending.pop(seq), now, lost=True) for seq in late]

    def restart(self, now: float) -> list[InputSample]:
        """Another worker: frame ids begin anew, and what was acknowledged stays unseen."""
        unseen = [entry for entries in self._named.values() for entry in entries]
        self._named.clear()
        self._ids.clear()
        self._times.clear()
        return [_censored(seq, pending, now, lost=False) for seq, pending in unseen]

    def finish(self, now: float) -> list[InputSample]:
        """The session ended. Inputs too young to be judged leave no sample."""
        samples = self.expire(now) + self.restart(now)
        self._pending.clear()
        return samples


def _samples(found: list[tuple[int, _Pending]], seen_s: float) -> list[InputSample]:
    samples = []
    for seq, pending in found:
        value = max(0.0, seen_s - pending.scheduled_s)
        late_s = pending.late_s
        samples.append(InputSample(seq, pending.scheduled_s, value, value, False, late_s))
    return samples


def _censored(seq: int, pending: _Pending, now: float, *, lost: bool) -> InputSample:
    after_s = now - pending.scheduled_s
    return InputSample(seq, pending.scheduled_s, None, after_s, lost, pending.late_s)
