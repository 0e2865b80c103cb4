"""What the tiers see goes to the meter, and what the meter says to the user, once a second."""

from __future__ import annotations

import asyncio
import random
import time

import av

from system.client.actions import InputApi
from system.client.config import Callbacks, ClientConfig, Stats
from system.client.judge import PictureJudge
from system.client.meter import Counters, Second, SessionMeter
from system.client.pictures import PictureSample, PictureSampler, SamplerCallbacks
from system.client.silence import Silence
from system.media.marker import FrameMarker
from system.media.rtc.assembler import ReceivedFrame
from system.protocol import codec


class MeasuredClient(InputApi):
    """Base of the client: measures the stream that ``_media`` receives."""

    def __init__(self, config: ClientConfig, callbacks: Callbacks) -> None:
        super().__init__(SessionMeter(frame_time_s=1 / config.fps))
        self.stats: Stats | None = None
        self._callbacks = callbacks
        self._silence = Silence(config.media_timeout_s, config.patience_s)
        self._rtt_s: float | None = None
        self._sampler: PictureSampler | None = None

    def frame_received(self, frame: ReceivedFrame, marker: FrameMarker | None) -> None:
        """Called by the tier."""
        self._silence.frame(frame.delivered_s)
        self.meter.received(marker.frame_id if marker else None, frame.delivered_s)
        self._callbacks.on_frame(frame, marker)

    def frame_shown(self, marker: FrameMarker | None, at_s: float, decoded: bool) -> None:
        """Called by the tier."""
        if marker is not None:
            capture_s = marker.capture_time_us / 1e6
            self.meter.shown(marker.frame_id, capture_s, at_s, decoded=decoded)

    def keyframe_needed(self) -> None:
        """Called by the tier."""
        if self._media is not None:
            self._media.receiver.request_keyframe()

    @property
    def pictures_skipped(self) -> int:
        """Pictures that were to be judged and were not."""
        return 0 if self._sampler is None else self._sampler.skipped

    def _sample_pictures(self, judge: PictureJudge, config: ClientConfig) -> PictureSampler:
        """Begin to sample; needs its ``run``."""
        callbacks = SamplerCallbacks(
            ask=lambda request: (
                self._media is not None and self._media.send_edit(codec.encode(request))
            ),
            sampled=self._judged,
            unjudged=self._callbacks.on_unjudged,
        )
        self._sampler = PictureSampler(
            judge,
            callbacks,
            every_s=config.picture_every_s,
            phase=random.Random(config.seed).random(),
        )
        return self._sampler

    def _decoded(self, marker: FrameMarker | None, picture: av.VideoFrame) -> None:
        """Called by the tier, in a decoder thread."""
        if self._sampler is not None:
            self._sampler.picture(marker, picture)
        if self._callbacks.on_picture is not None:
            self._callbacks.on_picture(marker, picture)

    def _judged(self, sample: PictureSample) -> None:
        self.meter.judged(sample.psnr_db, sample.ssim)
        self._callbacks.on_judged(sample)

    async def _measure(self) -> str:
        """Report every second until the stream has stopped for good; why."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1.0
            if self._media is not None:
                self._rtt_s = await self._media.link.probe()
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = time.monotonic()
            self._report(self.meter.second(now, self._counters(), self._rtt_s))
            if (reason := self._silence.verdict(now)) is not None:
                return reason

    def _finish(self) -> None:
        self._report(self.meter.finish(time.monotonic(), self._counters(), self._rtt_s))

    def _report(self, second: Second | None) -> None:
        if second is None:
            return
        self.stats = Stats.of(second, self._counters())
        self._callbacks.on_second(second, self.meter.take_inputs())
        self._callbacks.on_stats(self.stats)

    def _counters(self) -> Counters:
        return self._media.counters() if self._media is not None else Counters()
