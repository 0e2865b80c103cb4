"""Delay, jitter and loss by a clock that does not run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from system.media.rtc.impair import Impairment, Path


class FakeLoop:
    """Calls in order of their time when told to run."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., None], *args: object) -> None:
        self.calls.append((when, call, args))

    def run(self) -> None:
        for when, call, args in sorted(self.calls, key=lambda entry: entry[0]):
            self.now = when
            call(*args)
        self.calls.clear()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> FakeLoop:
    fake = FakeLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: fake)
    return fake


def test_each_direction_adds_half_the_round_trip(loop: FakeLoop) -> None:
    arrived: list[tuple[str, float]] = []
    impairment = Impairment(Path(rtt_s=0.08), random.Random(1))
    impairment.inbound(lambda name: arrived.append((name, loop.now)), "in")
    impairment.outbound(lambda name: arrived.append((name, loop.now)), "out")
    assert arrived == []
    loop.run()
    assert arrived == [("in", pytest.approx(100.04)), ("out", pytest.approx(100.04))]


def test_jitter_varies_the_delay_and_keeps_the_order(loop: FakeLoop) -> None:
    arrived: list[tuple[int, float]] = []
    impairment = Impairment(Path(rtt_s=0.02, jitter_s=0.05), random.Random(2))
    for i in range(200):
        loop.now = 100.0 + i / 1000
        impairment.inbound(lambda n: arrived.append((n, loop.now)), i)
    loop.run()
    assert [n for n, _ in arrived] == list(range(200))
    delays = [at - 100.0 - n / 1000 for n, at in arrived]
    assert min(delays) >= 0.01 - 1e-9
    assert max(delays) <= 0.06 + 1e-9
    assert max(delays) - min(delays) > 0.01


def test_loss_is_the_share_asked_for_and_repeats_with_the_seed(loop: FakeLoop) -> None:
    def lost(seed: int) -> list[int]:
        arrived: list[int] = []
        impairment = Impairment(Path(loss=0.1), random.Random(seed))
        for i in range(5000):
            impairment.inbound(arrived.append, i)
        assert impairment.dropped == 5000 - len(arrived)
        return sorted(set(range(5000)) - set(arrived))

    assert lost(1) == lost(1) != lost(2)
    assert 400 < len(lost(1)) < 600


def test_no_delay_passes_at_once(loop: FakeLoop) -> None:
    arrived: list[int] = []
    Impairment(Path(), random.Random(1)).outbound(arrived.append, 1)
    assert arrived == [1]
    assert loop.calls == []


def test_what_is_in_flight_is_bounded(loop: FakeLoop) -> None:
    arrived: list[int] = []
    impairment = Impairment(Path(rtt_s=1.0), random.Random(1), limit=10)
    for i in range(15):
        impairment.inbound(arrived.append, i)
    assert impairment.dropped == 5
    loop.run()
    assert arrived == list(range(10))
    impairment.inbound(arrived.append, 99)
    loop.run()
    assert arrived[-1] == 99
