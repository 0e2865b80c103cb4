"""When a silent stream is over."""

from __future__ import annotations

from system.client.silence import Silence


def test_a_stream_is_over_when_it_has_been_silent_for_too_long() -> None:
    silence = Silence(10.0, None)
    silence.frame(100.0)
    assert silence.verdict(110.0) is None
    assert silence.verdict(110.1) == "media_lost"


def test_a_stream_that_waits_for_another_worker_may_be_silent_for_as_long_as_its_viewer() -> None:
    silence = Silence(10.0, 30.0)
    silence.frame(100.0)
    silence.queued(101.0)
    silence.queued(120.0)
    assert silence.verdict(131.0) is None
    assert silence.verdict(131.1) == "worker_lost"
    patient = Silence(10.0, None)
    patient.frame(100.0)
    patient.queued(101.0)
    assert patient.verdict(1000.0) is None


def test_another_worker_gets_the_whole_time_to_begin() -> None:
    silence = Silence(10.0, 30.0)
    silence.frame(100.0)
    silence.queued(101.0)
    silence.replaced(125.0)
    assert silence.verdict(135.0) is None
    assert silence.verdict(135.1) == "media_lost"
