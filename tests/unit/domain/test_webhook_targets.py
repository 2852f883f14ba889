"""Webhooks out: what follows an answer, where a target may be, what it is sent."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.domain.networks import network_of
from gateway.domain.webhook_targets import (
    HELD_S,
    MOST_ASKED_S,
    Answer,
    DeadLetter,
    Delivered,
    Pause,
    Tries,
    TryAgain,
    check_url,
    follow,
    is_reachable,
    is_wanted,
    message_id,
)

NOW = 1_800_000_000.0
OFFICE = (network_of("10.1.0.0/16"),)


@given(st.integers(200, 299))
def test_every_answer_of_2xx_has_taken_the_event(status: int) -> None:
    assert follow(Answer(status), Tries(7, NOW - 2 * HELD_S), NOW) == Delivered()


@pytest.mark.parametrize("status", [401, 410])
def test_a_receiver_that_refuses_us_pauses_the_target_and_costs_the_event_no_try(status: int) -> None:
    outcome = follow(Answer(status), Tries(3, NOW - 2 * HELD_S), NOW)
    assert isinstance(outcome, Pause)
    assert str(status) in outcome.reason


@pytest.mark.parametrize("status", [None, 429, 502, 503, 504])
def test_a_receiver_that_is_away_holds_everything(status: int | None) -> None:
    outcome = follow(Answer(status), Tries(), NOW)
    assert isinstance(outcome, TryAgain)
    assert outcome.holds == "target"


@pytest.mark.parametrize("status", [300, 302, 400, 404, 413, 422, 500])
def test_an_event_that_is_refused_holds_its_chat_alone(status: int) -> None:
    outcome = follow(Answer(status), Tries(), NOW)
    assert isinstance(outcome, TryAgain)
    assert outcome.holds == "chat"
    assert outcome.tries == Tries(1, NOW)


@given(st.integers(0, 2000), st.floats(0, HELD_S - 1), st.floats(0, 1))
def test_within_a_day_an_event_is_tried_again_and_at_the_latest_as_the_day_ends(
    failures: int, since_s: float, roll: float
) -> None:
    outcome = follow(Answer(500), Tries(failures, NOW - since_s), NOW, roll)
    assert isinstance(outcome, TryAgain)
    assert 0 < outcome.wait_s <= HELD_S - since_s + 1e-3
    assert outcome.wait_s <= 600.0


def test_an_event_is_given_up_a_day_after_its_first_failure() -> None:
    assert follow(Answer(500), Tries(90, NOW - HELD_S), NOW) == DeadLetter(Tries(91, NOW - HELD_S))


def test_an_event_that_was_never_tried_is_not_given_up() -> None:
    assert isinstance(follow(Answer(None), Tries(), NOW), TryAgain)


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(30.0, 30.0), (10 * MOST_ASKED_S, MOST_ASKED_S), (0.5, 2.0)]
)
def test_a_receiver_is_asked_again_when_it_says_so_within_reason(asked_s: float, waited_s: float) -> None:
    outcome = follow(Answer(429, retry_after_s=asked_s), Tries(), NOW)
    assert isinstance(outcome, TryAgain)
    assert outcome.wait_s == waited_s


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/x", "https://169.254.169.254/latest",
        "https://user:word@shop.example/", "http://shop.example/", "ftp://shop.example/", "https:///x", "shop.example",
        "https://shop.example:99999/", "https://shop.example\\@10.0.0.1/", "https://shop.example/ x", "https://0/",
        "https://shop.example/#part", "https://2130706433/",
    ],
)  # fmt: skip
def test_an_address_that_leads_inside_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(url, ())
    assert refused.value.details == {"field": "url"}


@pytest.mark.parametrize(
    "url", ["https://shop.example/hook?x=1", "https://8.8.8.8:8443/", "https://[2606:4700::1]/"]
)
def test_an_address_of_the_internet_is_taken(url: str) -> None:
    assert check_url(url, ()) == url


def test_a_listed_network_may_be_reached_by_plain_http_and_no_other() -> None:
    assert check_url("http://10.1.2.3/hook", OFFICE) == "http://10.1.2.3/hook"
    assert is_reachable("10.1.2.3", OFFICE, is_plain=True)
    assert not is_reachable("8.8.8.8", OFFICE, is_plain=True)
    assert not is_reachable("10.2.0.1", OFFICE)


@given(st.ip_addresses())
def test_without_a_list_only_the_internet_is_reached(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_reachable(str(address), ()):
        assert address.is_global


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "2002:0a00:0001::1",
        "2002:7f00:0001::", "::127.0.0.1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "100.64.0.1", "0.0.0.0",
    ],
)  # fmt: skip
def test_an_ipv6_address_that_stands_for_one_inside_is_not_the_internet(address: str) -> None:
    assert not is_reachable(address, ())


def test_a_listed_address_may_be_written_as_ipv6() -> None:
    assert is_reachable("::ffff:10.1.2.3", OFFICE)
    assert is_reachable("64:ff9b::8.8.8.8", ())


def test_a_target_is_sent_what_it_chose_and_always_a_reset() -> None:
    assert is_wanted("message.created", 12, None, None)
    assert is_wanted("message.created", 12, (12,), ("message.created",))
    assert not is_wanted("message.created", 13, (12,), None)
    assert not is_wanted("message.status", 12, (12,), ("message.created",))
    assert is_wanted("inbox.reset", 12, (12,), ("message.created",))


def test_an_id_has_nothing_that_a_signature_separates_by() -> None:
    names = {
        message_id(inbox, "0b1f-22", off, "message.created") for inbox in (-1, 0, 12, 1) for off in (1, 21, 2)
    }
    assert len(names) == 12
    assert not any("." in name or " " in name for name in names)
