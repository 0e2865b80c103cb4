"""When a pool that lost workers, and its viewers, are whole again."""

from __future__ import annotations

from random import Random

import pytest

from loadtest._recovery import CONFIRM_S, QUIET_S, Recovery, Target, choose
from system.protocol.messages import WorkerView


def worker(name: str, state: str = "ready", *sessions: str) -> WorkerView:
    return WorkerView(worker_id=name, pool="default", state=state, slots=4, sessions=sessions)


BEFORE = [worker("a", "active", "s1"), worker("b"), worker("c")]
WITHOUT_A = [worker("a", "failed"), worker("b", "active", "s1"), worker("c")]


def watch(recovery: Recovery, looks: list[tuple[float, list[WorkerView], int]]) -> float | None:
    for now_s, workers, stalled in looks:
        recovery.look(now_s, workers, stalled)
    return recovery.whole_s


def test_a_killed_worker_is_made_good_when_another_serves_in_its_place() -> None:
    recovery = Recovery(BEFORE, ["a"], 20.0)
    replaced = [*WITHOUT_A, worker("d")]
    looks = [
        (20.5, BEFORE, 0),  # nobody has noticed yet
        (21.0, WITHOUT_A, 1),
        (22.0, [*WITHOUT_A, worker("d", "booting")], 0),
        (25.0, replaced, 0),
        (25.0 + CONFIRM_S - 0.1, replaced, 0),
    ]
    assert watch(recovery, looks) is None
    assert watch(recovery, [(25.0 + CONFIRM_S, replaced, 0)]) == pytest.approx(5.0)
    assert watch(recovery, [(60.0, WITHOUT_A, 3)]) == pytest.approx(5.0)  # it is over


def test_a_viewer_without_a_picture_is_not_made_good() -> None:
    replaced = [*WITHOUT_A, worker("d")]
    recovery = Recovery(BEFORE, ["a"], 20.0)
    looks = [(25.0, replaced, 0), (27.0, replaced, 1), (30.0, replaced, 0), (32.9, replaced, 0)]
    assert watch(recovery, looks) is None
    assert watch(recovery, [(33.0, replaced, 0)]) == pytest.approx(10.0)


def test_a_pool_that_wants_fewer_by_now_is_at_its_target_once_nothing_boots() -> None:
    recovery = Recovery(BEFORE, ["a"], 20.0)
    times = [21.0, 21.0 + QUIET_S, 21.0 + QUIET_S + CONFIRM_S]
    assert watch(recovery, [(now_s, WITHOUT_A, 0) for now_s in times]) == pytest.approx(
        1.0 + QUIET_S
    )


def test_a_hanging_worker_counts_only_once_it_was_woken() -> None:
    recovery = Recovery(BEFORE, ["c"], 20.0)
    times = [22.0, 25.0, 40.0]
    assert watch(recovery, [(now_s, BEFORE, 0) for now_s in times]) is None
    recovery.woken()
    assert watch(recovery, [(41.0, BEFORE, 0), (44.0, BEFORE, 0)]) == pytest.approx(21.0)


def test_a_moment_that_looks_whole_before_anybody_can_know_is_not_enough() -> None:
    recovery = Recovery([worker("a"), worker("b")], ["a"], 20.0)
    spare = [worker("b"), worker("c")]
    assert watch(recovery, [(20.1, spare, 0), (22.0, spare, 0)]) is None
    assert watch(recovery, [(23.2, spare, 0)]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("target", "names"),
    [("random", "abc"), ("busy", "a"), ("idle", "bc")],
)
def test_a_target_is_any_one_of_those_that_serve(target: Target, names: str) -> None:
    workers = [*BEFORE, worker("d", "booting"), worker("e", "failed")]
    chosen = [choose(target, workers, Random(seed)) for seed in range(50)]
    assert {name for (name,) in chosen} == set(names)
    assert choose(target, workers, Random(1)) == choose(target, workers[::-1], Random(1))


def test_all_are_all_that_serve() -> None:
    workers = [*BEFORE, worker("d", "booting"), worker("e", "failed")]
    assert choose("all", workers, Random(1)) == ["a", "b", "c"]


def test_there_may_be_no_worker_of_the_kind() -> None:
    assert choose("busy", [worker("b")], Random(1)) == []
