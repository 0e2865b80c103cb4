"""What all viewers of a process saw lately, summed up for those who watch a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from system.client.histogram import LogHistogram
from system.client.hostproto import Figures
from system.client.latency import InputSample
from system.client.meter import Second
from system.client.pictures import PictureSample

STALL_S: Final = 1.5
"""Without a frame for so long a viewer is stalled: an idle stream has one or two a second."""
SHORTEST_S: Final = 0.5
"""A session's last, partial second counts from this length on."""


class LiveTally:
    """Adds up seconds and inputs until somebody takes them."""

    def __init__(self) -> None:
        self._inputs = LogHistogram()
        self._seconds: list[Second] = []
        self._pictures: list[PictureSample] = []

    def add(self, second: Second, samples: Sequence[InputSample]) -> None:
        """Take a session's second, and the inputs whose fate it decided."""
        self._seconds.append(second)
        for sample in samples:
            if sample.value_s is not None:
                self._inputs.add(sample.value_s)
            elif sample.lost:
                self._inputs.add_censored()

    def judged(self, sample: PictureSample) -> None:
        """Take a picture that was compared with its reference."""
        self._pictures.append(sample)

    def take_inputs(self) -> dict[str, Any] | None:
        """Latencies since the last call; None without any."""
        taken, self._inputs = self._inputs, LogHistogram()
        return taken.to_json() if taken.n or taken.censored else None

    def take(self, silent_s: Iterable[float]) -> Figures:
        """Everything else since the last call; ``silent_s`` is since each viewer's last frame."""
        seconds, self._seconds = self._seconds, []
        pictures, self._pictures = self._pictures, []
        silences = list(silent_s)
        return Figures(
            frames=sum(second.frames_received for second in seconds),
            bytes_received=sum(second.added.bytes_received for second in seconds),
            watching=len(silences),
            stalled=sum(silence >= STALL_S for silence in silences),
            watched_s=sum(second.duration_s for second in seconds),
            frozen_s=sum(second.freeze_s for second in seconds),
            samples=_samples(seconds, pictures),
        )


def _samples(
    seconds: Iterable[Second], pictures: Iterable[PictureSample]
) -> dict[str, dict[str, Any]]:
    found: dict[str, LogHistogram] = {}
    for second in seconds:
        if second.duration_s < SHORTEST_S:
            continue
        for metric, value in (
            ("video.fps", second.fps),
            ("video.bitrate", second.bitrate_bps),
            ("video.frame_delivery", second.frame_delivery),
            ("net.rtt", second.rtt_s),
            ("net.jitter", second.added.jitter_s),
            ("net.loss", second.loss),
        ):
            if value is not None and not math.isnan(value):
                found.setdefault(metric, LogHistogram()).add(value)
    for picture in pictures:
        for metric, value in (("video.psnr", picture.psnr_db), ("video.ssim", picture.ssim)):
            found.setdefault(metric, LogHistogram()).add(value)
    return {metric: histogram.to_json() for metric, histogram in found.items()}
