"""Whatever JSON comes, the readers answer, soon, and never raise."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.wasender.call_events import calls_of
from gateway.wasender.contact_events import facts_of
from gateway.wasender.message_content import Content, Nothing, content_in
from gateway.wasender.message_identity import author_of, is_from_me, key_id, parties, resolved_in
from gateway.wasender.message_secrets import message_secret, open_sealed, sealed_in
from gateway.wasender.texts.lines import words_in
from tests.unit.wasender.content_samples import FIELDS

EXAMPLES = int(os.environ.get("ANY_PAYLOAD_EXAMPLES", "150"))
"""More by `ANY_PAYLOAD_EXAMPLES=10000 pytest tests/unit/wasender/test_any_payload.py`."""

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
EVENTS = [
    "contacts.update",
    "groups.update",
    "group-participants.update",
    "lid-mapping.update",
    "chats.update",
]

PARTS = """
message text caption title name body header footer buttons buttonParamsJson nativeFlowMessage paramsJson
displayName vcard contacts options optionName pollVotes optionVoteCount degreesLatitude degreesLongitude
hydratedTemplate hydratedHsm content hydratedButtons urlButton carouselMessage cards sections rows amount
value offset totalAmount1000 noteMessage startTime location product catalog url directPath submessages
codeMetadata codeBlocks targetMessageKey encPayload encIv vote secretEncType messageSecret
messageContextInfo interactiveMessageTemplate fourRowTemplate highlyStructuredMessage params
selectedDisplayText nativeFlowResponseMessage isVideo callOutcome low high order items payment_settings
type editedMessage key id remoteJid participant senderPn senderLid remoteJidAlt fromMe lid phoneNumber
jid participants admin action subject pn call status from date
"""
NAMES = st.sampled_from([*FIELDS, *PARTS.split()]) | st.text(max_size=5)
WORDS = st.sampled_from(
    [
        "", "0", "123", "4206012223@s.whatsapp.net", "14001234567890@lid", "120363@g.us", "17@broadcast",
        "US.134912086553", '{"a":{"b":[1,{"c":"d"}]}}', '{"id":"x"}', "[[[[", "BEGIN:VCARD\nFN:x\nTEL:y\nEND:VCARD",
        "https://x.example", "NaN", "REVOKE", "2", "add", "timeout", "QUFB",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(message=JSON, stub=JSON, body=JSON)
def test_any_message_is_content_or_nothing(message: Any, stub: Any, body: Any) -> None:
    found = content_in({"message": message, "messageStubType": stub, "messageBody": body})

    assert isinstance(found, Content | Nothing)
    assert isinstance(found, Nothing) or not found.is_placeholder or found.type == "unknown"
    assert isinstance(content_in(message), Content | Nothing)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(field=st.sampled_from(FIELDS), part=st.dictionaries(NAMES, JSON, max_size=6))
def test_any_part_of_any_field_is_content_or_nothing(field: str, part: dict[str, Any]) -> None:
    found = content_in({"message": {field: part}})

    assert isinstance(found, Content | Nothing)
    if isinstance(found, Content) and found.text is not None:
        assert found.type == "reaction" or found.text.strip()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=st.dictionaries(NAMES, JSON, max_size=8))
def test_any_key_has_parties_and_an_author_or_none(key: dict[str, Any]) -> None:
    who = parties(key, is_from_me(key))
    author = author_of(key)

    assert who is None or who.chat
    assert all(isinstance(address, str) and address for address in author.addresses)
    assert key_id(key) != ""
    resolved_in(key)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=JSON)
def test_any_value_is_read_as_facts_calls_and_secrets(value: Any) -> None:
    for event in EVENTS:
        assert isinstance(facts_of(event, value), list)
    calls_of(value, NOW)
    sealed = sealed_in(value)
    if sealed is not None:
        open_sealed(sealed, message_secret(value) or bytes(32), ["4206012223"], ["4206012223"])
    words_in(value)


# ------------------------------------------------------------------------------------------ time

MEGA = "A" * 4_000_000
MANY = 100_000


def nested(times: int, wrap: Callable[[Any], Any], inner: Any) -> Any:
    for _ in range(times):
        inner = wrap(inner)
    return inner


BIG: dict[str, Any] = {
    "inline file": {"imageMessage": {"url": "https://x.example/1", "base64": MEGA, "jpegThumbnail": MEGA}},
    "thumbnail by place": {
        "orderMessage": {"orderTitle": "x", "thumbnail": {str(place): 1 for place in range(MANY)}}
    },
    "strange bytes by place": {
        "tomorrowMessage": {"data": {str(place): place % 256 for place in range(MANY)}}
    },
    "strange list": {"tomorrowMessage": [{"text": "x"}] * MANY},
    "many fields": {f"field{place}Message": {"text": "x"} for place in range(MANY)},
    "many envelopes": {f"field{place}Message": {"message": {}} for place in range(MANY)},
    "card of one line": {"contactMessage": {"vcard": "BEGIN:VCARD\nFN:" + MEGA}},
    "card of many lines": {"contactMessage": {"vcard": "TEL:1\n" * MANY}},
    "card of folds": {"contactMessage": {"vcard": "FN:x\n" + " y\n" * MANY}},
    "many cards": {"contactsArrayMessage": {"contacts": [{"vcard": "FN:x\nTEL:1"}] * MANY}},
    "many people in one card": {"contactMessage": {"vcard": "FN:x\nEND:VCARD\n" * MANY}},
    "many options": {"pollCreationMessage": {"name": "x", "options": [{"optionName": "y"}] * MANY}},
    "many buttons": {"buttonsMessage": {"buttons": [{"buttonText": {"displayText": "y"}}] * MANY}},
    "many sections": {"listMessage": {"sections": [{"rows": [{"title": "y"}] * 1_000}] * 1_000}},
    "params": {
        "interactiveResponseMessage": {"nativeFlowResponseMessage": {"paramsJson": "[" * 200_000}},
    },
    "nested params": {
        "interactiveResponseMessage": {
            "nativeFlowResponseMessage": {"paramsJson": '{"a":' * 900 + "1" + "}" * 900}
        },
    },
    "numbers": {"locationMessage": {"degreesLatitude": "9" * 1_000_000, "degreesLongitude": "9" * 1_000_000}},
    "deep envelopes": nested(
        90, lambda inner: {"ephemeralMessage": {"message": inner}}, {"conversation": "x"}
    ),
    "deep templates": nested(
        90, lambda inner: {"highlyStructuredMessage": {"hydratedHsm": {"fourRowTemplate": inner}}}, {}
    ),
    "deep carousels": nested(
        45, lambda inner: {"carouselMessage": {"cards": [inner, inner]}}, {"body": {"text": "x"}}
    ),
}
BIG["deep carousels"] = {"interactiveMessage": BIG["deep carousels"]}


@pytest.mark.parametrize("name", BIG)
def test_a_message_of_any_size_is_read_at_once(name: str) -> None:
    began = time.process_time()
    found = content_in({"message": BIG[name]})

    assert isinstance(found, Content | Nothing)
    assert time.process_time() - began < 1
