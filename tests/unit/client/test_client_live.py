"""What is told of all viewers together, from seconds and inputs made by hand."""

from __future__ import annotations

import math

import pytest

from system.client.histogram import LogHistogram
from system.client.hostproto import Figures
from system.client.latency import InputSample
from system.client.live import LiveTally
from system.client.meter import Counters, Second
from system.client.pictures import PictureSample


def second(frames: int = 30, duration_s: float = 1.0, freeze_s: float = 0.0) -> Second:
    return Second(
        began_s=10.0,
        duration_s=duration_s,
        frames_received=frames,
        frames_captured=30,
        frames_decoded=0,
        added=Counters(packets_received=90, packets_lost=10, bytes_received=1000),
        freeze_count=0,
        freeze_s=freeze_s,
        rtt_s=math.nan,
        inputs_sent=0,
        inputs_acked=0,
    )


def inputs(*values_s: float | None) -> list[InputSample]:
    return [InputSample(0, 10.0, value_s, 2.0, value_s is None) for value_s in values_s]


def test_frames_bytes_and_frozen_time_of_all_viewers_are_summed_and_taken_once() -> None:
    tally = LiveTally()
    tally.add(second(30), [])
    tally.add(second(15, freeze_s=0.25), [])
    told = tally.take([0.01, 0.4])
    assert (told.frames, told.bytes_received) == (45, 2000)
    assert (told.watched_s, told.frozen_s) == (2.0, 0.25)
    assert tally.take([]) == Figures()


def test_who_has_no_picture_for_longer_than_an_idle_stream_is_stalled() -> None:
    told = LiveTally().take([0.01, 1.4, 1.5, 9.0])
    assert (told.watching, told.stalled) == (4, 2)


def test_rates_of_full_seconds_are_samples_and_unknown_ones_are_not() -> None:
    tally = LiveTally()
    tally.add(second(15), [])
    tally.add(second(2, duration_s=0.1), [])
    samples = tally.take([]).samples
    delivery = LogHistogram.from_json(samples["video.frame_delivery"])
    assert (delivery.n, delivery.maximum) == (1, 0.5)
    assert LogHistogram.from_json(samples["net.loss"]).maximum == pytest.approx(0.1)
    assert "net.rtt" not in samples


def test_latencies_and_lost_inputs_are_taken_apart_from_the_rest() -> None:
    tally = LiveTally()
    tally.add(second(), inputs(0.05, 0.07, None))
    told = tally.take_inputs()
    assert told is not None
    histogram = LogHistogram.from_json(told)
    assert (histogram.n, histogram.censored) == (2, 1)
    assert tally.take_inputs() is None


def test_judged_pictures_are_samples_once() -> None:
    tally = LiveTally()
    tally.judged(PictureSample(10.0, 5, 41.5, 0.98))
    samples = tally.take([]).samples
    assert LogHistogram.from_json(samples["video.psnr"]).maximum == 41.5
    assert LogHistogram.from_json(samples["video.ssim"]).n == 1
    assert tally.take([]) == Figures()
