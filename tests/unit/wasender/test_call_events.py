"""Calls are told several times; one that was not answered is something to read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.wasender.call_events import Call, calls_of
from gateway.wasender.message_identity import Parties

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
EVA = "420601222333"
EVA_JID = f"{EVA}@s.whatsapp.net"
EVA_LID = "140012345678901@lid"
GROUP = "120363990011223344@g.us"


def call(**fields: Any) -> Call:
    found = calls_of({"call": {"id": "C1", "from": EVA_JID, "status": "timeout", **fields}}, NOW)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        ("timeout", "missed", "Missed voice call"),
        ("TIMEOUT", "missed", "Missed voice call"),
        ("reject", "declined", "Declined voice call"),
        ("offer", "ringing", None),
        ("ringing", "ringing", None),
        ("accept", "answered", None),
        ("terminate", "ended", None),
    ],
)
def test_what_became_of_a_call(status: str, outcome: str, words: str | None) -> None:
    found = call(status=status)

    assert found.outcome == outcome
    assert (found.content.text if found.content else None) == words
    assert found.content is None or (found.content.type, found.content.is_placeholder) == ("call", False)


def test_a_call_that_ended_unanswered_has_words_too() -> None:
    assert call(status="terminate", isVideo=True).missed_content.text == "Missed video call"


def test_our_own_call_is_not_missed() -> None:
    assert call(fromMe=True).content is None


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({}, Parties(EVA_JID, EVA, None)),
        ({"from": EVA_LID, "callerPn": EVA_JID}, Parties(EVA_JID, EVA, EVA_LID)),
        ({"from": EVA_LID, "chatId": EVA_JID}, Parties(EVA_JID, EVA, EVA_LID)),
        ({"from": EVA_LID, "chatId": EVA_LID}, Parties(EVA_LID, EVA_LID, EVA_LID)),
        ({"from": None, "chatId": f"{EVA}:4@c.us"}, Parties(EVA_JID, EVA, None)),
        ({"from": f"+{EVA}"}, Parties(EVA_JID, EVA, None)),
        ({"groupJid": GROUP, "isGroup": True}, Parties(GROUP, EVA, None)),
        ({"chatId": GROUP, "from": EVA_LID, "callerPn": EVA_JID}, Parties(GROUP, EVA, EVA_LID)),
    ],
)
def test_the_caller_is_named(fields: dict[str, Any], who: Parties) -> None:
    found = call(**fields)

    assert found.who == who
    assert found.is_group == who.chat.endswith("@g.us")


@pytest.mark.parametrize(
    "date",
    [
        "2026-06-15T11:00:00.000Z",
        1_781_521_200,
        "1781521200",
        {"low": 1_781_521_200, "high": 0},
        1_781_521_200_000,
    ],
)
def test_the_time_of_a_call_is_its_own(date: Any) -> None:
    assert call(date=date).at == datetime(2026, 6, 15, 11, 0, tzinfo=UTC)


def test_an_absurd_time_is_the_time_of_receipt() -> None:
    assert call(date="never").at == NOW
    assert call(date=99_999_999_999).at == NOW


def test_a_missed_call_without_an_id_has_one_that_it_has_again() -> None:
    data = {"from": EVA_JID, "status": "timeout", "date": "2026-06-15T11:59:00.000Z"}
    (one,), (other,) = calls_of(data, NOW), calls_of({**data, "id": ""}, NOW)

    assert one.id == other.id != ""


@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: [one], lambda one: {"call": one}, lambda one: {"calls": [one]}]
)
def test_calls_stand_alone_or_in_a_list(wrap: Any) -> None:
    found = calls_of(wrap({"id": "C1", "from": EVA_JID, "status": "timeout"}), NOW)

    assert [one.id for one in found] == ["C1"]


@pytest.mark.parametrize(
    "data",
    [None, 7, [], {}, {"call": None}, {"call": {"id": "C1"}}, {"id": "C1", "from": EVA_JID, "status": "dance"},
     {"id": "", "from": EVA_JID, "status": "offer"}, {"from": EVA_JID, "status": "terminate"},
     {"id": "C1", "from": None, "status": "timeout"}],
)  # fmt: skip
def test_what_is_no_call_is_none(data: Any) -> None:
    assert calls_of(data, NOW) == []
