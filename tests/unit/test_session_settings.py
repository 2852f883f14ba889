"""What goes upstream of a session is checked strictly, by the model that documents it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.http.api.session_schemas import NewSession, SessionFields
from gateway.http.requests import checked
from tests.unit.wasender.test_payloads import FULL


def test_a_create_needs_a_name_and_a_number_and_defaults_to_care() -> None:
    assert checked(NewSession, {"name": " Shop ", "phone_number": "+62 811-1222 (333)"}).settings() == {
        "name": "Shop",
        "phone_number": "+628111222333",
        "account_protection": True,
        "log_messages": True,
    }


def test_a_create_without_them_names_each_missing_field() -> None:
    with pytest.raises(Invalid) as refused:
        checked(NewSession, {}).settings()

    assert refused.value.details is not None
    assert refused.value.details["errors"] == {
        "name": ["`name` is missing."],
        "phone_number": ["`phone_number` is missing."],
    }


def test_an_update_sends_only_what_was_given() -> None:
    wish = checked(SessionFields, {"webhook_enabled": False})

    assert wish.settings() == {"webhook_enabled": False}


def test_an_object_that_was_read_can_be_sent_back() -> None:
    sent = checked(SessionFields, {**FULL, "phone_number": "+628111222"}).settings()

    assert sent == {
        "name": "Shop",
        "phone_number": "+628111222",
        "account_protection": True,
        "log_messages": False,
        "read_incoming_messages": False,
        "webhook_url": "https://shop.test/hook",
        "webhook_enabled": True,
        "webhook_events": ["messages.received", "session.status"],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "   "), ("name", "x" * 256), ("name", 5), ("name", None),
        ("phone_number", "12345"), ("phone_number", "0812 111 222"), ("phone_number", "+62811x222333"),
        ("phone_number", "1" * 16), ("phone_number", 628111222333), ("phone_number", "٠١٢٣٤٥٦٧٨"),
        ("account_protection", "perhaps"), ("log_messages", None), ("webhook_enabled", 2),
        ("webhook_url", "ftp://x.test"), ("webhook_url", "javascript:alert(1)"), ("webhook_url", "https://"),
        ("webhook_url", "https://a b.test"), ("webhook_url", "https://[::1"), ("webhook_url", 3),
        ("webhook_events", "messages.received"), ("webhook_events", [1]), ("webhook_events", [""]),
        ("proxy_url", "socks4://x.test:1"), ("webhook_urls", "https://x.test"), ("hook", True),
    ],
)  # fmt: skip
def test_a_field_that_upstream_would_refuse_or_ignore_is_named(field: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        checked(SessionFields, {field: value}).settings()

    assert refused.value.details is not None
    assert list(refused.value.details["errors"]) == [field]
    assert field in refused.value.message


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        ("account_protection", "1", True), ("account_protection", 0, False), ("always_online", "false", False),
        ("webhook_url", None, None), ("webhook_url", "", None),
        ("webhook_url", "http://127.0.0.1:8000/h", "http://127.0.0.1:8000/h"),
        ("webhook_events", None, None), ("webhook_events", ["a", " b ", "a"], ["a", "b"]),
        ("proxy_url", "socks5://user:pw@proxy.test:1080", "socks5://user:pw@proxy.test:1080"),
        ("name", "A\x00nn", "Ann"),
    ],
)  # fmt: skip
def test_a_field_is_sent_in_upstreams_form(field: str, value: Any, sent: Any) -> None:
    assert checked(SessionFields, {field: value}).settings() == {field: sent}


@given(
    st.dictionaries(
        st.sampled_from([*FULL, "proxy_url", "always_online"]) | st.text(),
        st.none()
        | st.text(st.characters())
        | st.integers()
        | st.floats()
        | st.lists(st.text() | st.integers()),
    )
)
def test_whatever_a_caller_sends_is_taken_or_refused(fields: dict[str, Any]) -> None:
    try:
        checked(NewSession, fields).settings()
    except Invalid:
        pass
