"""Which unknown sends the evidence proves: claimed once, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.send_evidence import Evidence, settled
from gateway.domain.sending import Send, SendStatus

S = SendStatus


def send(number: int, at: float, status: SendStatus = S.UNKNOWN, key_id: str | None = None) -> Send:
    return Send(
        number, "ann", queued_at=0.0, content="ok", status=status, attempt=1, sending_at=at, key_id=key_id
    )


def heard(key: str, at: float, chat: str = "ann", content: str = "ok") -> Evidence:
    return Evidence(key, chat, content, at)


def keys(found: list[Send]) -> dict[int, str | None]:
    assert all(one.status is S.SENT for one in found)
    return {one.id: one.key_id for one in found}


def test_a_piece_settles_the_one_row_that_it_fits() -> None:
    assert keys(settled([send(1, 10)], [heard("A", 11)])) == {1: "A"}


@pytest.mark.parametrize(
    "piece",
    [heard("A", 10), heard("A", 9), heard("A", 11, chat="bob"), heard("A", 11, content="OK")],
)
def test_a_piece_of_before_or_of_another_chat_or_content_settles_nothing(piece: Evidence) -> None:
    assert settled([send(1, 10)], [piece]) == []


def test_where_two_rows_fit_only_two_pieces_settle_them() -> None:
    rows = [send(1, 10), send(2, 20)]

    assert settled(rows, [heard("B", 25)]) == []
    assert keys(settled(rows, [heard("B", 25), heard("A", 22)])) == {1: "A", 2: "B"}


def test_a_piece_from_between_two_attempts_is_the_first_ones() -> None:
    rows = [send(1, 10), send(2, 20)]

    assert keys(settled(rows, [heard("A", 15)])) == {1: "A"}
    assert keys(settled(rows, [heard("A", 15), heard("B", 21)])) == {1: "A", 2: "B"}


def test_a_key_is_claimed_once_by_any_row() -> None:
    assert settled([send(1, 10)], [heard("A", 11)], claimed={"A"}) == []
    assert settled([send(1, 10), send(2, 5, S.ACCEPTED, key_id="A")], [heard("A", 11)]) == []
    assert keys(settled([send(1, 10)], [heard("A", 11), heard("A", 12)])) == {1: "A"}


@pytest.mark.parametrize("status", [S.ACCEPTED, S.SENDING])
def test_a_row_that_waits_for_its_own_key_holds_up_what_looks_like_it(status: SendStatus) -> None:
    waiting = send(2, 5, status)

    assert settled([send(1, 10), waiting], [heard("A", 11)]) == []
    other = Send(id=3, chat="bob", queued_at=0.0, content="ok", status=status, attempt=1, sending_at=5)
    assert keys(settled([send(1, 10), other], [heard("A", 11)])) == {1: "A"}


def test_what_a_person_has_called_sent_still_needs_its_key_and_may_be_what_was_heard() -> None:
    settled_true = send(2, 5, S.SENT)

    assert settled([send(1, 10), settled_true], [heard("A", 11)]) == []
    assert keys(settled([send(1, 10), settled_true], [heard("A", 11), heard("B", 12)])) == {2: "A", 1: "B"}
    assert keys(settled([settled_true], [heard("A", 11)])) == {2: "A"}


def test_a_key_proves_a_person_wrong_who_called_it_failed() -> None:
    wrong = Send(1, "ann", 0.0, "ok", S.FAILED, attempt=1, sending_at=10.0, error_code="settled")
    refused = Send(1, "ann", 0.0, "ok", S.FAILED, attempt=1, sending_at=10.0, error_code="invalid")

    assert keys(settled([wrong], [heard("A", 11)])) == {1: "A"}
    assert settled([refused], [heard("A", 11)]) == []


def test_a_row_that_was_never_sent_from_this_history_waits_for_a_person() -> None:
    restored = Send(id=1, chat="ann", queued_at=0.0, content="ok", status=S.UNKNOWN)

    assert settled([restored], [heard("A", 11)]) == []


@given(
    attempts=st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=6),
    told=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10)), max_size=8),
)
def test_nothing_is_settled_that_was_not_sent(
    attempts: list[tuple[int, bool]], told: list[tuple[int, int]]
) -> None:
    """Each attempt was taken or not; upstream names the keys of those taken, late and in any order, or never."""
    rows = [send(number, at) for number, (at, _) in enumerate(attempts)]
    taken = {number for number, (_, was_taken) in enumerate(attempts) if was_taken}
    pieces = [
        heard(f"K{number}", attempts[number][0] + delay)
        for number, delay in dict(told).items()
        if number in taken
    ]
    found = settled(rows, pieces)

    assert len(found) <= len(pieces)
    assert {one.id for one in found} <= taken
    assert len({one.key_id for one in found}) == len(found)
