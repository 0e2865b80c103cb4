"""What one viewer experienced, second by second. Pure: fed with times, reads no clock.

All times are seconds of the monotonic clock of the client's process, except
capture times, which are the sender's and only compared with each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from system.client.freezes import SILENCE_S, FreezeMeter
from system.client.histogram import LogHistogram
from system.client.latency import InputMeter, InputSample


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals of a stream since it began, as the receiver counts them."""

    packets_received: int = 0
    packets_lost: int = 0
    bytes_received: int = 0
    nack_count: int = 0
    pli_count: int = 0
    keyframes: int = 0
    jitter_s: float = math.nan

    def since(self, before: Counters) -> Counters:
        """What was added after ``before``; never negative (late packets repay a loss)."""
        return Counters(
            max(0, self.packets_received - before.packets_received),
            max(0, self.packets_lost - before.packets_lost),
            max(0, self.bytes_received - before.bytes_received),
            max(0, self.nack_count - before.nack_count),
            max(0, self.pli_count - before.pli_count),
            max(0, self.keyframes - before.keyframes),
            self.jitter_s,
        )


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a session, the fields of a SampleRow that are measured."""

    began_s: float
    duration_s: float
    frames_received: int
    frames_captured: int
    frames_decoded: int
    added: Counters
    freeze_count: int
    freeze_s: float
    rtt_s: float
    inputs_sent: int
    inputs_acked: int

    @property
    def fps(self) -> float:
        return self.frames_received / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def bitrate_bps(self) -> float:
        return 8 * self.added.bytes_received / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def frame_delivery(self) -> float | None:
        """Frames received over frames captured; None in a second without a frame."""
        if not self.frames_captured:
            return None
        return min(1.0, self.frames_received / self.frames_captured)

    @property
    def loss(self) -> float | None:
        expected = self.added.packets_received + self.added.packets_lost
        return self.added.packets_lost / expected if expected else None


@dataclass
class Totals:
    """A session's sums and distributions, for its summary."""

    frames_received: int = 0
    frames_captured: int = 0
    frames_decoded: int = 0
    frames_skipped: int = 0
    bytes_received: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    inputs_lost: int = 0
    histograms: dict[str, LogHistogram] = field(default_factory=dict)

    def sample(self, metric: str, value: float | None) -> None:
        """Add to a metric's distribution; None is a sample that never came."""
        histogram = self.histograms.setdefault(metric, LogHistogram())
        if value is None:
            histogram.add_censored()
        else:
            histogram.add(value)


class SessionMeter:
    """Measures from the first frame on; ``shown`` differs from ``received`` where decoded."""

    def __init__(self, *, frame_time_s: float) -> None:
        self.freezes = FreezeMeter(frame_time_s)
        self.totals = Totals()
        self._inputs = InputMeter()
        self._samples: list[InputSample] = []
        self._began_s: float | None = None
        self._second_s = 0.0
        self._newest_id: int | None = None
        self._received_s: float | None = None
        self.interruptions = 0
        """Silences that no idle stream has: media stopped before the session's end."""
        self.interrupted_s: float | None = None
        """When the first of them began."""
        self._frames = [0, 0, 0]  # received, captured, decoded, since the last second
        self._before = Counters()
        self._reported = (0, 0.0, 0, 0)  # freezes, frozen, inputs sent, acknowledged

    @property
    def began_s(self) -> float | None:
        """When the first frame came."""
        return self._began_s

    @property
    def received_s(self) -> float | None:
        """When the last frame came."""
        return self._received_s

    def received(self, frame_id: int | None, now: float) -> None:
        """A frame arrived whole. Without an id (no marker) it counts as the next."""
        if self._began_s is None:
            self._began_s = self._second_s = now
        self._silent_until(now)
        self._frames[0] += 1
        newest = self._newest_id
        if frame_id is None:
            self._frames[1] += 1
        elif newest is None or frame_id > newest:
            self._frames[1] += 1 if newest is None else frame_id - newest
            self._newest_id = frame_id

    def shown(self, frame_id: int, capture_s: float, now: float, *, decoded: bool = False) -> None:
        """A frame became visible: whole with an unbroken chain, or decoded."""
        self._frames[2] += decoded
        self.freezes.shown(frame_id, capture_s, now)
        self._samples += self._inputs.seen(frame_id, now)

    def input(self, seq: int, scheduled_s: float, sent_s: float | None) -> None:
        self._samples += self._inputs.input(seq, scheduled_s, sent_s)

    def ack(self, frame_id: int, seqs: tuple[int, ...], now: float) -> None:
        self._samples += self._inputs.ack(frame_id, seqs, now)

    def judged(self, psnr_db: float, ssim: float) -> None:
        """A decoded frame was compared with its reference."""
        self.totals.sample("video.psnr", psnr_db)
        self.totals.sample("video.ssim", ssim)

    def new_stream(self, now: float) -> None:
        """Another worker took over: its frame ids and counters begin anew."""
        self._newest_id = None
        self._before = Counters()
        self.freezes.restart()
        self._samples += self._inputs.restart(now)

    def second(self, now: float, counters: Counters, rtt_s: float | None) -> Second | None:
        """Close the second that ends now; None before the first frame."""
        if self._began_s is None or now <= self._second_s:
            return None
        self._samples += self._inputs.expire(now)
        freezes = self.freezes
        reported = (freezes.count, freezes.frozen_s, self._inputs.sent, self._inputs.acked)
        before = self._reported
        second = Second(
            began_s=self._second_s,
            duration_s=now - self._second_s,
            frames_received=self._frames[0],
            frames_captured=self._frames[1],
            frames_decoded=self._frames[2],
            added=counters.since(self._before),
            freeze_count=reported[0] - before[0],
            freeze_s=reported[1] - before[1],
            rtt_s=math.nan if rtt_s is None else rtt_s,
            inputs_sent=reported[2] - before[2],
            inputs_acked=reported[3] - before[3],
        )
        self._second_s = now
        self._frames = [0, 0, 0]
        self._before = counters
        self._reported = reported
        self._total(second)
        return second

    def take_inputs(self) -> list[InputSample]:
        """Fates of inputs that were decided since the last call."""
        samples, self._samples = self._samples, []
        for sample in samples:
            self.totals.sample("input.to_frame", sample.value_s)
            self.totals.inputs_lost += sample.lost
        return samples

    def finish(self, now: float, counters: Counters, rtt_s: float | None) -> Second | None:
        """The session ended: the last, partial second, after which nothing is fed."""
        self.freezes.finish(now)
        self._silent_until(now)
        self._received_s = None
        self._samples += self._inputs.finish(now)
        return self.second(now, counters, rtt_s)

    def freeze_ratio(self, now: float) -> float:
        """Share of the time since the first frame that was frozen."""
        if self._began_s is None or now <= self._began_s:
            return 0.0
        return min(1.0, self.freezes.frozen_s / (now - self._began_s))

    @property
    def inputs_sent(self) -> int:
        return self._inputs.sent

    def _silent_until(self, now: float) -> None:
        before, self._received_s = self._received_s, now
        if before is not None and now - before > SILENCE_S:
            self.interruptions += 1
            if self.interrupted_s is None:
                self.interrupted_s = before

    def _total(self, second: Second) -> None:
        totals = self.totals
        totals.frames_received += second.frames_received
        totals.frames_captured += second.frames_captured
        totals.frames_decoded += second.frames_decoded
        totals.bytes_received += second.added.bytes_received
        totals.packets_received += second.added.packets_received
        totals.packets_lost += second.added.packets_lost
        if second.duration_s < 0.5:
            return  # a last, partial second is no fair sample of a rate
        totals.sample("video.fps", second.fps)
        totals.sample("video.bitrate", second.bitrate_bps)
        for metric, value in (
            ("video.frame_delivery", second.frame_delivery),
            ("net.loss", second.loss),
            ("net.rtt", second.rtt_s),
            ("net.jitter", second.added.jitter_s),
        ):
            if value is not None and not math.isnan(value):
                totals.sample(metric, value)
