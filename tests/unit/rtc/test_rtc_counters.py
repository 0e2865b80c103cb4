"""RFC 3550 accounting by hand-made packets."""

from __future__ import annotations

import pytest

from system.media.rtc.counters import ReceiveCounters


def counters_of(sequences: list[int]) -> ReceiveCounters:
    counters = ReceiveCounters(90_000)
    for i, sequence in enumerate(sequences):
        counters.received(sequence & 0xFFFF, 3000 * i, 100, i / 30)
    return counters


def test_nothing_is_lost_where_every_number_came_across_the_wrap() -> None:
    counters = counters_of(list(range(65_500, 65_600)))
    assert (counters.packets_received, counters.packets_lost) == (100, 0)
    assert counters.bytes_received == 10_000
    assert counters.packets_expected == 100
    assert counters.highest_sequence == 65_599


def test_gaps_are_lost_and_late_packets_are_not() -> None:
    counters = counters_of([1, 2, 5, 6])
    assert counters.packets_lost == 2
    counters.received(3, 0, 100, 1.0)
    assert counters.packets_lost == 1


def test_a_repair_is_received_and_its_packet_stays_lost() -> None:
    counters = counters_of([1, 2, 4])
    counters.repaired(102)
    assert (counters.packets_received, counters.packets_lost) == (4, 1)
    assert counters.bytes_received == 400
    assert counters.packets_repaired == 1


def test_the_fraction_lost_is_of_the_interval_and_never_negative() -> None:
    counters = counters_of([0, 1, 2, 4])
    assert counters.take_fraction_lost() == 256 // 5
    assert counters.take_fraction_lost() == 0
    counters.received(3, 0, 100, 1.0)
    assert counters.take_fraction_lost() == 0
    assert ReceiveCounters(90_000).take_fraction_lost() == 0


def test_jitter_is_zero_for_an_even_stream_and_in_seconds_for_another() -> None:
    assert counters_of(list(range(30))).jitter_s == pytest.approx(0, abs=1e-9)
    counters = ReceiveCounters(90_000)
    for i in range(2000):
        late = 0.010 if i % 2 else 0.0
        for packet in range(3):  # packets of one frame share a timestamp
            counters.received(3 * i + packet & 0xFFFF, 3000 * i & 0xFFFFFFFF, 9, i / 30 + late)
    assert counters.jitter_s == pytest.approx(0.010, rel=0.05)


def test_the_wrap_of_the_timestamp_is_no_jitter() -> None:
    counters = ReceiveCounters(90_000)
    for i in range(10):
        counters.received(i, (0xFFFFFFFF - 9000 + 3000 * i) & 0xFFFFFFFF, 9, i / 30)
    assert counters.jitter_s < 1e-6
