"""What upstream says about sessions is read leniently."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import UpstreamFailed
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
