from __future__ import annotations

from system.worker.drags import MAX_DEVICES, QUIET_S, Drag, DragTracker


def at(x: float, device_id: str = "d1", edit_id: str | None = None) -> Drag:
    return Drag(device_id, (x, 0.0, 0.0), edit_id)


def test_a_drag_becomes_an_edit_where_it_was_when_it_fell_quiet() -> None:
    tracker = DragTracker()
    for i in range(5):
        assert tracker.moved(at(i), i * 0.05, seq=i, end=None).final is None
    assert tracker.due(0.2 + QUIET_S * 0.9) == []
    assert tracker.due(0.2 + QUIET_S) == [at(4)]
    assert tracker.due(9.0) == []


def test_a_drag_whose_end_will_be_said_may_pause() -> None:
    tracker = DragTracker()
    tracker.moved(at(1), 0.0, seq=1, end=False)
    assert tracker.next_at() is None
    assert tracker.due(60.0) == []
    assert tracker.live == (at(1),)
    assert tracker.moved(at(2), 60.0, seq=2, end=True).final == at(2)


def test_a_drag_whose_end_never_came_is_an_edit_when_the_viewer_leaves() -> None:
    tracker = DragTracker()
    tracker.moved(at(1), 0.0, seq=1, end=False)
    assert tracker.finish() == [at(1)]


def test_without_numbers_a_drag_falls_quiet_whatever_is_said() -> None:
    tracker = DragTracker()
    tracker.moved(at(1), 0.0, seq=None, end=True)
    tracker.moved(at(1), 0.01, seq=None, end=False)
    assert tracker.due(1.0) == [at(1)]


def test_the_end_of_a_drag_is_an_edit_at_once_and_only_once() -> None:
    tracker = DragTracker()
    tracker.moved(at(1), 0.0, seq=1, end=None)
    moved = tracker.moved(at(2, edit_id="e"), 0.1, seq=2, end=True)
    assert moved.final == at(2, edit_id="e")
    assert tracker.due(9.0) == []
    assert tracker.live == ()


def test_an_edit_id_said_without_an_end_is_used_when_the_drag_falls_quiet() -> None:
    tracker = DragTracker()
    tracker.moved(at(1, edit_id="e"), 0.0, seq=1, end=None)
    tracker.moved(at(2), 0.1, seq=2, end=None)
    assert tracker.due(1.0) == [at(2, edit_id="e")]


def test_a_position_overtaken_by_a_newer_one_is_not_shown() -> None:
    tracker = DragTracker()
    tracker.moved(at(2), 0.0, seq=2, end=None)
    assert not tracker.moved(at(1), 0.01, seq=1, end=None).shown
    assert tracker.live == (at(2),)


def test_positions_that_arrive_after_the_end_do_not_begin_a_new_drag() -> None:
    tracker = DragTracker()
    tracker.moved(at(3), 0.0, seq=3, end=True)
    tracker.moved(at(2), 0.01, seq=2, end=None)
    assert tracker.next_at() is None


def test_an_end_that_is_overtaken_is_still_an_edit() -> None:
    tracker = DragTracker()
    tracker.moved(at(5), 0.0, seq=5, end=None)
    moved = tracker.moved(at(4, edit_id="e"), 0.01, seq=4, end=True)
    assert not moved.shown
    assert moved.final == at(4, edit_id="e")
    assert tracker.live == (at(5),)


def test_devices_are_dragged_independently() -> None:
    tracker = DragTracker()
    tracker.moved(at(1, "a"), 0.0, seq=9, end=None)
    tracker.moved(at(1, "b"), 0.1, seq=1, end=None)
    assert tracker.next_at() == QUIET_S
    assert [drag.device_id for drag in tracker.due(QUIET_S)] == ["a"]


def test_finishing_ends_every_drag_and_forgets_the_numbers() -> None:
    tracker = DragTracker()
    tracker.moved(at(1), 0.0, seq=100, end=None)
    assert tracker.finish() == [at(1)]
    assert tracker.moved(at(2), 1.0, seq=1, end=None).shown


def test_live_drags_are_bounded() -> None:
    tracker = DragTracker()
    for i in range(MAX_DEVICES):
        tracker.moved(at(0, f"d{i}"), 0.0, seq=None, end=None)
    assert tracker.moved(at(0, "one more"), 0.0, seq=None, end=None).final is not None
    assert len(tracker.live) == MAX_DEVICES
