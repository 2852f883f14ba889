"""Whose turn it is, and why nothing goes."""

from dataclasses import replace

import pytest

from gateway.domain import send_pace, send_queue, sending
from gateway.domain.send_queue import Begin, Expire, Queue, Step, Terms, Wait
from gateway.domain.sending import Accepted, NotSent, NotSentReason, Refused, Send, SendStatus, Unclear

NOW = 1_000_000.0
KEEP_S = 24 * 3600.0
WROTE = frozenset({"ann", "bob"})


def send(number: int, chat: str = "ann", **fields: object) -> Send:
    return Send(id=number, chat=chat, queued_at=NOW - 100 + number, **fields)  # type: ignore[arg-type]


def step(queue: Queue, *sends: Send, now: float = NOW, lease_s: float = 60.0) -> Step:
    return send_queue.next_step(
        queue, sends, WROTE.__contains__, now=now, lease_until=now + lease_s, terms=Terms()
    )


def begun(found: Step) -> int:
    assert isinstance(found, Begin), found
    return found.send.id


# ---------------------------------------------------------------------------------------------- order and lanes


def test_within_a_chat_the_oldest_goes_first_and_chats_by_their_oldest() -> None:
    assert begun(step(Queue(), send(3), send(2, "bob"), send(1))) == 1
    assert begun(step(Queue(), send(3), send(2, "bob"))) == 2


def test_answers_overtake_first_contacts_and_the_lane_is_chosen_when_it_is_picked() -> None:
    first, answer = send(1, "stranger"), send(2, "ann")

    assert begun(step(Queue(), first, answer)) == 2
    found = step(Queue(), first)
    assert isinstance(found, Begin)
    assert found.is_first_contact
    assert step(Queue(), answer) == Begin(answer, is_first_contact=False)


def test_a_scheduled_message_holds_up_nothing_and_goes_at_the_place_of_its_time() -> None:
    later = send(1, send_at=NOW + 60)
    between = send(2, send_at=NOW - 97.5)  # due between the third and the fourth
    rows = [later, between, send(3), send(4)]

    assert begun(step(Queue(), *rows)) == 2
    assert begun(step(Queue(), later, send(3), send(4))) == 3
    assert step(Queue(), later) == Wait(NOW + 60)


def test_an_unknown_message_holds_up_nothing() -> None:
    unknown = sending.orphaned(sending.begin(send(1), NOW))

    assert begun(step(Queue(), unknown, send(2))) == 2


def test_one_at_a_time_and_none_that_outlasts_the_lease() -> None:
    assert step(Queue(), sending.begin(send(1), NOW), send(2, "bob")) == Wait()
    assert step(Queue(), send(1), lease_s=19.9) == Wait()
    assert begun(step(Queue(), send(1), lease_s=20.0)) == 1


# ---------------------------------------------------------------------------------------------- waiting


def test_not_connected_waits_and_gives_up_after_its_time() -> None:
    queue = send_queue.connection_changed(Queue(), False, NOW)
    ends = NOW + KEEP_S

    assert step(queue, send(1)) == Wait(ends, "not_connected")
    assert step(queue, send(1), now=ends) == Expire((send(1),))
    assert begun(step(send_queue.connection_changed(queue, True, ends), send(1), now=ends)) == 1


def test_a_message_that_becomes_due_later_has_its_full_time_from_then() -> None:
    queue = send_queue.connection_changed(Queue(), False, NOW)
    later = send(1, send_at=NOW + KEEP_S)

    assert step(queue, later, now=NOW + KEEP_S + 1) == Wait(NOW + 2 * KEEP_S, "not_connected")


def test_waiting_for_pace_never_expires_a_message() -> None:
    queue = send_queue.answered(Queue(), NotSent("rate_limit", "x", 10 * KEEP_S), NOW)

    assert isinstance(step(queue, send(1), now=NOW + 9 * KEEP_S), Wait)
    assert begun(step(queue, send(1), now=NOW + 10 * KEEP_S + 1)) == 1


def test_an_outage_that_is_over_does_not_count_towards_the_next() -> None:
    queue = send_queue.connection_changed(Queue(), False, NOW)
    queue = send_queue.connection_changed(queue, True, NOW + KEEP_S - 1)
    queue = send_queue.connection_changed(queue, False, NOW + KEEP_S)

    assert isinstance(step(queue, send(1), now=NOW + KEEP_S + 5), Wait)


def test_not_connected_in_a_replys_words_waits_too_although_the_status_says_otherwise() -> None:
    queue = send_queue.answered(Queue(), NotSent("not_connected", "x"), NOW)
    again = send_queue.answered(queue, NotSent("not_connected", "x"), NOW + KEEP_S - 1)

    assert step(queue, send(1)) == Wait(NOW + 30, "not_connected")
    assert begun(step(queue, send(1), now=NOW + 30)) == 1
    assert isinstance(step(again, send(1), now=NOW + KEEP_S), Expire)
    assert begun(step(send_queue.connection_changed(queue, True, NOW + 1), send(1), now=NOW + 1)) == 1


@pytest.mark.parametrize("reason", ["subscription", "gone", "unauthorized"])
def test_trouble_with_the_account_pauses_the_queue_and_fails_no_row(reason: NotSentReason) -> None:
    queue = replace(Queue(), key_is_fresh=True)
    queue = send_queue.answered(queue, NotSent(reason, "x"), NOW)
    found = step(queue, send(1))

    assert isinstance(found, Wait)
    assert found.reason == reason
    assert isinstance(step(queue, send(1), now=NOW + 2 * KEEP_S), Wait if reason == "gone" else Begin)
    assert begun(step(send_queue.connection_changed(queue, True, NOW), send(1), now=NOW + 400)) == 1


def test_the_first_401_asks_for_the_key_and_the_second_pauses() -> None:
    once = send_queue.answered(Queue(), NotSent("unauthorized", "x"), NOW)
    twice = send_queue.answered(once, NotSent("unauthorized", "x"), NOW)

    assert once.key_is_fresh
    assert begun(step(once, send(1))) == 1
    assert step(twice, send(1)) == Wait(NOW + 300, "unauthorized")
    assert begun(step(send_queue.key_changed(twice), send(1))) == 1


def test_a_paused_queue_probes_ever_more_rarely() -> None:
    queue, waits = Queue(), []
    for _ in range(6):
        queue = send_queue.answered(queue, NotSent("subscription", "x"), NOW)
        waits.append(queue.paused_until - NOW)

    assert waits == [300, 600, 1200, 2400, 3600, 3600]
    assert send_queue.answered(queue, Accepted(1), NOW).probes == 0


def test_a_restriction_holds_first_contacts_and_lets_answers_go() -> None:
    queue = send_queue.answered(Queue(), NotSent("restricted", "463"), NOW, is_first_contact=True)
    stranger, answer = send(1, "stranger"), send(2)

    assert step(queue, stranger) == Wait(NOW + 3600, "restricted")
    assert begun(step(queue, stranger, answer)) == 2
    assert begun(step(queue, stranger, now=NOW + 3600)) == 1
    assert begun(step(send_queue.first_contact_went(queue, NOW), stranger)) == 1


def tried(queue: Queue) -> Queue:
    """After a restriction's time, upstream takes a first contact, the row 7."""
    return send_queue.answered(queue, Accepted(1), queue.restricted_until, is_first_contact=True, number=7)


def test_after_a_restriction_one_first_contact_goes_and_the_next_waits_for_whatsapps_word() -> None:
    queue = send_queue.answered(Queue(), NotSent("restricted", "463"), NOW, is_first_contact=True)
    at = queue.restricted_until
    queue = tried(queue)
    stranger = send(1, "stranger")

    assert step(queue, stranger, now=at) == Wait(at + send_queue.TRIAL_S, "restricted")
    assert begun(step(queue, stranger, send(2), now=at)) == 2
    assert send_queue.trial_stands(queue, SendStatus.ACCEPTED, at + 1) == queue
    assert begun(step(send_queue.trial_stands(queue, SendStatus.SENT, at + 1), stranger, now=at + 1)) == 1
    assert begun(step(queue, stranger, now=at + send_queue.TRIAL_S)) == 1  # whatsapp says nothing: one more


def test_a_restriction_that_the_trial_meets_later_goes_on_and_its_time_doubles() -> None:
    queue = tried(send_queue.restriction_told(Queue(), NOW))
    at = NOW + send_queue.RESTRICTED_S
    late = send_queue.restriction_told(queue, at - 0.7)  # told in whole seconds, rounded down
    silent = send_queue.trial_stands(late, SendStatus.FAILED, at + 1)

    assert silent == late
    assert (late.restrictions, late.trial, late.restricted_since) == (2, None, NOW)
    assert late.restricted_until == at - 0.7 + 2 * send_queue.RESTRICTED_S
    assert (
        send_queue.restriction_told(queue, NOW + 60).restrictions == 1
    )  # of those that went before the first


def test_a_trial_that_fails_for_another_reason_says_nothing_and_the_next_one_goes_later() -> None:
    queue = tried(send_queue.restriction_told(Queue(), NOW))
    at = NOW + send_queue.RESTRICTED_S

    for word in (SendStatus.FAILED, SendStatus.CANCELLED, None):
        failed = send_queue.trial_stands(queue, word, at + 1)
        assert (failed.trial, failed.restricted_until) == (None, at + send_queue.TRIAL_S)


def test_a_restriction_soon_after_the_last_one_counts_on_and_much_later_it_begins_anew() -> None:
    restriction = NotSent("restricted", "463")
    queue = tried(send_queue.answered(Queue(), restriction, NOW, is_first_contact=True))
    went = send_queue.trial_stands(queue, SendStatus.SENT, NOW + 4_000)
    soon, later = NOW + 5_000, NOW + 30 * KEEP_S

    again = send_queue.answered(went, restriction, soon, is_first_contact=True)
    anew = send_queue.answered(went, restriction, later, is_first_contact=True)

    assert (again.restricted_since, again.restricted_until) == (soon, soon + 7200)
    assert (anew.restricted_since, anew.restricted_until) == (later, later + 3600)


def test_a_silent_answer_that_names_the_restriction_holds_first_contacts_too() -> None:
    answer = Unclear("WasenderAPI has a fault of its own (error 463).", is_restriction=True)
    queue = send_queue.answered(Queue(), answer, NOW, is_first_contact=True, number=1)

    assert step(queue, send(1, "stranger")) == Wait(NOW + 3600, "restricted")


def test_a_session_that_is_gone_fails_no_message_and_counts_from_when_it_is_there_again() -> None:
    queue = send_queue.connection_changed(Queue(), False, NOW)
    queue = send_queue.session_gone(queue)
    stranger = send(1, "stranger")

    assert step(queue, send(1), now=NOW + 9 * KEEP_S) == Wait(None, "not_connected")
    restricted = send_queue.session_gone(send_queue.restricted(queue, NOW))
    assert step(restricted, stranger, now=NOW + 9 * KEEP_S) == Wait(None, "not_connected")
    back = send_queue.connection_changed(queue, False, NOW + 9 * KEEP_S)
    assert step(back, send(1), now=NOW + 9 * KEEP_S) == Wait(NOW + 10 * KEEP_S, "not_connected")


@pytest.mark.parametrize(
    "answer", [Refused("x"), NotSent("rate_limit", "x", 3 * KEEP_S), NotSent("subscription", "x")]
)
def test_whatever_else_upstream_says_is_not_that_the_number_is_not_connected(answer: sending.Answer) -> None:
    queue = send_queue.answered(Queue(), NotSent("not_connected", "x"), NOW)
    queue = send_queue.answered(queue, answer, NOW + 60)

    assert not isinstance(step(queue, send(1), now=NOW + 2 * KEEP_S), Expire)


def test_first_contacts_that_stay_restricted_expire_and_answers_do_not() -> None:
    queue = Queue()
    at = NOW
    while at < NOW + KEEP_S:
        queue = send_queue.answered(queue, NotSent("restricted", "463"), at, is_first_contact=True)
        at = queue.restricted_until
    paced = replace(queue, pace=send_pace.refused(queue.pace, NOW, 20 * KEEP_S))

    assert step(paced, send(1, "stranger"), send(2), now=NOW + KEEP_S) == Expire((send(1, "stranger"),))


def test_a_restriction_of_chats_that_wrote_pauses_everything_instead_of_trying_on() -> None:
    queue = send_queue.answered(Queue(), NotSent("restricted", "463"), NOW, is_first_contact=False)

    assert step(queue, send(1)) == Wait(NOW + 300, "restricted")


def test_upstream_out_of_reach_is_tried_again_with_back_off() -> None:
    queue, waits = Queue(), []
    for _ in range(7):
        queue = send_queue.answered(queue, NotSent("not_reached", "x"), NOW)
        waits.append(queue.paused_until - NOW)

    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert step(queue, send(1)) == Wait(NOW + 30, None)


@pytest.mark.parametrize("answer", [Refused("x"), Unclear("x"), Accepted(1)])
def test_what_upstream_may_have_counted_counts_for_pace(answer: sending.Answer) -> None:
    queue = send_queue.answered(Queue(protected=True), answer, NOW)

    assert step(queue, send(1)) == Wait(NOW + 5.5)


def test_account_protection_is_known_exactly_and_other_limits_are_believed() -> None:
    rounded = send_queue.answered(Queue(protected=True), Accepted(1, spent_s=5.9), NOW)
    unknown = send_queue.answered(Queue(), Accepted(1, spent_s=5.9), NOW)
    minute = send_queue.answered(Queue(protected=True), Accepted(1, spent_s=40.0), NOW)

    assert step(rounded, send(1)) == Wait(NOW + 5.5)
    assert step(unknown, send(1)) == Wait(NOW + 6.4, "rate_limit")
    assert step(minute, send(1)) == Wait(NOW + 40.5, "rate_limit")


def test_a_restriction_that_is_told_later_holds_first_contacts_and_counts_once() -> None:
    queue = send_queue.restriction_told(Queue(), NOW)

    assert step(queue, send(1, "stranger")) == Wait(NOW + send_queue.RESTRICTED_S, "restricted")
    assert step(queue, send(1, "stranger"), send(2)) == Begin(send(2), is_first_contact=False)
    assert send_queue.restriction_told(queue, NOW) == queue
    burst = send_queue.restriction_told(queue, NOW + 3)
    assert (burst.restricted_until, burst.restrictions) == (queue.restricted_until, 1)


# ---------------------------------------------------------------------------------------------- what people see


def test_each_place_has_its_time_unless_nothing_goes() -> None:
    queue = send_queue.answered(Queue(protected=True), Accepted(1), NOW)
    stuck = send_queue.connection_changed(queue, False, NOW)
    refused = send_queue.answered(queue, NotSent("subscription", "x"), NOW)
    restricted = send_queue.restricted(queue, NOW)

    def time_of(
        queue: Queue, place: int | None, due_at: float = NOW, *, is_known: bool = True
    ) -> float | None:
        return send_queue.time_of(queue, place, due_at, is_known=is_known, now=NOW)

    assert [time_of(queue, place) for place in (1, 2, 3)] == [NOW + 5.5, NOW + 11.0, NOW + 16.5]
    assert time_of(queue, 4, NOW + 600) == NOW + 600
    assert time_of(restricted, 1) == NOW + 5.5
    assert {
        time_of(stuck, 1),
        time_of(refused, 1),
        time_of(restricted, 1, is_known=False),
        time_of(queue, None),
    } == {None}
