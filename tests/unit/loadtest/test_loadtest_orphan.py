"""A forked worker and the master that it loses."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from loadtest import _orphan


def watched(parents: list[int], release: Callable[[float], object]) -> list[int]:
    ended: list[int] = []
    _orphan.watch(7, release, parent=lambda: parents.pop(0), end=ended.append)
    return ended


def test_a_worker_without_its_master_releases_what_it_holds_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_orphan, "LOOK_EVERY_S", 0.0)
    released: list[float] = []
    parents = [7, 7, 1]
    assert watched(parents, released.append) == [5]
    assert (parents, released) == ([], [_orphan.RELEASE_S])


def test_a_release_that_hangs_does_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_orphan, "RELEASE_S", 0.01)
    assert watched([1], lambda _: gevent.sleep(60)) == [5]
