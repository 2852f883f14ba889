"""The fields of WAProto's messages that a decrypted change can hold, by number.

Written from the public protocol definition; only what becomes text, a kind or a time is named.
"""

from gateway.wasender.protobuf import (
    Field,
    LaterSchema,
    Schema,
    base64_bytes,
    boolean,
    double,
    signed,
    text,
    unsigned,
)

KEY: Schema = {
    1: Field("remoteJid", text),
    2: Field("fromMe", boolean),
    3: Field("id", text),
    4: Field("participant", text),
}

_CONTEXT: Schema = {3: Field("messageSecret", base64_bytes)}

_LOCATION: Schema = {
    1: Field("degreesLatitude", double),
    2: Field("degreesLongitude", double),
    3: Field("name", text),
    4: Field("address", text),
    11: Field("comment", text),
}

_CONTACT: Schema = {1: Field("displayName", text), 16: Field("vcard", text)}

_POLL: Schema = {
    2: Field("name", text),
    3: Field("options", {1: Field("optionName", text)}, is_repeated=True),
    4: Field("selectableOptionsCount", unsigned),
}

_EVENT: Schema = {
    2: Field("isCanceled", boolean),
    3: Field("name", text),
    4: Field("description", text),
    5: Field("location", _LOCATION),
    6: Field("joinLink", text),
    7: Field("startTime", signed),
    8: Field("endTime", signed),
}

_MESSAGE = LaterSchema(lambda: MESSAGE)
_WRAPPER: Schema = {1: Field("message", _MESSAGE)}

_PROTOCOL: Schema = {
    1: Field("key", KEY),
    2: Field("type", signed),
    14: Field("editedMessage", _MESSAGE),
    15: Field("timestampMs", signed),
}

_WRAPPERS = {
    37: "viewOnceMessage",
    40: "ephemeralMessage",
    53: "documentWithCaptionMessage",
    55: "viewOnceMessageV2",
    58: "editedMessage",
    59: "viewOnceMessageV2Extension",
    62: "groupMentionedMessage",
    67: "botInvokeMessage",
    74: "lottieStickerMessage",
    91: "associatedChildMessage",
    93: "pollCreationMessageV4",
    96: "groupStatusMessage",
    101: "questionMessage",
    103: "groupStatusMessageV2",
    106: "questionReplyMessage",
    118: "spoilerMessage",
}

MESSAGE: Schema = {
    1: Field("conversation", text),
    3: Field(
        "imageMessage", {1: Field("url", text), 3: Field("caption", text), 11: Field("directPath", text)}
    ),
    4: Field("contactMessage", _CONTACT),
    5: Field("locationMessage", _LOCATION),
    6: Field(
        "extendedTextMessage",
        {
            1: Field("text", text),
            2: Field("matchedText", text),
            5: Field("description", text),
            6: Field("title", text),
        },
    ),
    7: Field(
        "documentMessage",
        {
            1: Field("url", text),
            3: Field("title", text),
            8: Field("fileName", text),
            10: Field("directPath", text),
            20: Field("caption", text),
        },
    ),
    8: Field("audioMessage", {1: Field("url", text), 9: Field("directPath", text)}),
    9: Field(
        "videoMessage", {1: Field("url", text), 7: Field("caption", text), 13: Field("directPath", text)}
    ),
    12: Field("protocolMessage", _PROTOCOL),
    13: Field(
        "contactsArrayMessage",
        {1: Field("displayName", text), 2: Field("contacts", _CONTACT, is_repeated=True)},
    ),
    18: Field(
        "liveLocationMessage",
        {
            1: Field("degreesLatitude", double),
            2: Field("degreesLongitude", double),
            6: Field("caption", text),
        },
    ),
    26: Field("stickerMessage", {1: Field("url", text), 8: Field("directPath", text)}),
    35: Field("messageContextInfo", _CONTEXT),
    46: Field(
        "reactionMessage",
        {1: Field("key", KEY), 2: Field("text", text), 4: Field("senderTimestampMs", signed)},
    ),
    49: Field("pollCreationMessage", _POLL),
    60: Field("pollCreationMessageV2", _POLL),
    64: Field("pollCreationMessageV3", _POLL),
    66: Field(
        "ptvMessage", {1: Field("url", text), 7: Field("caption", text), 13: Field("directPath", text)}
    ),
    75: Field("eventMessage", _EVENT),
    77: Field("commentMessage", {1: Field("message", _MESSAGE), 2: Field("targetMessageKey", KEY)}),
    111: Field("pollCreationMessageV5", _POLL),
    119: Field("pollCreationMessageV6", _POLL),
    **{number: Field(name, _WRAPPER) for number, name in _WRAPPERS.items()},
}

REACTION: Schema = {1: Field("key", KEY), 2: Field("text", text), 4: Field("senderTimestampMs", signed)}
POLL_VOTE: Schema = {1: Field("selectedOptions", base64_bytes, is_repeated=True)}
POLL_OPTION_ADDED: Schema = {2: Field("addOption", {1: Field("optionName", text)})}
EVENT_ANSWER: Schema = {
    1: Field("response", signed),
    2: Field("timestampMs", signed),
    3: Field("extraGuestCount", signed),
}
