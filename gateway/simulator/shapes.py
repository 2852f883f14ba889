"""The shapes a webhook comes in. Pure: one envelope in, a differently shaped one out.

WasenderAPI's documentation, its SDKs and observed traffic disagree about the same event; a receiver has to
take all of them, so the simulator can send all of them.
"""

import copy
import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SHAPE_MODES = frozenset(
    {
        "array",  # data.messages (or the update itself) in a list
        "nested",  # messages.update as data.update.update
        "bare",  # messages.upsert with the key directly in data
        "lid_only",  # no phone number anywhere: only a LID
        "long_timestamp",  # {"low": …, "high": 0, "unsigned": true}
        "ms_timestamp",
        "text_timestamp",
        "old_status",  # session.status as older documentation has it
        "no_session_id",
        "not_from_me",  # messages.update with fromMe: false, as the documentation's example has it
    }
)
SENDER_MODES = frozenset({"duplicate", "lose", "delay", "wrong_secret", "no_secret", "garbage"})
WEBHOOK_MODES = SHAPE_MODES | SENDER_MODES

_PHONE_FIELDS = (
    "senderPn", "cleanedSenderPn", "participantPn", "cleanedParticipantPn", "remoteJidAlt", "participantAlt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Twist:
    """What is to be odd about one delivery."""

    modes: frozenset[str] = frozenset()
    copies: int = 1
    """How often it is sent; 2 or more with mode `duplicate`."""
    delay_ms: int = 0
    """With mode `delay`: later events overtake it."""

    def __or__(self, other: "Twist") -> "Twist":
        return Twist(
            self.modes | other.modes, max(self.copies, other.copies), max(self.delay_ms, other.delay_ms)
        )


PLAIN = Twist()


def shaped(envelope: dict[str, Any], modes: Iterable[str], at: int = 0) -> dict[str, Any]:
    """The envelope in the shape the modes ask for, as a copy. `at`: Unix seconds, for shapes with a time."""
    wanted = frozenset(modes) & SHAPE_MODES
    if not wanted:
        return envelope
    body = copy.deepcopy(envelope)
    event = str(body.get("event", ""))
    for message in _messages(body):
        _shape_message(message, wanted)
    if "ms_timestamp" in wanted and isinstance(body.get("timestamp"), int) and body["timestamp"] < 10**11:
        body["timestamp"] *= 1000
    if "no_session_id" in wanted:
        body.pop("sessionId", None)
    if event == "session.status" and "old_status" in wanted:
        body["data"]["session_id"] = body.pop("sessionId", None)
        body["timestamp"] = at
    if event == "messages.update":
        if "not_from_me" in wanted:
            body["data"]["key"]["fromMe"] = False
        body["data"] = _update_shape(body["data"], wanted)
    elif (
        fnmatch.fnmatch(event, "messages*")
        and isinstance(body.get("data"), dict)
        and "messages" in body["data"]
    ):
        if "bare" in wanted:
            body["data"] = body["data"]["messages"]
        elif "array" in wanted:
            body["data"]["messages"] = [body["data"]["messages"]]
    return body


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    data = body.get("data")
    message = data.get("messages") if isinstance(data, dict) else None
    return [message] if isinstance(message, dict) else []


def _shape_message(message: dict[str, Any], wanted: frozenset[str]) -> None:
    seconds = message.get("messageTimestamp")
    if isinstance(seconds, int):
        if "long_timestamp" in wanted:
            message["messageTimestamp"] = {"low": seconds, "high": 0, "unsigned": True}
        elif "ms_timestamp" in wanted:
            message["messageTimestamp"] = seconds * 1000
        elif "text_timestamp" in wanted:
            message["messageTimestamp"] = str(seconds)
    key = message.get("key")
    if "lid_only" in wanted and isinstance(key, dict):
        lid = key.get("senderLid") or key.get("participantLid")
        for name in _PHONE_FIELDS:
            key.pop(name, None)
        if lid and str(key.get("remoteJid", "")).endswith("@s.whatsapp.net"):
            key["remoteJid"] = lid
        if lid and str(key.get("participant", "")).endswith("@s.whatsapp.net"):
            key["participant"] = lid
        key["addressingMode"] = "lid"


def _update_shape(data: Any, wanted: frozenset[str]) -> Any:
    if "nested" in wanted:
        return {"update": {"key": data["key"], "update": data["update"]}}
    if "array" in wanted:
        return [{"key": data["key"], "update": data["update"]}]
    return data
