"""Samples: where in a body a message stands, who wrote it in which chat, and when."""

from tests.unit.wasender.payload_parts import (
    ANN,
    ANN_JID,
    ANN_LID,
    AT,
    AT_MS,
    BOB,
    BOB_JID,
    BOB_LID,
    CHANNEL,
    GROUP,
    HELLO,
    ID,
    IN_GROUP,
    MINE,
    NOW,
    PRIVATE,
    SENT_MS,
    SENT_S,
    STATUS,
    TARGET,
    Sample,
    envelope,
    incoming,
    message,
    received,
    sent,
    timed,
)

# ------------------------------------------------------------------------------------------ where it stands

CONTAINERS = [
    Sample(
        "received, one object", envelope("messages.received", {"messages": message(PRIVATE)}), (received(),)
    ),
    Sample(
        "received, an array", envelope("messages.received", {"messages": [message(PRIVATE)]}), (received(),)
    ),
    Sample("received, data holds the key", envelope("messages.received", message(PRIVATE)), (received(),)),
    Sample("received, data is the array", envelope("messages.received", [message(PRIVATE)]), (received(),)),
    Sample(
        "personal split",
        envelope("messages-personal.received", {"messages": message(PRIVATE)}),
        (received(),),
    ),
    Sample(
        "personal split, array",
        envelope("messages-personal.received", {"messages": [message(PRIVATE)]}),
        (received(),),
    ),
    Sample("upsert, one object", envelope("messages.upsert", {"messages": message(PRIVATE)}), (received(),)),
    Sample(
        "upsert, an array of two",
        envelope("messages.upsert", {"messages": [message(PRIVATE), message({**PRIVATE, "id": TARGET})]}),
        (received(), received(key_id=TARGET)),
    ),
    Sample(
        "upsert, a list written as an object",
        envelope(
            "messages.upsert", {"messages": {"0": message(PRIVATE), "1": message({**PRIVATE, "id": TARGET})}}
        ),
        (received(), received(key_id=TARGET)),
    ),
    Sample(
        "upsert, elements by their ids",
        envelope("messages.upsert", {"messages": {PRIVATE["id"]: message(PRIVATE)}}),
        (received(),),
    ),
    Sample(
        "upsert, a list written as an object is the data",
        envelope("messages.upsert", {"0": message(PRIVATE)}),
        (received(),),
    ),
    Sample(
        "received, `message` holds the key",
        envelope("messages.received", {"message": message(PRIVATE)}),
        (received(),),
    ),
    Sample("upsert, data holds the key", envelope("messages.upsert", message(PRIVATE)), (received(),)),
    Sample(
        "upsert, one bad element spoils only itself",
        envelope("messages.upsert", {"messages": [message(PRIVATE), 7, message({**PRIVATE, "id": TARGET})]}),
        (received(), received(key_id=TARGET)),
        "element 2: a message without key.id",
    ),
    Sample(
        "a split that does not exist yet",
        envelope("messages-status.received", {"messages": message(PRIVATE)}),
        (received(),),
    ),
    Sample(
        "received, no key",
        envelope("messages.received", {"messages": {"message": HELLO}}),
        (),
        "without key.id",
    ),
    Sample(
        "received, no chat",
        envelope("messages.received", {"messages": {"key": {"id": ID}}}),
        (),
        "without remoteJid",
    ),
    Sample("received, empty data", envelope("messages.received", {}), (), "nothing in it"),
    Sample("received, data is null", envelope("messages.received", None), (), "nothing in it"),
    Sample("received, data is text", envelope("messages.received", "hello"), (), "nothing in it"),
    Sample("received, empty array", envelope("messages.received", {"messages": []}), (), "nothing in it"),
]

# ------------------------------------------------------------------------------------------ who and where

_DOCUMENTED_LID = {
    "id": ID, "fromMe": False, "remoteJid": ANN_LID, "addressingMode": "lid",
    "senderPn": ANN_JID, "cleanedSenderPn": ANN, "senderLid": ANN_LID,
}  # fmt: skip

PARTIES = [
    incoming("a phone number", PRIVATE, received(push_name="Ann"), pushName="Ann"),
    incoming(
        "a phone number with a device part", {**PRIVATE, "remoteJid": f"{ANN}:12@s.whatsapp.net"}, received()
    ),
    incoming("a number of a hosted business", {**PRIVATE, "remoteJid": f"{ANN}:99@hosted"}, received()),
    incoming(
        "a number with an agent part", {**PRIVATE, "remoteJid": f"{ANN}_1:2@s.whatsapp.net"}, received()
    ),
    incoming("the old server name", {**PRIVATE, "remoteJid": f"{ANN}@c.us"}, received()),
    incoming("a LID with the number beside it", _DOCUMENTED_LID, received(sender_lid=ANN_LID)),
    incoming(
        "a LID, number only cleaned",
        {**PRIVATE, "remoteJid": ANN_LID, "cleanedSenderPn": ANN},
        received(sender_lid=ANN_LID),
    ),
    incoming(
        "a LID, number only with server",
        {**PRIVATE, "remoteJid": ANN_LID, "senderPn": ANN_JID},
        received(sender_lid=ANN_LID),
    ),
    incoming(
        "a LID, number as the other JID",
        {**PRIVATE, "remoteJid": ANN_LID, "remoteJidAlt": ANN_JID},
        received(sender_lid=ANN_LID),
    ),
    incoming(
        "a number, LID as the other JID", {**PRIVATE, "remoteJidAlt": ANN_LID}, received(sender_lid=ANN_LID)
    ),
    incoming(
        "a number, LID as the sender's", {**PRIVATE, "senderLid": ANN_LID}, received(sender_lid=ANN_LID)
    ),
    incoming("only a LID", {**PRIVATE, "remoteJid": ANN_LID}, received(ANN_LID, ANN_LID, sender_lid=ANN_LID)),
    incoming(
        "only a LID, nulls where the number should be",
        {**PRIVATE, "remoteJid": ANN_LID, "senderPn": None, "cleanedSenderPn": None},
        received(ANN_LID, ANN_LID, sender_lid=ANN_LID),
    ),
    incoming(
        "a LID disguised as a cleaned number",
        {**PRIVATE, "remoteJid": ANN_LID, "cleanedSenderPn": ANN_LID.partition("@")[0]},
        received(ANN_LID, ANN_LID, sender_lid=ANN_LID),
    ),
    incoming(
        "number beside the key",
        {**PRIVATE, "remoteJid": ANN_LID},
        received(sender_lid=ANN_LID),
        senderPn=ANN_JID,
    ),
    Sample(
        "group, number and LID",
        envelope(
            "messages-group.received",
            {
                "messages": message(
                    {
                        **IN_GROUP,
                        "participant": BOB_LID,
                        "participantPn": BOB_JID,
                        "cleanedParticipantPn": BOB,
                        "participantLid": BOB_LID,
                        "addressingMode": "lid",
                    }
                )
            },
        ),
        (received(GROUP, BOB, sender_lid=BOB_LID),),
    ),
    Sample(
        "group, an array",
        envelope("messages-group.received", {"messages": [message({**IN_GROUP, "participant": BOB_JID})]}),
        (received(GROUP, BOB),),
    ),
    incoming(
        "group, only the participant",
        {**IN_GROUP, "participant": f"{BOB}:3@s.whatsapp.net"},
        received(GROUP, BOB),
    ),
    incoming("group, participant beside the key", IN_GROUP, received(GROUP, BOB), participant=BOB_JID),
    incoming(
        "group, number as the other participant",
        {**IN_GROUP, "participant": BOB_LID, "participantAlt": BOB_JID},
        received(GROUP, BOB, sender_lid=BOB_LID),
    ),
    incoming(
        "group, only a LID",
        {**IN_GROUP, "participant": BOB_LID},
        received(GROUP, BOB_LID, sender_lid=BOB_LID),
    ),
    incoming("group, nobody named", IN_GROUP, received(GROUP, GROUP)),
    Sample(
        "channel",
        envelope("messages-newsletter.received", {"messages": message({**IN_GROUP, "remoteJid": CHANNEL})}),
        (received(CHANNEL, CHANNEL),),
    ),
    Sample(
        "channel, an array",
        envelope("messages-newsletter.received", {"messages": [message({**IN_GROUP, "remoteJid": CHANNEL})]}),
        (received(CHANNEL, CHANNEL),),
    ),
    incoming(
        "somebody's status", {**PRIVATE, "remoteJid": STATUS, "participant": BOB_JID}, received(STATUS, BOB)
    ),
    Sample("mine, upsert", envelope("messages.upsert", {"messages": message(MINE)}), (sent(),)),
    Sample("mine, upsert array", envelope("messages.upsert", {"messages": [message(MINE)]}), (sent(),)),
    incoming("mine, received", MINE, sent()),
    incoming("mine, to a LID", {**MINE, "remoteJid": ANN_LID}, sent(ANN_LID, ANN_LID)),
    incoming(
        "mine, to a LID with its number",
        {**MINE, "remoteJid": ANN_LID, "remoteJidAlt": ANN_JID},
        sent(lid=ANN_LID),
    ),
    incoming(
        "mine, the sender is us",
        {**MINE, "remoteJid": ANN_LID, "senderPn": BOB_JID, "senderLid": BOB_LID},
        sent(ANN_LID, ANN_LID),
    ),
    incoming(
        "mine, the sender's LID is the chat's",
        {**MINE, "remoteJid": ANN_LID, "senderPn": ANN_JID, "senderLid": ANN_LID},
        sent(lid=ANN_LID),
    ),
    incoming("mine, to a group", {**MINE, "remoteJid": GROUP, "participant": BOB_JID}, sent(GROUP, GROUP)),
    incoming("mine, a status", {**MINE, "remoteJid": STATUS}, sent(STATUS, STATUS)),
]

# ------------------------------------------------------------------------------------------ when

INSTANTS = [
    timed("seconds", SENT_S, AT),
    timed("milliseconds", SENT_MS, AT_MS),
    timed("seconds as text", str(SENT_S), AT),
    timed("milliseconds as text", str(SENT_MS), AT_MS),
    timed("a Long of seconds", {"low": SENT_S, "high": 0, "unsigned": True}, AT),
    timed(
        "a Long of milliseconds",
        {"low": (SENT_MS & 0xFFFFFFFF) - (1 << 32), "high": SENT_MS >> 32, "unsigned": False},
        AT_MS,
    ),
    timed("a Long with halves as text", {"low": str(SENT_S), "high": "0"}, AT),
    timed("beyond the year 9999", 10**17, NOW),
    timed("negative", -5, NOW),
    timed("zero", 0, NOW),
    timed("not a time", "soon", NOW),
    timed("true", True, NOW),
    timed("half a Long", {"low": None, "high": 0}, NOW),
    timed("missing", None, NOW),
    Sample(
        "no time but the envelope's",
        envelope("messages.received", {"messages": {"key": PRIVATE, "message": HELLO}}, SENT_S),
        (received(),),
    ),
    Sample(
        "no time but the envelope's, in milliseconds",
        envelope("messages.received", {"messages": {"key": PRIVATE, "message": HELLO}}, SENT_MS),
        (received(received_at=AT_MS),),
    ),
]
