from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from system.worker.acks import MAX_SEQS, AckBook


def test_frame_ids_count_from_one_whether_or_not_a_frame_is_sent() -> None:
    book = AckBook()
    first = book.begin()
    book.unsent(first)
    assert [first.frame_id, book.begin().frame_id, book.begin().frame_id] == [1, 2, 3]


def test_an_input_applied_while_a_frame_is_made_belongs_to_the_next() -> None:
    book = AckBook()
    book.applied(1)
    frame = book.begin()
    book.applied(2)
    assert frame.seqs == (1,)
    assert book.begin().seqs == (2,)


def test_inputs_of_an_unsent_frame_are_first_shown_by_the_next_one() -> None:
    book = AckBook()
    book.applied(1)
    frame = book.begin()
    book.applied(2)
    book.unsent(frame)
    assert book.begin().seqs == (1, 2)


def test_an_input_without_a_number_is_acknowledged_by_nothing() -> None:
    book = AckBook()
    book.applied(None)
    assert book.begin().seqs == ()


def test_what_waits_for_one_frame_is_bounded_and_the_newest_is_kept() -> None:
    book = AckBook()
    for seq in range(MAX_SEQS + 10):
        book.applied(seq)
    assert book.begin().seqs == tuple(range(10, MAX_SEQS + 10))
    assert book.overflowed == 10


@given(st.lists(st.sampled_from(["input", "sent", "unsent"]), max_size=60))
def test_every_input_is_acknowledged_once_by_the_first_sent_frame_begun_after_it(
    steps: list[str],
) -> None:
    book = AckBook()
    applied, acked = [], {}
    for step in [*steps, "sent"]:
        if step == "input":
            applied.append(len(applied))
            book.applied(applied[-1])
            continue
        frame = book.begin()
        if step == "unsent":
            book.unsent(frame)
            continue
        for seq in frame.seqs:
            assert seq not in acked
            acked[seq] = frame.frame_id
    assert sorted(acked) == applied
