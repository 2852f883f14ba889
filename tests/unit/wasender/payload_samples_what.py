"""Samples: what a message says, and reactions to one."""

from typing import Any

from gateway.domain.message import Change, MessageDeleted, MessageEdited, Origin
from tests.unit.wasender.payload_parts import (
    ANN_JID,
    AT,
    AT_MS,
    BOB,
    BOB_JID,
    BY_ANN,
    CDN,
    GROUP,
    HELLO,
    IN_GROUP,
    MINE,
    PRIVATE,
    SENT_MS,
    SENT_S,
    TARGET,
    Sample,
    envelope,
    incoming,
    message,
    reacted,
    received,
    says,
    silent,
)

# ------------------------------------------------------------------------------------------ what

_IMAGE = {
    "url": CDN,
    "mimetype": "image/jpeg",
    "mediaKey": "c2VjcmV0",
    "fileLength": "12345",
    "caption": "Look",
}
_VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Carl\nitem1.TEL;waid=628555:+62 855 5\nEND:VCARD"
_POLL = {
    "name": "Pizza?",
    "options": [{"optionName": "Yes"}, {"optionName": "No"}],
    "selectableOptionsCount": 1,
}
_REVOKE = {"protocolMessage": {"key": {**PRIVATE, "id": TARGET}, "type": 0}}
_EDIT = {
    "protocolMessage": {
        "key": {**PRIVATE, "id": TARGET}, "type": 14, "timestampMs": str(SENT_MS),
        "editedMessage": {"conversation": "Hello again"},
    }
}  # fmt: skip
_EDITED = MessageEdited(TARGET, "Hello again", AT_MS, BY_ANN)
_DELETED = MessageDeleted(TARGET, AT, BY_ANN)


def _upsert(name: str, content: Any, *changes: Change) -> Sample:
    return Sample(name, envelope("messages.upsert", {"messages": message(PRIVATE, content)}), changes)


CONTENTS = [
    incoming("upstream's own text first", PRIVATE, received(text="Hi there"), messageBody="Hi there"),
    incoming("upstream's own text alone", PRIVATE, received(text="Hi"), content={}, messageBody="Hi"),
    incoming("upstream's own text empty", PRIVATE, received(), messageBody=""),
    incoming(
        "text is mended",
        PRIVATE,
        received(text="ab\ufffd", push_name="An\ufffd"),
        content={"conversation": "a\x00b\ud83d"},
        pushName="An\ud83d",
    ),
    says(
        "extended text",
        {"extendedTextMessage": {"text": "See https://example.com"}},
        "text",
        "See https://example.com",
    ),
    incoming(
        "baggage, and upstream's own text",
        PRIVATE,
        received(text="Hi"),
        content={"messageContextInfo": {}},
        messageBody="Hi",
    ),
    says("text with baggage", {"messageContextInfo": {}, "conversation": "Hello"}, "text", "Hello"),
    says("image", {"imageMessage": _IMAGE}, "image", "Look", media_url=CDN),
    says("image without caption", {"imageMessage": {"url": CDN}}, "image", None, media_url=CDN),
    says("video", {"videoMessage": {"url": CDN, "caption": "Look"}}, "video", "Look", media_url=CDN),
    says("video note", {"ptvMessage": {"url": CDN}}, "video", "Video message", media_url=CDN),
    says("voice", {"audioMessage": {"url": CDN, "ptt": True}}, "audio", "Voice message", media_url=CDN),
    says("a text instead of a message", "Hello there", "text", "Hello there"),
    says("a text instead of its part", {"extendedTextMessage": "Hello there"}, "text", "Hello there"),
    says(
        "a text beside a picture",
        {"conversation": "Look", "imageMessage": {"url": CDN}},
        "image",
        "Look",
        media_url=CDN,
    ),
    says(
        "a text beside a picture with words of its own",
        {"conversation": "Look", "imageMessage": {"url": CDN, "caption": "Our shop"}},
        "image",
        "Our shop\nLook",
        media_url=CDN,
    ),
    says("sound", {"audioMessage": {"url": CDN, "seconds": 3}}, "audio", "Audio", media_url=CDN),
    says(
        "voice to be heard once",
        {
            "viewOnceMessageV2Extension": {
                "message": {"audioMessage": {"url": CDN, "ptt": True, "viewOnce": True}}
            }
        },
        "audio",
        "Voice message",
        media_url=CDN,
    ),
    says(
        "document",
        {"documentMessage": {"url": CDN, "fileName": "bill.pdf"}},
        "document",
        "bill.pdf",
        media_url=CDN,
    ),
    says(
        "document with caption",
        {
            "documentWithCaptionMessage": {
                "message": {"documentMessage": {"url": CDN, "fileName": "b.pdf", "caption": "Bill"}}
            }
        },
        "document",
        "Bill\nb.pdf",
        media_url=CDN,
    ),
    says("sticker", {"stickerMessage": {"url": CDN}}, "sticker", "Sticker", media_url=CDN),
    says(
        "a media url that is none",
        {"imageMessage": {"url": "javascript:alert(1)"}},
        "unknown",
        None,
        is_placeholder=True,
    ),
    says(
        "location",
        {
            "locationMessage": {
                "degreesLatitude": -6.2,
                "degreesLongitude": 106.8,
                "name": "Shop",
                "address": "Road 1",
            }
        },
        "location",
        "Shop\nRoad 1\n-6.2,106.8",
    ),
    says(
        "live location",
        {"liveLocationMessage": {"degreesLatitude": 1, "degreesLongitude": 2}},
        "location",
        "1,2",
    ),
    says(
        "contact", {"contactMessage": {"displayName": "Carl", "vcard": _VCARD}}, "contact", "Carl\n+62 855 5"
    ),
    says(
        "contacts",
        {"contactsArrayMessage": {"contacts": [{"displayName": "Carl"}, {"displayName": "Dora"}]}},
        "contact",
        "Carl\nDora",
    ),
    says("poll", {"pollCreationMessage": _POLL}, "poll", "Pizza?\n• Yes\n• No"),
    says("poll, third version", {"pollCreationMessageV3": _POLL}, "poll", "Pizza?\n• Yes\n• No"),
    says("disappearing", {"ephemeralMessage": {"message": HELLO}}, "text", "Hello"),
    says(
        "view once",
        {"viewOnceMessage": {"message": {"imageMessage": _IMAGE}}},
        "image",
        "Look",
        media_url=CDN,
    ),
    says(
        "view once, second version",
        {"viewOnceMessageV2": {"message": {"imageMessage": _IMAGE}}},
        "image",
        "Look",
        media_url=CDN,
    ),
    says(
        "wrapped twice",
        {"ephemeralMessage": {"message": {"viewOnceMessageV2": {"message": HELLO}}}},
        "text",
        "Hello",
    ),
    says("a button pressed", {"buttonsResponseMessage": {"selectedDisplayText": "Yes"}}, "text", "Yes"),
    says("a kind we do not know", {"hologramMessage": {"depth": 3}}, "unknown", None),
    says("nothing at all", {}, "unknown", None, is_placeholder=True),
    incoming(
        "reaction",
        PRIVATE,
        reacted("👍"),
        content={"reactionMessage": {"key": {**MINE, "id": TARGET}, "text": "👍"}},
    ),
    incoming(
        "reaction taken back",
        PRIVATE,
        reacted(""),
        content={"reactionMessage": {"key": {**MINE, "id": TARGET}, "text": ""}},
    ),
    _upsert("taken back", _REVOKE, _DELETED),
    _upsert(
        "taken back, type in words", {"protocolMessage": {"key": {"id": TARGET}, "type": "REVOKE"}}, _DELETED
    ),
    _upsert("taken back, default type left out", {"protocolMessage": {"key": {"id": TARGET}}}, _DELETED),
    _upsert("edited", _EDIT, _EDITED),
    _upsert("edited, wrapped", {"editedMessage": {"message": _EDIT}}, _EDITED),
    _upsert(
        "edited, type in words",
        {
            "protocolMessage": {
                "key": {"id": TARGET},
                "type": "MESSAGE_EDIT",
                "editedMessage": {"imageMessage": {"caption": "New"}},
            }
        },
        MessageEdited(TARGET, "New", AT, BY_ANN),
    ),
    silent("history between devices", {"protocolMessage": {"type": 5}}, "between devices (type 5)"),
    silent(
        "an edit of nothing", {"protocolMessage": {"type": 14, "editedMessage": HELLO}}, "names no message"
    ),
    silent("a vote", {"pollUpdateMessage": {"pollCreationMessageKey": {"id": TARGET}}}, "a vote"),
    silent("keys of a group", {"senderKeyDistributionMessage": {"groupId": GROUP}}, "only keys"),
    Sample(
        "not decrypted yet",
        envelope(
            "messages.upsert",
            {
                "messages": message(
                    PRIVATE, {}, messageStubType=2, messageStubParameters=["No session record"]
                )
            },
        ),
        (received(kind="unknown", text=None, is_placeholder=True),),
    ),
    silent("album header", {"albumMessage": {"expectedImageCount": 2}}, "album"),
]

# ------------------------------------------------------------------------------------------ reactions

_ON_OURS = {"id": TARGET, "fromMe": True, "remoteJid": ANN_JID}


def _reacted(name: str, data: Any, *changes: Change) -> Sample:
    return Sample(name, envelope("messages.reaction", data, SENT_S), changes)


REACTIONS = [
    _reacted(
        "an array",
        [{"key": _ON_OURS, "reaction": {"text": "👍", "key": PRIVATE}}],
        reacted("👍"),
    ),
    _reacted(
        "one object",
        {"key": _ON_OURS, "reaction": {"text": "👍", "key": PRIVATE}},
        reacted("👍"),
    ),
    _reacted(
        "a reaction is taken back",
        [{"key": _ON_OURS, "reaction": {"text": "", "key": PRIVATE}}],
        reacted(""),
    ),
    _reacted(
        "our own",
        [{"key": {**PRIVATE, "id": TARGET}, "reaction": {"text": "❤️", "key": MINE}}],
        reacted("❤️", Origin(ANN_JID, is_me=True)),
    ),
    _reacted(
        "only the target is named",
        [{"key": _ON_OURS, "reaction": {"text": "👍", "key": _ON_OURS}}],
        reacted("👍"),
    ),
    _reacted(
        "in a group",
        [
            {
                "key": {**_ON_OURS, "remoteJid": GROUP},
                "reaction": {"text": "👍", "key": {**IN_GROUP, "participant": BOB_JID}},
            }
        ],
        reacted("👍", Origin(GROUP, BOB)),
    ),
    Sample("no key", envelope("messages.reaction", [{"reaction": {"text": "👍"}}]), (), "without key.id"),
]
