"""Topics, positions, and the names of events."""

from typing import Any

import pytest

from gateway.domain.message import INCOMING_TABLE, OUTGOING_TABLE
from gateway.domain.streams import (
    Event,
    Extent,
    Inbox,
    InboxTopic,
    Operation,
    Position,
    SessionsTopic,
    SessionTopic,
    check_position,
    event_name,
    parse_topic,
)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("inbox:12", InboxTopic(Inbox(12))),
        ("inbox:0", InboxTopic(Inbox(0))),
        ("inbox:*", InboxTopic(None)),
        ("sessions", SessionsTopic()),
        ("session:12", SessionTopic(12)),
        (f"inbox:{2**63 - 1}", InboxTopic(Inbox(2**63 - 1))),
        (f"session:{2**63 - 1}", SessionTopic(2**63 - 1)),
    ],
)
def test_a_topic_is_what_its_name_says_and_says_its_name(text: str, topic: Any) -> None:
    assert parse_topic(text) == topic
    assert str(parse_topic(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "inbox", "inbox:", "inbox:-1", "inbox:1.5", "inbox: 1", "inbox:１２", "inbox:x", "inbox:" + "9" * 19,
        f"session:{2**63}",
        "session:*", "sessions:1", "session:", "INBOX:1", None, 12, ["inbox:1"], {"inbox": 1},
    ],
)  # fmt: skip
def test_what_is_no_topic_is_none(text: object) -> None:
    assert parse_topic(text) is None


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (Position(10, "e"), None),
        (Position(7, "e"), None),
        (Position(3, "e"), None),
        (Position(2, "e"), "offset_expired"),
        (Position(11, "e"), "offset_unknown"),
        (Position(-1, "e"), "offset_unknown"),
        (Position(7, "f"), "epoch_changed"),
        (Position(11, "f"), "epoch_changed"),
    ],
)
def test_a_client_goes_on_only_from_where_this_history_has_been(after: Position, verdict: str | None) -> None:
    assert check_position(after, Extent(top=10, floor=3, epoch="e")) == verdict


def event(operation: Operation, table: str, changed: list[str] | None, **record: Any) -> Event:
    old: dict[str, Any] = {"id": 1} if changed is None else {"id": 1, "changed": changed}
    return Event(Inbox(12), 1, table, operation, "2026-03-01T12:00:00+00:00", record or None, old)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (event("INSERT", INCOMING_TABLE, None, id=1), "message.created"),
        (event("INSERT", OUTGOING_TABLE, None, id=1), "message.created"),
        (event("DELETE", INCOMING_TABLE, None), "message.deleted"),
        (event("UPDATE", INCOMING_TABLE, ["message_text", "edited_at"], id=1), "message.updated"),
        (event("UPDATE", INCOMING_TABLE, ["is_read"], id=1), "message.updated"),
        (event("UPDATE", INCOMING_TABLE, ["deleted_at"], id=1, deleted_at="2026"), "message.deleted"),
        (event("UPDATE", INCOMING_TABLE, ["deleted_at"], id=1, deleted_at=None), "message.updated"),
        (event("UPDATE", OUTGOING_TABLE, ["status", "read_at"], id=1), "message.status"),
        (event("UPDATE", OUTGOING_TABLE, ["status", "message_text"], id=1), "message.updated"),
        (event("UPDATE", OUTGOING_TABLE, ["read_at"], id=1), "message.updated"),
        (event("UPDATE", INCOMING_TABLE, ["status"], id=1), "message.updated"),
        (event("UPDATE", OUTGOING_TABLE, None, id=1), "message.updated"),
    ],
)
def test_one_change_is_one_event_with_one_name(change: Event, name: str) -> None:
    assert event_name(change) == name
