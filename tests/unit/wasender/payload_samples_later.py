"""Samples: what became of a message, the session itself, and events that are not for us."""

from datetime import datetime
from typing import Any

from gateway.domain.contacts import Contact, ContactFact, Member, MembersChanged
from gateway.domain.message import (
    CallAnswered,
    CallEnded,
    Change,
    CodeReported,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    Origin,
    PeopleTold,
    PollCounted,
    SendRefused,
    StatusReported,
)
from tests.unit.wasender.payload_parts import (
    ANN,
    ANN_JID,
    ANN_LID,
    AT,
    AT_MS,
    BOB,
    BOB_JID,
    BY_ANN,
    GROUP,
    HELLO,
    ID,
    KEY,
    MINE,
    NOW,
    PRIVATE,
    SENT_MS,
    SENT_S,
    TARGET,
    UNNAMED,
    Sample,
    envelope,
    received,
    sent,
)

# ------------------------------------------------------------------------------------------ what became of it


def _update(name: str, data: Any, *changes: Change, reason: str | None = None) -> Sample:
    return Sample(name, envelope("messages.update", data, SENT_MS), changes, reason)


def _moved(state: DeliveryState, at: datetime = AT_MS, error: str | None = None) -> DeliveryMoved:
    return DeliveryMoved(ID, state, at, error, ANN_JID)


DELIVERY = [
    _update("documented form", {"update": {"status": 3}, "key": MINE}, _moved(DeliveryState.DELIVERED)),
    _update(
        "observed form", {"update": {"key": MINE, "update": {"status": 3}}}, _moved(DeliveryState.DELIVERED)
    ),
    _update(
        "array form",
        [{"key": MINE, "update": {"status": 2}}, {"key": MINE, "update": {"status": 4}}],
        _moved(DeliveryState.SENT),
        _moved(DeliveryState.READ),
    ),
    _update("failed", {"key": MINE, "update": {"status": 0}}, _moved(DeliveryState.FAILED)),
    _update("pending", {"key": MINE, "update": {"status": 1}}, _moved(DeliveryState.QUEUED)),
    _update("played", {"key": MINE, "update": {"status": 5}}, _moved(DeliveryState.PLAYED)),
    _update(
        "status in words",
        {"key": MINE, "update": {"status": "DELIVERY_ACK"}},
        _moved(DeliveryState.DELIVERED),
    ),
    _update("status as text", {"key": MINE, "update": {"status": "4"}}, _moved(DeliveryState.READ)),
    _update("unknown status", {"key": MINE, "update": {"status": 17}}, reason="not known"),
    _update("of an incoming message", {"key": PRIVATE, "update": {"status": 4}}, _moved(DeliveryState.READ)),
    _update(
        "a content that had not come",
        {"key": PRIVATE, "update": {"message": {"conversation": "Late"}, "messageTimestamp": SENT_S}},
        received(text="Late"),
        MessageEdited(ID, "Late", AT, BY_ANN, is_content=True),
    ),
    _update(
        "several at once",
        {
            "key": MINE,
            "update": {"status": 3, "message": {"editedMessage": {"message": {"conversation": "New"}}}},
        },
        _moved(DeliveryState.DELIVERED),
        MessageEdited(ID, "New", AT_MS, Origin(ANN_JID, is_me=True)),
    ),
    _update(
        "one bad element",
        [{"update": {}}, {"key": MINE, "update": {"status": 3}}],
        _moved(DeliveryState.DELIVERED),
        reason="element 1",
    ),
    _update("something else", {"key": MINE, "update": {"starred": True}}, reason="not shown"),
    _update(
        "an edit",
        {
            "key": {**PRIVATE, "id": TARGET},
            "update": {"message": {"editedMessage": {"message": {"conversation": "New"}}}},
        },
        MessageEdited(TARGET, "New", AT_MS, BY_ANN),
    ),
    _update(
        "a deletion, the deleting message inside",
        {"key": {**PRIVATE, "id": TARGET}, "update": {"message": None, "messageStubType": 1, "key": PRIVATE}},
        MessageDeleted(TARGET, AT_MS, BY_ANN),
    ),
    Sample(
        "sent",
        envelope("message.sent", {"key": MINE, "message": HELLO, "success": True}, SENT_S),
        (sent(is_named=True),),
    ),
    Sample(
        "sent, an array",
        envelope("message.sent", [{"key": MINE, "message": HELLO, "success": True}], SENT_S),
        (sent(is_named=True),),
    ),
    Sample(
        "sent, with upstream's number",
        envelope("message.sent", {"key": MINE, "message": HELLO, "success": True, "msgId": 100001}, SENT_S),
        (sent(is_named=True, msg_id=100001),),
    ),
    Sample(
        "sent, without its text",
        envelope("message.sent", {"key": MINE, "success": True}, SENT_S),
        (_moved(DeliveryState.SENT, AT),),
    ),
    Sample(
        "not sent",
        envelope(
            "message.sent",
            {"success": False, "error": "Failed to send message: Invalid number JID: +1"},
            SENT_S,
        ),
        (SendRefused("Failed to send message: Invalid number JID: +1", AT),),
    ),
    Sample(
        "not sent, with its key",
        envelope("message.sent", {"key": MINE, "success": False, "error": "No such number"}, SENT_S),
        (_moved(DeliveryState.FAILED, AT, "No such number"),),
    ),
    Sample(
        "receipt, delivered",
        envelope(
            "message-receipt.update",
            {"message": {"key": MINE, "receipt": {"userJid": BOB_JID, "receiptTimestamp": SENT_S}}},
            SENT_MS,
        ),
        (_moved(DeliveryState.DELIVERED, AT),),
    ),
    Sample(
        "receipt, read",
        envelope(
            "message-receipt.update",
            {"message": {"key": MINE, "receipt": {"userJid": BOB_JID, "readTimestamp": SENT_S}}},
            SENT_MS,
        ),
        (_moved(DeliveryState.READ, AT),),
    ),
    Sample(
        "receipt, an array",
        envelope(
            "message-receipt.update",
            [{"key": MINE, "receipt": {"userJid": BOB_JID, "receiptTimestamp": SENT_S}}],
            SENT_MS,
        ),
        (_moved(DeliveryState.DELIVERED, AT),),
    ),
    Sample(
        "receipt, no time",
        envelope("message-receipt.update", {"message": {"key": MINE, "receipt": {}}}),
        (),
        "without a time",
    ),
    Sample(
        "deleted",
        envelope("messages.delete", {"keys": [{**PRIVATE, "id": TARGET}, PRIVATE]}, SENT_S),
        (MessageDeleted(TARGET, AT, UNNAMED), MessageDeleted(ID, AT, UNNAMED)),
    ),
    Sample(
        "deleted, an array",
        envelope("messages.delete", [{"key": {**PRIVATE, "id": TARGET}}], SENT_S),
        (MessageDeleted(TARGET, AT, UNNAMED),),
    ),
    Sample("a chat cleared", envelope("messages.delete", {"jid": ANN_JID, "all": True}), (), "whole chat"),
]

# ----------------------------------------------------------------------------------------- the session itself

SESSION = [
    Sample(
        "status",
        envelope("session.status", {"status": "connected"}),
        (StatusReported("connected", NOW, has_time=False),),
    ),
    Sample(
        "status, upper case",
        envelope("session.status", {"status": "NEED_SCAN"}),
        (StatusReported("need_scan", NOW, has_time=False),),
    ),
    Sample(
        "status, older form",
        {
            "event": "session.status",
            "timestamp": SENT_S,
            "data": {"status": "LOGGED_OUT", "session_id": KEY, "reason": "unlinked"},
        },
        (StatusReported("logged_out", AT, "unlinked"),),
    ),
    Sample(
        "a status we do not know",
        envelope("session.status", {"status": "Hibernating"}),
        (StatusReported("hibernating", NOW, has_time=False),),
    ),
    Sample("no status", envelope("session.status", {}), (), "without a status"),
    Sample("a code", envelope("qrcode.updated", {"qr": "2@abc,def"}), (CodeReported("2@abc,def", NOW),)),
    Sample(
        "a code named as in replies",
        envelope("qrcode.updated", {"qrCode": "2@abc,def"}),
        (CodeReported("2@abc,def", NOW),),
    ),
    Sample("no code", envelope("qrcode.updated", {"qr": None}), (), "without a code"),
    Sample(
        "passkey asked for",
        envelope("passkey.updated", {"stage": "request", "token": "t"}),
        (StatusReported("need_passkey", NOW),),
    ),
    Sample(
        "passkey, later stage",
        envelope("passkey.updated", {"stage": "confirmation"}),
        (),
        "stage confirmation",
    ),
]

# ------------------------------------------------------------------------------------------ people, calls, the rest


def _told(*facts: ContactFact) -> tuple[PeopleTold]:
    return (PeopleTold(facts),)


def _call(name: str, status: str, *changes: Change, reason: str | None = None) -> Sample:
    call = {"id": "C1", "from": ANN_JID, "date": SENT_S, "isVideo": True, "status": status}
    return Sample(name, envelope("call", {"call": call}), changes, reason)


_MISSED = received(kind="call", text="Missed video call", key_id="C1")

IGNORED = [
    Sample(
        "a call",
        envelope("call", {"call": {"id": "C1", "from": ANN_JID, "status": "offer"}}),
        (),
        "not ended",
    ),
    _call("a call that was missed", "timeout", _MISSED),
    _call("a call that is over", "terminate", CallEnded("C1", _MISSED)),
    _call("a call that was answered", "accept", CallAnswered("C1", AT)),
    Sample("a test", envelope("webhook.test", {"hello": 1}), (), "a test"),
    Sample("a test of another event", envelope("messages.received", {"test": True}), (), "a test"),
    Sample("a call, as SDKs name it", envelope("call.received", {"call": {"id": "C1"}}), (), "not ended"),
    Sample("chats", envelope("chats.upsert", [{"id": ANN_JID, "unreadCount": 1}]), (), "chats"),
    Sample(
        "a chat changed",
        envelope("chats.update", {"chats": {"id": ANN_LID, "messages": [{"message": {"key": PRIVATE}}]}}),
        (),
        "chats",
    ),
    Sample("a chat deleted", envelope("chats.delete", [ANN_JID]), (), "chats"),
    Sample(
        "contacts",
        envelope("contacts.upsert", [{"jid": ANN_JID, "name": "Ann"}]),
        _told(Contact(ANN_JID, "person", phone=ANN, name="Ann")),
    ),
    Sample(
        "a contact changed",
        envelope("contacts.update", [{"jid": ANN_JID, "imgUrl": "changed"}]),
        _told(Contact(ANN_JID, "person", phone=ANN)),
    ),
    Sample(
        "groups",
        envelope("groups.upsert", [{"jid": GROUP, "subject": "Team"}]),
        _told(Contact(GROUP, "group", name="Team")),
    ),
    Sample(
        "a group changed",
        envelope("groups.update", [{"jid": GROUP, "announce": True}]),
        _told(Contact(GROUP, "group")),
    ),
    Sample(
        "members",
        envelope("group-participants.update", {"jid": GROUP, "participants": [BOB_JID], "action": "add"}),
        _told(MembersChanged(GROUP, "add", (Member(BOB_JID, phone=BOB),))),
    ),
    Sample(
        "poll results",
        envelope(
            "poll.results", {"key": MINE, "pollResult": [{"name": "Yes", "voters": [ANN_JID]}]}, SENT_MS
        ),
        (PollCounted(ID, f"{ANN}@s.whatsapp.net", (("Yes", 1),), AT_MS),),
        "who voted",
    ),
    Sample(
        "an event we do not know", envelope("weather.changed", {"rain": True}), (), "do not know", known=False
    ),
]
