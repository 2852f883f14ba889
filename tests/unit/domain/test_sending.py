"""One message on its way out: what follows what, and what people may do with it."""

import pytest

from gateway.domain import sending
from gateway.domain.errors import Conflict
from gateway.domain.sending import (
    REACHED,
    STEPS,
    Accepted,
    IllegalStep,
    NotSent,
    Refused,
    Send,
    SendStatus,
    Unclear,
)

S = SendStatus
NOW = 1_000.0


def row(status: SendStatus = S.QUEUED, **fields: object) -> Send:
    return Send(id=7, chat="ann", queued_at=0.0, status=status, **fields)  # type: ignore[arg-type]


def under_way() -> Send:
    return sending.begin(row(), NOW)


def test_a_call_begins_with_a_row_that_says_so() -> None:
    begun = sending.begin(row(error="x", error_code="y"), NOW, is_first_contact=True)

    assert (begun.status, begun.attempt, begun.sending_at, begun.is_first_contact) == (
        S.SENDING,
        1,
        NOW,
        True,
    )
    assert (begun.error, begun.error_code) == (None, None)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Accepted(100_000), S.ACCEPTED, None),
        (NotSent("rate_limit", "slow down", 4.0), S.QUEUED, None),
        (NotSent("not_connected", "not connected"), S.QUEUED, None),
        (Refused("not on WhatsApp", "not_on_whatsapp"), S.FAILED, "not_on_whatsapp"),
        (Unclear("no answer"), S.UNKNOWN, "no_answer"),
    ],
)
def test_an_answer_moves_the_row(answer: sending.Answer, status: SendStatus, code: str | None) -> None:
    after = sending.answered(under_way(), under_way(), answer)

    assert (after.status, after.error_code) == (status, code)
    assert after.msg_id == (100_000 if status is S.ACCEPTED else None)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Accepted(1), S.ACCEPTED),
        (NotSent("rate_limit", "x"), S.FAILED),  # never queued again: later ones may have gone
        (Refused("x"), S.FAILED),
        (Unclear("x"), S.UNKNOWN),
    ],
)
def test_a_late_answer_still_tells_the_truth(answer: sending.Answer, status: SendStatus) -> None:
    assert sending.answered(sending.orphaned(under_way()), under_way(), answer).status is status


def test_a_late_yes_corrects_a_person_and_nobody_else() -> None:
    unknown = sending.orphaned(under_way())
    settled = sending.settle(unknown, False, NOW + 200)
    refused = sending.answered(under_way(), under_way(), Refused("x"))

    assert sending.answered(settled, under_way(), Accepted(5)).status is S.ACCEPTED
    assert sending.answered(refused, under_way(), Accepted(5)) is refused


def test_an_answer_to_an_older_attempt_says_nothing_of_this_one() -> None:
    again = sending.begin(sending.retry(row(S.FAILED, attempt=1), NOW), NOW)

    assert sending.answered(again, under_way(), Accepted(5)) is again


def test_an_answer_to_another_senders_try_at_the_same_attempt_says_nothing() -> None:
    ours, theirs = (sending.begin(row(), NOW, holder=name) for name in ("a", "b"))

    assert sending.answered(theirs, ours, NotSent("not_reached", "x")) is theirs


def test_what_the_number_of_a_send_was_is_learnt_after_it_was_proven_sent() -> None:
    proven = sending.settle(sending.orphaned(under_way()), True, NOW + 200)

    assert sending.answered(proven, under_way(), Accepted(5)).msg_id == 5


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("state", sorted(REACHED))
def test_a_delivery_state_never_takes_a_row_backwards(status: SendStatus, state: SendStatus) -> None:
    before = row(status, key_id="K")
    after = sending.reported(before, state)

    assert after.status is status or after.status in STEPS[status]
    if status in (S.DELIVERED, S.READ, S.PLAYED):
        assert list(S).index(after.status) >= list(S).index(status)
    if status in (S.QUEUED, S.SENDING, S.CANCELLED):
        assert after is before


def test_only_an_arrival_proves_a_failure_wrong() -> None:
    failed = sending.reported(row(S.ACCEPTED), S.FAILED, error="463")

    assert (failed.status, failed.error, failed.error_code) == (S.FAILED, "463", "upstream")
    assert sending.reported(failed, S.SENT).status is S.FAILED
    assert sending.reported(failed, S.DELIVERED).status is S.DELIVERED


@pytest.mark.parametrize("status", [S.DELIVERED, S.READ, S.PLAYED, S.UNKNOWN, S.CANCELLED, S.QUEUED])
def test_upstream_can_only_take_back_what_has_not_arrived(status: SendStatus) -> None:
    assert sending.reported(row(status), S.FAILED).status is status


@pytest.mark.parametrize("status", S)
def test_only_what_waits_is_cancelled_and_twice_is_once(status: SendStatus) -> None:
    if status in (S.QUEUED, S.CANCELLED):
        assert sending.cancel(row(status)).status is S.CANCELLED
        return
    with pytest.raises(Conflict) as refused:
        sending.cancel(row(status))
    assert refused.value.details == {"status": status.value}


@pytest.mark.parametrize("status", S)
def test_only_what_failed_is_sent_again(status: SendStatus) -> None:
    if status is not S.FAILED:
        with pytest.raises(Conflict, match="first" if status is S.UNKNOWN else "failed"):
            sending.retry(row(status), NOW)
        return
    again = sending.retry(
        row(status, send_at=5.0, key_id="K", msg_id=1, error="x", error_code="expired"), NOW
    )

    assert (again.status, again.due_at, again.key_id, again.msg_id, again.error) == (
        S.QUEUED,
        NOW,
        None,
        None,
        None,
    )


def test_a_person_settles_only_when_evidence_had_its_time() -> None:
    unknown = sending.orphaned(under_way())
    with pytest.raises(Conflict) as early:
        sending.settle(unknown, True, NOW + 119)

    assert early.value.retry_after_s == 1.0
    assert sending.settle(unknown, True, NOW + 120).status is S.SENT
    assert sending.settle(unknown, False, NOW + 120).error_code == "settled"
    assert sending.settle(sending.of_older_history(row()), False, NOW).status is S.FAILED
    with pytest.raises(Conflict):
        sending.settle(row(S.ACCEPTED), True, NOW)


@pytest.mark.parametrize("status", S)
def test_edits_and_deletions_go_to_the_row_to_upstream_or_nowhere(status: SendStatus) -> None:
    send = row(status, msg_id=5)
    if status is S.QUEUED:
        assert sending.way_to_edit(send) == sending.way_to_delete(send) == "row"
    elif status in REACHED:
        assert sending.way_to_edit(send) == sending.way_to_delete(send) == "upstream"
    else:
        with pytest.raises(Conflict) as refused:
            sending.way_to_edit(send)
        assert refused.value.details == {"status": status.value}
    if status is S.CANCELLED:
        assert sending.way_to_delete(send) == "row"


def test_a_message_typed_on_the_phone_is_not_edited_here() -> None:
    with pytest.raises(Conflict, match="edited on the phone only"):
        sending.way_to_edit(row(S.SENT, key_id="K"))


def test_a_backup_makes_unknown_what_it_had_waiting() -> None:
    assert sending.of_older_history(row()).status is S.UNKNOWN
    assert sending.of_older_history(under_way()).status is S.UNKNOWN


def test_a_step_that_there_is_not_is_a_bug() -> None:
    with pytest.raises(IllegalStep, match="cancelled does not become sending"):
        sending.begin(row(S.CANCELLED), NOW)
    with pytest.raises(IllegalStep):
        sending.reported(row(S.SENT), S.QUEUED)
