"""WhatsApp's refusal of new chats is known by whatever shape it is told in, and nothing else is taken for it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain.message import DeliveryMoved, DeliveryState, SendRefused
from gateway.wasender.restrictions import is_restriction
from gateway.wasender.webhook import read

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
KEY = {"id": "3EB0A", "fromMe": True, "remoteJid": "15550003333@s.whatsapp.net"}


@pytest.mark.parametrize(
    "words",
    [
        "463",
        "error 463",
        "Failed to send message: status code: 463",
        "ack 463",
        "Error code=463 from WhatsApp",
        "WhatsApp does not let this account start new chats for now.",
        "You cannot start new conversations",
        "reachout_timelock",
        "REACH OUT TIME LOCK",
        "Account restricted",
        "Your account has been temporarily restricted",
    ],
)
def test_it_is_known_by_its_words(words: str) -> None:
    assert is_restriction(words)


@pytest.mark.parametrize(
    "words", [None, "", "Invalid number +1 463 555 0100", "+14635550100", "error 4631", "JID does not exist"]
)
def test_nothing_else_is_taken_for_it(words: str | None) -> None:
    assert not is_restriction(words)


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "error": "Failed (error 463)"},
        {"success": False, "error": 463},
        {"success": False, "error": "463"},
        {"success": False, "error": {"message": "Not delivered", "code": 463}},
        {"success": False, "error": "Not delivered", "code": "463"},
        {"success": False, "reason": "Not delivered", "errorCode": 463},
        {"error": {"code": 463}},
    ],
)
def test_a_failed_send_may_tell_it_in_any_shape(body: dict[str, Any]) -> None:
    (plain,) = _read({"event": "message.sent", "data": body})
    (with_key,) = _read({"event": "message.sent", "data": {**body, "success": False, "key": KEY}})

    assert isinstance(plain, SendRefused)
    assert plain.is_restriction
    assert "463" in plain.error
    assert isinstance(with_key, DeliveryMoved)
    assert (with_key.state, with_key.is_restriction) == (DeliveryState.FAILED, True)


def test_a_delivery_state_may_tell_it_as_the_engine_does() -> None:
    update = {"status": 0, "messageStubParameters": ["463"]}
    (moved,) = _read({"event": "messages.update", "data": {"key": KEY, "update": update}})
    (other,) = _read({"event": "messages.update", "data": {"key": KEY, "update": {"status": 0}}})
    (sent,) = _read({"event": "messages.update", "data": {"key": KEY, "update": {**update, "status": 2}}})

    assert isinstance(moved, DeliveryMoved)
    assert isinstance(other, DeliveryMoved)
    assert isinstance(sent, DeliveryMoved)
    assert (moved.error, moved.is_restriction) == ("error 463", True)
    assert (other.error, other.is_restriction) == (None, False)
    assert not sent.is_restriction


def _read(body: dict[str, Any]) -> tuple[Any, ...]:
    return read(body, NOW).changes
