"""Webhooks are read: every event in every shape, and whatever else anybody may send."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.message import CallEnded, Change, MessageReceived, MessageSent, Reading
from gateway.wasender import webhook
from tests.unit.wasender import payload_parts as parts
from tests.unit.wasender import payload_samples as samples
from tests.unit.wasender.payload_parts import KEY, NOW, Sample
from tests.unit.wasender.payload_samples import SAMPLES

# ------------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{one.event}: {one.name}" for one in SAMPLES])
def test_every_event_and_shape_becomes_what_the_table_says(sample: Sample) -> None:
    reading = webhook.read(sample.body, NOW)

    assert tuple(without_raw(change) for change in reading.changes) == sample.changes
    assert (reading.known, reading.event) == (sample.known, sample.event)
    if sample.reason is None:
        assert reading.reason is None
    else:
        assert sample.reason in str(reading.reason)


def test_the_table_holds_every_event_name_upstream_has() -> None:
    assert {sample.event for sample in SAMPLES} >= set(samples.EVENTS)


def test_every_event_name_upstream_has_is_known() -> None:
    assert [event for event in samples.EVENTS if not webhook.read({"event": event}, NOW).known] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{one.event}: {one.name}" for one in SAMPLES])
def test_reading_changes_nothing_in_the_body(sample: Sample) -> None:
    before = json.dumps(sample.body)

    webhook.read(sample.body, NOW)

    assert json.dumps(sample.body) == before


def test_raw_is_the_messages_own_part_media_key_included() -> None:
    one = parts.message(parts.PRIVATE, {"imageMessage": {"mediaKey": "c2VjcmV0"}})
    other = parts.message({**parts.PRIVATE, "id": parts.TARGET})

    reading = webhook.read(parts.envelope("messages.upsert", {"messages": [one, other]}), NOW)

    assert [getattr(change, "raw", None) for change in reading.changes] == [one, other]


def test_an_event_name_is_read_in_any_casing() -> None:
    reading = webhook.read(parts.envelope(" Session.Status ", {"status": "connected"}), NOW)

    assert reading.event == "session.status"
    assert len(reading.changes) == 1


@pytest.mark.parametrize(
    "body", [None, 3, "x", [], {}, {"event": None}, {"event": " "}, {"event": ["call"]}], ids=repr
)
def test_a_body_without_an_event_is_unknown(body: Any) -> None:
    assert webhook.read(body, NOW) == Reading(event="", known=False, reason="no event is named")


def test_a_body_nested_without_end_is_not_followed() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"message": deep}

    reading = webhook.read(parts.envelope("messages.received", {"messages": deep}), NOW)

    assert reading.changes == ()
    assert "too deeply" in str(reading.reason)


# ------------------------------------------------------------------------------------------ anything at all

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.sampled_from([KEY, parts.ID, parts.ANN_LID, parts.GROUP, "@lid", "@", "REVOKE", "14", "9" * 5000]),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            "key",
            "id",
            "remoteJid",
            "fromMe",
            "messages",
            "message",
            "update",
            "status",
            "keys",
            "reaction",
            "text",
            "receipt",
            "readTimestamp",
            "protocolMessage",
            "type",
            "editedMessage",
            "participant",
            "senderPn",
            "low",
            "high",
            "messageTimestamp",
            "pollCreationMessage",
            "options",
            "contactMessage",
            "vcard",
            "conversation",
        ]
    ),
    st.text(max_size=5),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


def check(body: Any) -> None:
    """Reading and redacting work, not by catching a mistake of ours, and leave text that can be stored."""
    reading = webhook.read(body, NOW)
    assert "not readable" not in str(reading.reason)
    for change in reading.changes:
        json.dumps(getattr(change, "raw", {}), ensure_ascii=False).encode()
        assert "\x00" not in repr(without_raw(change))
        if isinstance(change, MessageReceived):
            assert change.key_id
            assert change.chat
            assert change.from_phone
    kept = json.dumps(webhook.redact(body, 12, [KEY]), ensure_ascii=False)
    assert KEY not in kept
    assert "\\u0000" not in kept
    kept.encode()
    webhook.claimed_key(body)


@given(event=st.sampled_from(samples.EVENTS), data=TREES, timestamp=SCALARS)
@settings(max_examples=300)
def test_no_json_under_any_event_name_is_too_strange(event: str, data: Any, timestamp: Any) -> None:
    check({"event": event, "data": data, "timestamp": timestamp, "sessionId": KEY})


@given(body=TREES)
@settings(max_examples=100)
def test_no_body_is_too_strange(body: Any) -> None:
    check(body)


@given(
    sample=st.sampled_from(SAMPLES),
    choices=st.lists(st.tuples(st.integers(0, 60), SCALARS | TREES), min_size=1, max_size=4),
)
@settings(max_examples=400)
def test_no_damage_to_a_real_body_makes_it_unreadable(sample: Sample, choices: list[tuple[int, Any]]) -> None:
    body: Any = sample.body
    for place, value in choices:
        spots = list(paths(body))
        body = replaced(body, spots[place % len(spots)], value)
    if isinstance(body, dict):
        body["event"] = sample.event
    check(body)


# ------------------------------------------------------------------------------------------ keys and secrets


@pytest.mark.parametrize(
    "body",
    [{"sessionId": KEY}, {"session_id": KEY}, {"data": {"session_id": KEY}}, {"data": {"sessionId": KEY}}],
    ids=["top", "top-snake", "older-form", "inside-camel"],
)
def test_the_key_a_body_claims_is_found_wherever_upstream_puts_it(body: dict[str, Any]) -> None:
    assert webhook.claimed_key(body) == KEY


@pytest.mark.parametrize(
    "body", [None, [], {}, {"sessionId": ""}, {"sessionId": [1]}, {"data": [KEY]}], ids=repr
)
def test_no_key_is_claimed_by_a_body_that_names_none(body: Any) -> None:
    assert webhook.claimed_key(body) is None


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{one.event}: {one.name}" for one in SAMPLES])
def test_nothing_of_a_redacted_body_holds_the_key(sample: Sample) -> None:
    kept = webhook.redact(sample.body, 12, [KEY])

    assert KEY not in json.dumps(kept)
    assert webhook.claimed_key(kept) in ("12", None)
    readings = [webhook.read(body, NOW) for body in (kept, sample.body)]
    assert [without_raw(change) for change in readings[0].changes] == list(sample.changes)
    assert readings[0].reason == readings[1].reason


def test_secrets_are_taken_out_of_every_string_and_every_name() -> None:
    body = {"event": "x", "data": [{"url": f"https://h/?k={KEY}&s=hush-hush", KEY: {"deep": ["hush-hush"]}}]}

    kept = webhook.redact(body, 12, [KEY, "hush-hush", ""])

    assert kept == {
        "event": "x",
        "data": [{"url": "https://h/?k=[redacted]&s=[redacted]", "[redacted]": {"deep": ["[redacted]"]}}],
    }


def test_a_key_that_is_no_longer_the_sessions_is_taken_out_too() -> None:
    kept = webhook.redact(
        {"sessionId": KEY, "data": {"note": f"key {KEY}"}}, 12, ["another-secret-altogether"]
    )

    assert kept == {"sessionId": "12", "data": {"note": "key [redacted]"}}


def test_a_secret_that_begins_like_another_leaves_no_tail() -> None:
    assert webhook.redact({"a": "secret-long"}, 1, ["secret", "secret-long"]) == {"a": "[redacted]"}


def test_what_is_kept_is_text_that_postgres_can_hold() -> None:
    body = {"sess\x00ionId": KEY, "data": {"a\ud83d": f"x{KEY[:9]}\x00{KEY[9:]}y"}}

    assert webhook.redact(body, 12, [KEY]) == {"sessionId": "12", "data": {"a\ufffd": "x[redacted]y"}}


def test_redacting_leaves_the_body_it_was_given_alone() -> None:
    body = {"sessionId": KEY, "data": {"list": [KEY]}}

    webhook.redact(body, 12, [KEY])

    assert body == {"sessionId": KEY, "data": {"list": [KEY]}}


def test_a_body_nested_without_end_is_cut_when_redacted() -> None:
    deep: Any = KEY
    for _ in range(5_000):
        deep = [deep]

    assert KEY not in json.dumps(webhook.redact({"data": deep}, 12, [KEY]))


# ------------------------------------------------------------------------------------------ small parts


def without_raw(change: Change) -> Change:
    if isinstance(change, CallEnded):
        return replace(change, missed=replace(change.missed, raw={}))
    # What a payload says of its file has tests of its own.
    return (
        replace(change, raw={}, media=None) if isinstance(change, MessageReceived | MessageSent) else change
    )


def paths(value: Any, here: tuple[Any, ...] = ()) -> Any:
    """The path of every value inside a JSON value, its own first."""
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from paths(item, (*here, name))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with the value at `path` exchanged."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy
