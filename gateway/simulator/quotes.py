"""Which messages may be quoted, and how: an own one by its msgId, another's by both objects of its webhook."""

import hashlib
import json
from typing import Any

from gateway.simulator.contents import Quote
from gateway.simulator.replies import validation_refusal
from gateway.simulator.state import SimulatedSession, World

_MAX_DIGESTS = 8
"""Of one message: the shapes in which different webhooks have told it."""


def remember(world: World, envelope: dict[str, Any]) -> None:
    """Notes what a webhook says of a message that came, as a client may give it back."""
    for item in _items(envelope.get("data")):
        key, message = item.get("key"), item.get("message")
        if not isinstance(key, dict) or not isinstance(message, dict):
            continue
        key_id = key.get("id")
        if isinstance(key_id, str) and key_id in world.received:
            digests = world.told.setdefault(key_id, [])
            if (digest := _digest(key, message)) not in digests:
                digests.append(digest)
                del digests[:-_MAX_DIGESTS]


def quote_of(world: World, session: SimulatedSession, request: dict[str, Any]) -> Quote | None:
    """What a send answers; None if nothing. Raises Refusal 422."""
    if request.get("replyToObject") is not None:
        return _by_object(world, session, request)
    number = request.get("replyTo")
    if number is None:
        return None
    sent = world.sent.get(number)
    if sent is None or sent.session_id != session.id or sent.deleted:
        raise validation_refusal({"replyTo": ["The selected reply to is invalid."]})
    return Quote(sent.key_id, sent.message, session.jid)


def _by_object(world: World, session: SimulatedSession, request: dict[str, Any]) -> Quote:
    wish = request["replyToObject"]
    key, message = (wish.get("key"), wish.get("message")) if isinstance(wish, dict) else (None, None)
    if not isinstance(key, dict) or not isinstance(message, dict) or not isinstance(key.get("id"), str):
        raise validation_refusal({"replyToObject": ["The reply to object needs key and message."]})
    known = world.received.get(key["id"])
    if known is None or known["session_id"] != session.id:
        raise validation_refusal({"replyToObject": ["The quoted message was not received by this session."]})
    if _digest(key, message) not in world.told.get(key["id"], ()):
        text = "The key and message objects must be those of the webhook, whole and unchanged."
        raise validation_refusal({"replyToObject": [text]})
    if request.get("to") != key.get("remoteJid"):
        raise validation_refusal({"to": ["The to field must be the remoteJid of the quoted message."]})
    return Quote(key["id"], message, key.get("participant") or key.get("remoteJid"))


def _items(data: Any) -> list[dict[str, Any]]:
    if not isinstance(data, dict):
        return []
    found = data.get("messages", data)
    return [item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]


def _digest(key: dict[str, Any], message: dict[str, Any]) -> str:
    """The order of names does not count, everything else does."""
    text = json.dumps([key, message], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
