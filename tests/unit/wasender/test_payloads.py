"""What upstream says about sessions is read leniently; what goes upstream is checked strictly."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Invalid, UpstreamFailed
from gateway.domain.session import SessionId, UpstreamSession
from gateway.wasender import payloads

FULL = {
    "id": 12,
    "name": "Shop",
    "phone_number": "+628111",
    "status": "DISCONNECTED",
    "account_protection": True,
    "log_messages": False,
    "read_incoming_messages": False,
    "webhook_url": "https://shop.test/hook",
    "webhook_enabled": 1,
    "webhook_events": ["messages.received", "session.status"],
    "api_key": "ab" * 32,
    "webhook_secret": "cd" * 16,
    "created_at": "2025-04-01T12:00:00Z",
    "updated_at": "2025-04-01 12:30:00",
}


def test_a_documented_session_is_read_completely() -> None:
    assert payloads.session(FULL) == UpstreamSession(
        id=SessionId(12),
        name="Shop",
        phone_number="+628111",
        status="disconnected",
        account_protection=True,
        log_messages=False,
        webhook_url="https://shop.test/hook",
        webhook_enabled=True,
        webhook_events=["messages.received", "session.status"],
        api_key="ab" * 32,
        webhook_secret="cd" * 16,
        created_at=datetime(2025, 4, 1, 12, 0, tzinfo=UTC),
        updated_at=datetime(2025, 4, 1, 12, 30, tzinfo=UTC),
        extra={"read_incoming_messages": False},
    )


def test_a_session_needs_nothing_but_its_id() -> None:
    assert payloads.session({"id": "12"}) == UpstreamSession(id=SessionId(12))


@pytest.mark.parametrize("given_id", [None, "", "x", "-1", 0, -3, True, 1.5, [1], "²", "9" * 30], ids=repr)
def test_a_session_without_a_usable_id_is_upstreams_failure(given_id: Any) -> None:
    with pytest.raises(UpstreamFailed):
        payloads.session({"id": given_id})


@given(
    st.dictionaries(
        st.sampled_from(sorted(FULL)), st.none() | st.text() | st.integers() | st.lists(st.text())
    )
)
def test_no_field_but_the_id_can_spoil_a_session(fields: dict[str, Any]) -> None:
    assert payloads.session({**fields, "id": 12}).id == 12


def test_a_field_we_do_not_know_is_kept_without_the_secrets_it_repeats() -> None:
    session = payloads.session({**FULL, "engine": {"url": f"https://e.test/{FULL['api_key']}", "v": 3}})

    assert session.extra["engine"] == {"url": "https://e.test/[redacted]", "v": 3}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"qrCode": "2@a"}, "2@a"),
        ({"qr": "2@a"}, "2@a"),
        ("2@a", "2@a"),
        ({"qrCode": ""}, None),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_a_code_is_found_under_any_of_its_names(data: Any, code: str | None) -> None:
    assert payloads.qr_code(data) == code


def test_a_connect_reply_without_anything_means_connecting() -> None:
    assert payloads.connect_reply({}).status == "connecting"
    assert payloads.connect_reply({"qrCode": "2@a"}).status == "need_scan"


# ------------------------------------------------------------------------------------------ what may be sent


def test_a_create_needs_a_name_and_a_number_and_defaults_to_care() -> None:
    assert payloads.session_fields(
        {"name": " Shop ", "phone_number": "+62 811-1222 (333)"}, partial=False
    ) == {
        "name": "Shop",
        "phone_number": "+628111222333",
        "account_protection": True,
        "log_messages": True,
    }


def test_a_create_without_them_names_each_missing_field() -> None:
    with pytest.raises(Invalid) as refused:
        payloads.session_fields({}, partial=False)

    assert refused.value.details == {
        "errors": {"name": ["This field is required."], "phone_number": ["This field is required."]}
    }


def test_an_update_sends_only_what_was_given() -> None:
    assert payloads.session_fields({"webhook_enabled": False}, partial=True) == {"webhook_enabled": False}


def test_an_object_that_was_read_can_be_sent_back() -> None:
    sent = payloads.session_fields({**FULL, "phone_number": "+628111222"}, partial=True)

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
        payloads.session_fields({field: value}, partial=True)

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
    assert payloads.session_fields({field: value}, partial=True) == {field: sent}


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
        payloads.session_fields(fields, partial=False)
    except Invalid:
        pass
