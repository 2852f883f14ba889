"""Samples: messages of all kinds but those of businesses."""

from typing import Any

from gateway.domain.message import MessageType

Says = tuple[str, dict[str, Any], MessageType, str | None]
"""Name, message, and the type and the words it has."""

FILE = "https://mmg.whatsapp.net/v/t62/7.enc"
_CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\n{}\r\nEND:VCARD"

# Every field of WAProto's Message, as the public protocol definition of August 2026 lists them.
_NAMES = """
conversation senderKeyDistributionMessage imageMessage contactMessage locationMessage extendedTextMessage
documentMessage audioMessage videoMessage call chat protocolMessage contactsArrayMessage
highlyStructuredMessage fastRatchetKeySenderKeyDistributionMessage sendPaymentMessage liveLocationMessage
requestPaymentMessage declinePaymentRequestMessage cancelPaymentRequestMessage templateMessage
stickerMessage groupInviteMessage templateButtonReplyMessage productMessage deviceSentMessage
messageContextInfo listMessage viewOnceMessage orderMessage listResponseMessage ephemeralMessage
invoiceMessage buttonsMessage buttonsResponseMessage paymentInviteMessage interactiveMessage
reactionMessage stickerSyncRmrMessage interactiveResponseMessage pollCreationMessage pollUpdateMessage
keepInChatMessage documentWithCaptionMessage requestPhoneNumberMessage viewOnceMessageV2
encReactionMessage editedMessage viewOnceMessageV2Extension pollCreationMessageV2
scheduledCallCreationMessage groupMentionedMessage pinInChatMessage pollCreationMessageV3
scheduledCallEditMessage ptvMessage botInvokeMessage callLogMesssage messageHistoryBundle
encCommentMessage bcallMessage lottieStickerMessage eventMessage encEventResponseMessage commentMessage
newsletterAdminInviteMessage placeholderMessage secretEncryptedMessage albumMessage eventCoverImage
stickerPackMessage statusMentionMessage pollResultSnapshotMessage pollCreationOptionImageMessage
associatedChildMessage groupStatusMentionMessage pollCreationMessageV4 statusAddYours groupStatusMessage
richResponseMessage statusNotificationMessage limitSharingMessage botTaskMessage questionMessage
messageHistoryNotice groupStatusMessageV2 botForwardedMessage statusQuestionAnswerMessage
questionReplyMessage questionResponseMessage statusQuotedMessage statusStickerInteractionMessage
pollCreationMessageV5 newsletterFollowerInviteMessageV2 pollResultSnapshotMessageV3
newsletterAdminProfileMessage spoilerMessage pollCreationMessageV6 conditionalRevealMessage
pollAddOptionMessage eventInviteMessage groupRootKeyShare paymentReminderMessage splitPaymentMessage
newsletterAdminProfileStatusMessage rootSecretDistributeMessage splitPaymentUpdateMessage musicMessage
statusLinkPreviewMetadata botPlatformRegistrationSuccessMessage
"""
FIELDS = _NAMES.split()


PEOPLE: list[Says] = [
    (
        "an order",
        {
            "orderMessage": {
                "orderTitle": "Two lamps",
                "itemCount": 2,
                "totalAmount1000": 39980,
                "totalCurrencyCode": "EUR",
                "message": "Gift wrap, please",
            }
        },
        "order",
        "Two lamps\n2 items · 39.98 EUR\nGift wrap, please",
    ),
    (
        "an order with a 64-bit total and bytes for a picture",
        {
            "orderMessage": {
                "orderId": "5501",
                "itemCount": 1,
                "thumbnail": {"0": 255, "1": 216},
                "totalAmount1000": {"low": 1500, "high": 0, "unsigned": False},
                "totalCurrencyCode": "USD",
            }
        },
        "order",
        "Order 5501\n1 item · 1.50 USD",
    ),
    (
        "an order without a price",
        {"orderMessage": {"orderTitle": "Lamp", "itemCount": "1", "totalAmount1000": 0}},
        "order",
        "Lamp\n1 item",
    ),
    ("an order that says nothing", {"orderMessage": {}}, "order", "Order"),
    (
        "a product",
        {
            "productMessage": {
                "product": {
                    "title": "Kettle",
                    "description": "1.7 l",
                    "currencyCode": "GBP",
                    "priceAmount1000": "24500",
                    "salePriceAmount1000": 19900,
                },
                "body": "In red?",
            }
        },
        "product",
        "Kettle\n19.90 GBP\n1.7 l\nIn red?",
    ),
    (
        "a catalogue",
        {"productMessage": {"catalog": {"title": "Spring", "description": "All"}}},
        "product",
        "Spring\nAll",
    ),
    (
        "a payment",
        {"sendPaymentMessage": {"noteMessage": {"conversation": "for May"}}},
        "payment",
        "Payment\nfor May",
    ),
    (
        "a request for money",
        {
            "requestPaymentMessage": {
                "amount": {"value": "1250000", "offset": 1000, "currencyCode": "INR"},
                "noteMessage": {"extendedTextMessage": {"text": "rent"}},
            }
        },
        "payment",
        "Payment request: 1250.00 INR\nrent",
    ),
    (
        "a request for money in thousandths",
        {"requestPaymentMessage": {"currencyCodeIso4217": "BRL", "amount1000": 5000}},
        "payment",
        "Payment request: 5.00 BRL",
    ),
    (
        "a declined request",
        {"declinePaymentRequestMessage": {"key": {"id": "1"}}},
        "payment",
        "The payment request was declined",
    ),
    (
        "a cancelled request",
        {"cancelPaymentRequestMessage": {}},
        "payment",
        "The payment request was cancelled",
    ),
    ("an invoice", {"invoiceMessage": {"note": "No. 88"}}, "payment", "Invoice\nNo. 88"),
    (
        "an invitation to pay",
        {"paymentInviteMessage": {"serviceType": "UPI"}},
        "payment",
        "Invitation to pay through WhatsApp: UPI",
    ),
    (
        "a shared payment",
        {
            "splitPaymentMessage": {
                "totalAmount": {"value": 90000, "offset": 1000, "currencyCode": "INR"},
                "description": "Taxi",
            }
        },
        "payment",
        "Shared payment: 90.00 INR\nTaxi",
    ),
    (
        "a reminder to pay",
        {"paymentReminderMessage": {"description": "Loan"}},
        "payment",
        "Payment reminder\nLoan",
    ),
    (
        "an event",
        {
            "eventMessage": {
                "name": "Opening",
                "startTime": "1924992000",
                "location": {"name": "Hall 2", "degreesLatitude": 1.5, "degreesLongitude": 2.5},
                "description": "Come",
                "joinLink": "https://call.example/x",
            }
        },
        "event",
        "Opening\n2031-01-01 00:00 UTC\nHall 2\n1.5,2.5\nCome\nhttps://call.example/x",
    ),
    (
        "a cancelled event",
        {"eventMessage": {"name": "Opening", "isCanceled": True}},
        "event",
        "Cancelled: Opening",
    ),
    (
        "an invitation to an event",
        {"eventInviteMessage": {"eventTitle": "Fair", "caption": "Join us"}},
        "event",
        "Fair\nJoin us",
    ),
    (
        "a comment",
        {"commentMessage": {"message": {"conversation": "Well said"}, "targetMessageKey": {"id": "9"}}},
        "text",
        "Well said",
    ),
    (
        "a comment with a picture",
        {"commentMessage": {"message": {"imageMessage": {"url": FILE, "caption": "like so"}}}},
        "image",
        "like so",
    ),
    (
        "a poll, fifth version",
        {"pollCreationMessageV5": {"name": "When?", "options": [{"optionName": "Mon"}]}},
        "poll",
        "When?\n• Mon",
    ),
    (
        "a poll in an envelope",
        {
            "pollCreationMessageV4": {
                "message": {"pollCreationMessage": {"name": "When?", "options": [{"optionName": "Tue"}]}}
            }
        },
        "poll",
        "When?\n• Tue",
    ),
    ("a poll, fourth version bare", {"pollCreationMessageV4": {"name": "Who?"}}, "poll", "Who?"),
    (
        "results of a poll",
        {
            "pollResultSnapshotMessage": {
                "name": "When?",
                "pollVotes": [{"optionName": "Mon", "optionVoteCount": "3"}, {"optionName": "Tue"}],
            }
        },
        "poll",
        "When?\n• Mon: 3 votes\n• Tue: 0 votes",
    ),
    (
        "a contact without a name",
        {"contactMessage": {"vcard": _CARD.format("FN:Ivo Tile\r\ntel;type=cell:+420 601 111 222")}},
        "contact",
        "Ivo Tile\n+420 601 111 222",
    ),
    (
        "a card escaped once too often",
        {"contactMessage": {"vcard": "BEGIN:VCARD\\nFN:Ivo\\nTEL:1111111\\nEND:VCARD"}},
        "contact",
        "Ivo\n1111111",
    ),
    (
        "a contact's number as a link",
        {"contactMessage": {"vcard": _CARD.format("N:Tile;Ivo;;;\nitem2.TEL;VALUE=uri:tel:+420601")}},
        "contact",
        "Ivo Tile\n+420601",
    ),
    (
        "a contact's number only in waid",
        {"contactMessage": {"vcard": _CARD.format("FN:Ivo\nTEL;waid=420601111222:")}},
        "contact",
        "Ivo\n+420601111222",
    ),
    (
        "a folded card",
        {"contactMessage": {"vcard": _CARD.format("FN:Ivo\n  Tile\\, Ltd\nTEL:+4\n 20601")}},
        "contact",
        "Ivo Tile, Ltd\n+420601",
    ),
    (
        "a card in quoted printable",
        {
            "contactMessage": {
                "vcard": _CARD.format("FN;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:J=C3=BCrgen\nTEL:1234567")
            }
        },
        "contact",
        "Jürgen\n1234567",
    ),
    (
        "a card with an address only",
        {"contactMessage": {"displayName": "Ivo", "vcard": _CARD.format("EMAIL:ivo@tile.example")}},
        "contact",
        "Ivo\nivo@tile.example",
    ),
    (
        "a card with a photo",
        {
            "contactMessage": {
                "displayName": "Ivo",
                "vcard": _CARD.format("PHOTO:" + "A" * 5000 + "\nTEL:7654321"),
            }
        },
        "contact",
        "Ivo\n7654321",
    ),
    (
        "several people in one card",
        {
            "contactMessage": {
                "displayName": "2",
                "vcard": _CARD.format("FN:Ivo\nTEL:1111111") + "\n" + _CARD.format("FN:Eva\nTEL:2222222"),
            }
        },
        "contact",
        "Ivo\n1111111\nEva\n2222222",
    ),
    (
        "several cards",
        {
            "contactsArrayMessage": {
                "displayName": "2 people",
                "contacts": [{"vcard": _CARD.format("FN:Ivo\nTEL:1111111")}, {"displayName": "Eva"}],
            }
        },
        "contact",
        "Ivo\n1111111\nEva",
    ),
    ("a contact that says nothing", {"contactMessage": {}}, "contact", "Contact"),
    (
        "a place in texts",
        {"locationMessage": {"name": "Pier", "degreesLatitude": "54.32", "degreesLongitude": "10.14"}},
        "location",
        "Pier\n54.32,10.14",
    ),
    (
        "a place that is none",
        {"locationMessage": {"degreesLatitude": "here", "degreesLongitude": None}},
        "location",
        "Location",
    ),
    (
        "a moving place",
        {"liveLocationMessage": {"degreesLatitude": 0, "degreesLongitude": 10, "caption": "on my way"}},
        "location",
        "on my way\n0,10",
    ),
    (
        "a pack of stickers",
        {"stickerPackMessage": {"name": "Cats", "publisher": "Mia", "stickers": [], "caption": "haha"}},
        "text",
        "Stickers: Cats · Mia\nhaha",
    ),
    (
        "an invitation to a group",
        {"groupInviteMessage": {"groupName": "Divers", "caption": "come", "inviteCode": "x"}},
        "text",
        "Invitation to the group Divers\ncome",
    ),
    (
        "an invitation to manage a channel",
        {"newsletterAdminInviteMessage": {"newsletterName": "Tides"}},
        "text",
        "Invitation to manage the channel Tides",
    ),
    (
        "an invitation to a channel",
        {"newsletterFollowerInviteMessageV2": {"newsletterName": "Tides"}},
        "text",
        "Invitation to the channel Tides",
    ),
    ("a request for the number", {"requestPhoneNumberMessage": {}}, "text", "Asks for your phone number"),
    (
        "an answer to a question",
        {"questionResponseMessage": {"key": {"id": "1"}, "text": "Blue"}},
        "text",
        "Blue",
    ),
    (
        "an answer of a bot",
        {
            "richResponseMessage": {
                "submessages": [
                    {"messageText": "Sure"},
                    {"codeMetadata": {"codeBlocks": [{"codeContent": "x = 1"}]}},
                ]
            }
        },
        "text",
        "Sure\nx = 1",
    ),
    (
        "music",
        {
            "musicMessage": {
                "embeddedMusic": {"title": "Sea", "author": "Mia"},
                "songUri": "https://m.example/1",
            }
        },
        "text",
        "Sea · Mia\nhttps://m.example/1",
    ),
    (
        "a link without a text",
        {"extendedTextMessage": {"text": "", "title": "Tides", "matchedText": "https://t.example"}},
        "text",
        "Tides\nhttps://t.example",
    ),
    ("a call that is offered", {"call": {"callKey": "AAAA"}}, "call", "Call"),
    (
        "a missed call of the log",
        {"callLogMesssage": {"isVideo": True, "callOutcome": "MISSED"}},
        "call",
        "Missed video call",
    ),
    (
        "a call of the log",
        {"callLogMesssage": {"callOutcome": 0, "durationSecs": "75"}},
        "call",
        "Voice call · 1:15",
    ),
    (
        "a planned call",
        {
            "scheduledCallCreationMessage": {
                "title": "Review",
                "callType": 2,
                "scheduledTimestampMs": "1924992000000",
            }
        },
        "call",
        "Planned video call: Review\n2031-01-01 00:00 UTC",
    ),
    (
        "a mention in a status",
        {"statusMentionMessage": {"message": {"protocolMessage": {"type": 25}}}},
        "text",
        "Mentioned you in a status",
    ),
    (
        "a kind of tomorrow, with words",
        {"tomorrowMessage": {"title": "New", "inner": {"text": "words"}, "size": 3}},
        "unknown",
        "New\nwords",
    ),
    (
        "a file name without a caption",
        {"documentMessage": {"url": FILE, "fileName": "a.pdf"}},
        "document",
        "a.pdf",
    ),
]
