"""What a person asks to send: one sentence for each thing that is wrong, and the same request is the same."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.domain.phones import international
from gateway.domain.send_content import Content, Seen, Wish, edited_text, look, wish_of

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SHOP = "+49 151 12345678"


def wish(**body: Any) -> Wish:
    return wish_of({"client_id": "a", **body}, idempotency_key=None, now=NOW)


def errors(**body: Any) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        wish(**body)
    assert refused.value.details is not None
    found: dict[str, list[str]] = refused.value.details["errors"]
    assert refused.value.message.startswith(next(iter(found)))
    assert all(len(sentences) == 1 for sentences in found.values())
    return found


def test_a_text_goes_as_it_was_written() -> None:
    text = "  *bold* _soft_ ~gone~ ```code```\n> quoted  "

    assert wish(text=text).content == Content(text=text)
    assert wish(text="x" * 4_096).content.kind == "text"


def test_a_file_may_have_a_text_and_a_place_may_not() -> None:
    assert wish(media="m1", text="look").content.kind == "media"
    assert wish(media="m1", text="  ").content.text is None
    assert set(errors(location={"latitude": 1, "longitude": 2}, text="here")) == {"text"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": " \n\t\u00a0"}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x" * 4_097}, "text"),
        ({"text": "x", "message": "y"}, "message"),
        ({"text": "x", "client_id": ""}, "client_id"),
        ({"text": "x", "client_id": "a" * 101}, "client_id"),
        ({"text": "x", "client_id": "a\x00"}, "client_id"),
        ({"media": 5}, "media"),
        ({"media": "m1", "contact": {"name": "Ann", "phone": "+491701234567"}}, "contact"),
        ({"location": "here"}, "location"),
        ({"location": {"latitude": "52", "longitude": 13}}, "location"),
        ({"location": {"latitude": 90.1, "longitude": 13}}, "location"),
        ({"location": {"latitude": float("nan"), "longitude": 13}}, "location"),
        ({"location": {"latitude": True, "longitude": 13}}, "location"),
        ({"contact": {"name": "Ann"}}, "contact"),
        ({"contact": {"name": "Ann", "phone": "12"}}, "contact"),
        ({"text": "x", "reply_to": "5"}, "reply_to"),
        ({"text": "x", "mentions": "ann"}, "mentions"),
        ({"text": "x", "mentions": ["ann"]}, "mentions"),
        ({"media": "m1", "mentions": ["+491701234567"]}, "mentions"),
        ({"text": "x", "seen": 5}, "seen"),
        ({"text": "x", "seen": {"off": -1, "epoch": "e"}}, "seen"),
        ({"text": "x", "send_at": "tomorrow"}, "send_at"),
        ({"text": "x", "send_at": "2026-12-24T08:00:00"}, "send_at"),
        ({"text": "x", "send_at": "2036-12-24T08:00:00Z"}, "send_at"),
    ],
)
def test_what_cannot_be_sent_is_told_by_its_field(body: dict[str, Any], field: str) -> None:
    assert set(errors(**body)) == {field}


@pytest.mark.parametrize("text", ["", " \n", "\u00a0\u2003", "\u200b\u200d", "\ufeff\u2060 \u202e"])
def test_a_text_of_which_nothing_is_seen_is_no_text(text: str) -> None:
    assert set(errors(text=text)) == {"text"}
    assert wish(text=f"{text}x{text}").content.text == f"{text}x{text}"


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert set(errors(text=5, reply_to=5, send_at=5)) == {"text", "reply_to", "send_at"}


def test_an_idempotency_key_stands_in_for_the_senders_id() -> None:
    assert wish_of({"text": "x"}, idempotency_key="k", now=NOW).client_id == "k"
    with pytest.raises(Invalid, match="Idempotency-Key"):
        wish_of({"text": "x"}, idempotency_key=None, now=NOW)


def test_the_same_request_is_the_same_whatever_its_author_had_seen() -> None:
    at = "2026-12-24T08:00:00+01:00"
    first = wish(text="x", send_at=at, seen={"off": 5, "epoch": "e"})

    assert first.seen == Seen(5, "e")
    assert first.send_at == datetime(2026, 12, 24, 7, tzinfo=UTC)
    assert wish(text="x", send_at="2026-12-24T07:00:00Z").digest == first.digest
    assert len({first.digest, wish(text="x").digest, wish(text="y").digest, wish(media="x").digest}) == 4


def test_mentions_are_addresses() -> None:
    mentioned = wish(
        text="@1", mentions=["+491701234567", "555555@lid", "491701234568@c.us"]
    ).content.mentions

    assert mentioned == ("491701234567@s.whatsapp.net", "555555@lid", "491701234568@s.whatsapp.net")


def test_an_edit_has_a_text_and_nothing_else() -> None:
    assert edited_text({"text": " new "}) == " new "
    for body in ({}, {"text": "  "}, {"text": "x", "media": "m1"}, {"text": 5}, {"text": "x" * 4_097}):
        with pytest.raises(Invalid):
            edited_text(body)


def test_what_upstream_cannot_tell_apart_looks_alike() -> None:
    assert look("text", " ok ") == look("text", "ok")
    assert len({look("text", "ok"), look("text", "Ok"), look("image", "ok"), look("image", None)}) == 4
    assert look("text", "\ud83d") == look("text", "\ufffd")


_NAMES = st.sampled_from(["latitude", "longitude", "name", "phone", "off", "epoch"])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(["text", "media", "location", "contact", "mentions", "seen", "send_at", "reply_to"])


@given(body=st.dictionaries(_FIELDS, _ANYTHING))
def test_no_body_is_more_than_a_sentence(body: dict[str, Any]) -> None:
    try:
        found = wish(**body)
    except Invalid:
        return
    assert found.digest == wish(**body).digest


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("+49 170 1234567", "491701234567"),
        ("0049 (170) 123-4567", "491701234567"),
        ("0170 1234567", "491701234567"),
        ("0170/123 45 67", "491701234567"),
        ("491701234567", "491701234567"),
        ("+1 (212) 555-2368", "12125552368"),
        ("1 212 555 2368", "12125552368"),
        ("170 1234567", "491701234567"),
        ("+55 11 98765-4321", "5511987654321"),
    ],
)
def test_a_number_is_read_in_any_form_by_the_country_of_the_shop(written: str, digits: str) -> None:
    assert international(written, SHOP) == digits


def test_a_national_number_needs_a_country() -> None:
    assert international("+49 170 1234567", None) == "491701234567"
    with pytest.raises(Invalid, match="country code"):
        international("0170 1234567", None)


@pytest.mark.parametrize(
    "written", ["", "Ann", "12", "+49", "+999 1234567", "+49 170", "0170 1234567 ext 5", "٠١٧٠"]
)
def test_an_impossible_number_is_one_sentence(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        international(written, SHOP)
    assert refused.value.details == {"errors": {"chat": [refused.value.message]}}


def test_a_number_that_is_too_short_is_not_told_that_it_has_no_digits() -> None:
    with pytest.raises(Invalid, match="too short"):
        international("911", SHOP)
