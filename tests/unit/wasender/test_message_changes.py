"""Changes of messages: the time each names, whatever another part of its webhook names, and names of documents."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain.message import DeliveryMoved, MessageEdited, MessageReacted, MessageReceived, MessageSent
from gateway.wasender import webhook
from tests.unit.wasender import payload_parts as parts
from tests.unit.wasender.payload_parts import MINE, NOW, PRIVATE

RIGHT_S = int(NOW.timestamp()) - 60
RIGHT = datetime.fromtimestamp(RIGHT_S, UTC)
OFFER = {"url": parts.CDN, "fileName": "offer.pdf", "caption": "here"}
WRONG_ENVELOPES = [1_270_000_000, 1_633_456_789, RIGHT_S - 2 * 86_400]
WRONG = [0, "never", 3.0, RIGHT_S + 10 * 86_400, 1_000_000_000]


def changes(event: str, data: Any, timestamp: Any = None) -> tuple[Any, ...]:
    return webhook.read(parts.envelope(event, data, timestamp), NOW).changes


def edit(content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    protocol = {"key": {**PRIVATE, "id": parts.TARGET}, "type": 14, "editedMessage": content, **fields}
    return {"protocolMessage": protocol}


def shapes(at: Any) -> dict[str, tuple[str, Any]]:
    """One webhook for each place that names a time, with `at` in it."""
    reaction = {"text": "👍", "senderTimestampMs": at, "key": {**PRIVATE, "id": "R"}}
    return {
        "message": ("messages.received", {"messages": parts.message(PRIVATE, messageTimestamp=at)}),
        "sent": ("message.sent", parts.message(MINE, messageTimestamp=at)),
        "reaction": ("messages.reaction", {"key": {**PRIVATE, "id": parts.TARGET}, "reaction": reaction}),
        "reaction in a message": (
            "messages.received",
            {
                "messages": parts.message(
                    PRIVATE, {"reactionMessage": {**reaction, "key": {"id": parts.TARGET}}}
                )
            },
        ),
        "edit": (
            "messages.received",
            {"messages": parts.message(PRIVATE, edit({"conversation": "new"}, timestampMs=at))},
        ),
        "update": (
            "messages.update",
            {"key": PRIVATE, "update": {"message": {"conversation": "x"}, "messageTimestamp": at}},
        ),
        "receipt": ("message-receipt.update", {"key": MINE, "receipt": {"readTimestamp": at}}),
    }


def time_of(change: Any) -> datetime:
    match change:
        case MessageReceived():
            return change.received_at
        case MessageSent():
            return change.sent_at
        case DeliveryMoved() | MessageEdited() | MessageReacted():
            return change.at
        case _:
            raise AssertionError(change)


@pytest.mark.parametrize("envelope_s", WRONG_ENVELOPES)
@pytest.mark.parametrize("shape", shapes(0))
def test_a_wrong_time_of_the_webhook_spoils_no_right_time_in_it(shape: str, envelope_s: int) -> None:
    event, data = shapes(RIGHT_S)[shape]

    assert time_of(changes(event, data, envelope_s)[0]) == RIGHT


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    "shape", [name for name in shapes(0) if name not in ("edit", "reaction in a message")]
)
def test_a_wrong_time_in_a_webhook_spoils_no_right_time_of_it(shape: str, wrong: Any) -> None:
    event, data = shapes(wrong)[shape]

    found = changes(event, data, RIGHT_S)

    if shape != "receipt" or wrong:
        assert time_of(found[0]) == RIGHT


def test_a_delivery_state_has_the_time_of_its_webhook_and_not_of_its_message() -> None:
    data = {"key": MINE, "update": {"status": 4, "messageTimestamp": 1_700_000_000}}

    assert [change.at for change in changes("messages.update", data, RIGHT_S)] == [RIGHT]
    assert [change.at for change in changes("messages.update", data)] == [NOW]


@pytest.mark.parametrize("key", [PRIVATE, MINE])
def test_a_document_that_comes_by_an_update_is_no_edit_of_itself(key: dict[str, Any]) -> None:
    message, content = changes(
        "messages.update", {"key": key, "update": {"message": {"documentMessage": OFFER}}}
    )

    assert (message.text, content.text, content.is_content) == ("here\noffer.pdf", "here\noffer.pdf", True)


@pytest.mark.parametrize(
    "said",
    [
        ("messages.received", {"messages": parts.message(PRIVATE, edit({"documentMessage": OFFER}))}),
        ("messages.update", {"key": PRIVATE, "update": {"message": edit({"documentMessage": OFFER})}}),
        (
            "messages.update",
            {
                "key": PRIVATE,
                "update": {"message": {"editedMessage": {"message": {"documentMessage": OFFER}}}},
            },
        ),
    ],
)
def test_the_edit_of_a_caption_keeps_the_documents_name(said: tuple[str, Any]) -> None:
    (change,) = changes(*said)

    assert isinstance(change, MessageEdited)
    assert change.text == "here\noffer.pdf"


def test_the_wrong_times_are_wrong() -> None:
    assert datetime.fromtimestamp(max(WRONG_ENVELOPES), UTC) < RIGHT - timedelta(days=1)
