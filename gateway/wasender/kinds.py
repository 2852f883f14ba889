"""Every field of WAProto's `Message`, and what a reader gets of it: a decision for each.

`KINDS` are shown, `SILENT` are no messages (they change another one, or speak to devices), `PLACEHOLDERS` say that
the content stands only on the phone. Baggage and envelopes are in `wrappers.py`. A field that is in none of them is
shown as `unknown`, with whatever words can be found in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.domain.message import MessageType
from gateway.wasender.texts import business, calls, cards, commerce, social
from gateway.wasender.texts.lines import flag
from gateway.wasender.values import text_at

TextOf = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """`otherwise` is said where the payload has no words; `is_composed` where the text is put together from several."""

    type: MessageType
    text: TextOf
    otherwise: str | TextOf | None = None
    is_composed: bool = True

    def words_for(self, part: Any) -> str | None:
        """What is said of a part that has no words of its own."""
        return self.otherwise(part) if callable(self.otherwise) else self.otherwise


def _plain(part: Any) -> str | None:
    return part if isinstance(part, str) else None


def _no_text(_: Any) -> None:
    return None


def _caption(part: Any) -> str | None:
    return text_at(part, "caption")


def _document(part: Any) -> str | None:
    return text_at(part, "caption", "fileName", "title")


def _reaction(part: Any) -> str:
    """The emoji; empty when a reaction was taken back."""
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def _media(media_type: MessageType, text: TextOf = _caption, otherwise: str | TextOf | None = None) -> Kind:
    return Kind(media_type, text, otherwise, is_composed=False)


def _sound(part: Any) -> str:
    return "Voice message" if flag(part, "ptt") else "Audio"


_POLL = Kind("poll", cards.poll, "Poll")
_POLL_RESULTS = Kind("poll", cards.poll_results, "Results of a poll")
_CHANNEL_INVITE = Kind("text", cards.channel_invite)

KINDS: dict[str, Kind] = {
    "conversation": Kind("text", _plain, is_composed=False),
    "extendedTextMessage": Kind("text", social.link, is_composed=False),
    "imageMessage": _media("image"),
    "videoMessage": _media("video"),
    "ptvMessage": _media("video", otherwise="Video message"),
    "audioMessage": _media("audio", _no_text, _sound),
    "documentMessage": _media("document", _document, "Document"),
    "stickerMessage": _media("sticker", _no_text, "Sticker"),
    "stickerPackMessage": Kind("text", cards.sticker_pack),
    "locationMessage": Kind("location", cards.location, "Location"),
    "liveLocationMessage": Kind("location", cards.location, "Live location"),
    "contactMessage": Kind("contact", cards.contact, "Contact"),
    "contactsArrayMessage": Kind("contact", cards.contacts, "Contacts"),
    "pollCreationMessage": _POLL,
    "pollCreationMessageV2": _POLL,
    "pollCreationMessageV3": _POLL,
    "pollCreationMessageV4": _POLL,
    "pollCreationMessageV5": _POLL,
    "pollCreationMessageV6": _POLL,
    "pollResultSnapshotMessage": _POLL_RESULTS,
    "pollResultSnapshotMessageV3": _POLL_RESULTS,
    "eventMessage": Kind("event", cards.event, "Event"),
    "eventInviteMessage": Kind("event", cards.event, "Invitation to an event"),
    "reactionMessage": Kind("reaction", _reaction, is_composed=False),
    # Commerce.
    "orderMessage": Kind("order", commerce.call, "Order"),
    "productMessage": Kind("product", commerce.product, "Product"),
    **{name: Kind("payment", text, "Payment") for name, text in commerce.TEXTS.items()},
    # What a business sends, and the answers to it, read as the text they show.
    "buttonsMessage": Kind("text", business.buttons, "Buttons"),
    "listMessage": Kind("text", business.listed, "List"),
    "templateMessage": Kind("text", business.template, "Template"),
    "highlyStructuredMessage": Kind("text", business.structured, "Template"),
    "interactiveMessage": Kind("text", business.interactive, "Interactive message"),
    "buttonsResponseMessage": Kind("text", business.button_answer, "A button was tapped"),
    "templateButtonReplyMessage": Kind("text", business.button_answer, "A button was tapped"),
    "listResponseMessage": Kind("text", business.list_answer, "A row was chosen"),
    "interactiveResponseMessage": Kind("text", business.interactive_answer, "An answer was chosen"),
    # Calls.
    "call": Kind("call", calls.call),
    "callLogMesssage": Kind("call", calls.call_log),  # sic: WAProto spells it so
    "callLogMessage": Kind("call", calls.call_log),
    "bcallMessage": Kind("call", calls.business_call),
    "scheduledCallCreationMessage": Kind("call", calls.planned_call),
    "scheduledCallEditMessage": Kind("call", calls.planned_call_changed),
    # Invitations, questions, statuses, bots.
    "groupInviteMessage": Kind("text", cards.group_invite),
    "newsletterAdminInviteMessage": Kind("text", cards.channel_admin_invite),
    "newsletterFollowerInviteMessage": _CHANNEL_INVITE,
    "newsletterFollowerInviteMessageV2": _CHANNEL_INVITE,
    "requestPhoneNumberMessage": Kind("text", _no_text, "Asks for your phone number"),
    "questionResponseMessage": Kind("text", social.said, "Answer to a question"),
    "statusQuestionAnswerMessage": Kind("text", social.said, "Answer to a question in a status"),
    "statusQuotedMessage": Kind("text", social.said, "Answer to a status"),
    "richResponseMessage": Kind("text", social.bot_answer, "Answer of a bot"),
    "musicMessage": Kind("text", cards.music, "Music"),
}

WITH_FILE = frozenset(
    {"imageMessage", "videoMessage", "ptvMessage", "audioMessage", "documentMessage", "stickerMessage"}
)
"""Kinds that are a file: without an address of it they came without their content."""

MENTIONS = {
    "statusMentionMessage": "Mentioned you in a status",
    "groupStatusMentionMessage": "Mentioned the group in a status",
}
"""Envelopes that say something by themselves: inside them stands only a word between devices."""

SILENT = {
    "protocolMessage": "a message about another one",
    "pollUpdateMessage": "a vote in a poll",
    "pollAddOptionMessage": "an option added to a poll",
    "encReactionMessage": "a reaction that only the phone can read",
    "encCommentMessage": "a comment that only the phone can read",
    "encEventResponseMessage": "an answer to an event",
    "secretEncryptedMessage": "a change that only the phone can read",
    "keepInChatMessage": "a message was kept in its chat",
    "pinInChatMessage": "a message was pinned",
    "albumMessage": "the header of an album; its pictures come by themselves",
    "messageHistoryBundle": "history for a new member of a group",
    "messageHistoryNotice": "history for a new member of a group",
    "statusNotificationMessage": "a notice about a status",
    "statusStickerInteractionMessage": "a reaction to a status",
    "stickerSyncRmrMessage": "stickers, between devices",
    "chat": "a chat, between devices",
}
"""No rows of their own, with the reason in words."""

PLACEHOLDERS = frozenset({"placeholderMessage", "conditionalRevealMessage"})
"""Fields that stand in place of a content that this device does not get, or not yet."""
