"""What a WhatsApp message says: its type, its text, its media, out of the engine's nested JSON.

The names are those of WAProto, which WasenderAPI passes through. It documents few of the fields (`url`,
`caption`, `fileName` and the first level of names); the rest is read when it is there and missed by nobody.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.domain.message import MessageType

MAX_WRAPPERS = 10

# Envelopes around the real message, each as {name: {"message": {…}}}.
_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "editedMessage",
    "deviceSentMessage",
    "groupMentionedMessage",
    "lottieStickerMessage",
    "botInvokeMessage",
    "associatedChildMessage",
)

_WRAPPER_NAMES = frozenset(_WRAPPERS)

# Travel with a message, or alone, and say nothing to a reader.
_BAGGAGE = frozenset(
    {"messageContextInfo", "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage"}
)


@dataclass(frozen=True, slots=True)
class Content:
    """`kind` is WAProto's name of the part that was read, `part` that part itself."""

    kind: str
    type: MessageType
    text: str | None = None
    media_url: str | None = None
    part: Any = None


def unwrapped(message: Any) -> dict[str, Any]:
    """The innermost message; `{}` if there is none."""
    inner = message if isinstance(message, dict) else {}
    for _ in range(MAX_WRAPPERS):
        if _WRAPPER_NAMES.isdisjoint(inner):
            break
        for name in _WRAPPERS:
            wrapper = inner.get(name)
            if isinstance(wrapper, dict):
                # An edit inside messages.update holds the new message without a second `message` around it.
                deeper = wrapper.get("message", wrapper)
                inner = deeper if isinstance(deeper, dict) else {}
                break
        else:
            break
    return inner


def content_of(message: dict[str, Any], body_text: Any = None) -> Content | None:
    """The content of an unwrapped message; None if it has none. `body_text` is upstream's `messageBody`."""
    unified = body_text if isinstance(body_text, str) and body_text else None
    for kind, part in message.items():
        read = _KINDS.get(kind)
        if read is None or part is None:
            continue
        message_type, text_of = read
        own = text_of(part)
        url = part.get("url") if isinstance(part, dict) and message_type in _WITH_MEDIA else None
        return Content(
            kind=kind,
            type=message_type,
            text=own if kind == "reactionMessage" else unified or own,
            media_url=url if isinstance(url, str) and url.startswith(("https://", "http://")) else None,
            part=part,
        )
    strange = [kind for kind, part in message.items() if kind not in _BAGGAGE and part is not None]
    if unified is not None:
        return Content(
            kind=strange[0] if strange else "messageBody", type="unknown" if strange else "text", text=unified
        )
    return Content(kind=strange[0], type="unknown", part=message[strange[0]]) if strange else None


def is_only_baggage(message: dict[str, Any]) -> bool:
    """Whether there is something in it, yet nothing for a reader (keys of a group, for example)."""
    return bool(message) and message.keys() <= _BAGGAGE


# ------------------------------------------------------------------------------------------------ texts


def _field(*path: str) -> Callable[[Any], str | None]:
    """The first text found among dotted paths."""

    def read(part: Any) -> str | None:
        for dotted in path:
            value = part
            for name in dotted.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if isinstance(value, str) and value:
                return value
        return None

    return read


def _plain(part: Any) -> str | None:
    return part if isinstance(part, str) else None


def _no_text(_: Any) -> None:
    return None


def _reaction(part: Any) -> str:
    """The emoji; empty when a reaction was taken back."""
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def _location(part: Any) -> str | None:
    """Name, address and coordinates, a line each."""
    if not isinstance(part, dict):
        return None
    lines = [
        part[name]
        for name in ("name", "address", "caption")
        if isinstance(part.get(name), str) and part[name]
    ]
    point = [part.get("degreesLatitude"), part.get("degreesLongitude")]
    if all(isinstance(number, int | float) and not isinstance(number, bool) for number in point):
        lines.append(f"{point[0]},{point[1]}")
    return "\n".join(lines) or None


def _contact(part: Any) -> str | None:
    """The name, and the numbers of the card."""
    if not isinstance(part, dict):
        return None
    name, card = part.get("displayName"), part.get("vcard")
    lines = [name] if isinstance(name, str) and name else []
    if isinstance(card, str):
        lines += [
            number.strip() for number in re.findall(r"^(?:item\d+\.)?TEL[^:\n]*:(.+)$", card, re.MULTILINE)
        ]
    return "\n".join(lines) or None


def _contacts(part: Any) -> str | None:
    cards = part.get("contacts") if isinstance(part, dict) else None
    if not isinstance(cards, list):
        return _contact(part)
    return "\n".join(text for text in map(_contact, cards) if text) or _contact(part)


def _poll(part: Any) -> str | None:
    """The question, and an option per line."""
    if not isinstance(part, dict):
        return None
    question = part.get("name")
    lines = [question] if isinstance(question, str) and question else []
    options = part.get("options")
    for option in options if isinstance(options, list) else ():
        label = option.get("optionName") if isinstance(option, dict) else option
        if isinstance(label, str) and label:
            lines.append("• " + label)
    return "\n".join(lines) or None


_WITH_MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})

_KINDS: dict[str, tuple[MessageType, Callable[[Any], str | None]]] = {
    "conversation": ("text", _plain),
    "extendedTextMessage": ("text", _field("text")),
    "imageMessage": ("image", _field("caption")),
    "videoMessage": ("video", _field("caption")),
    "ptvMessage": ("video", _field("caption")),
    "audioMessage": ("audio", _no_text),
    "documentMessage": ("document", _field("caption", "fileName", "title")),
    "stickerMessage": ("sticker", _no_text),
    "locationMessage": ("location", _location),
    "liveLocationMessage": ("location", _location),
    "contactMessage": ("contact", _contact),
    "contactsArrayMessage": ("contact", _contacts),
    "pollCreationMessage": ("poll", _poll),
    "pollCreationMessageV2": ("poll", _poll),
    "pollCreationMessageV3": ("poll", _poll),
    "pollCreationMessageV5": ("poll", _poll),
    "reactionMessage": ("reaction", _reaction),
    # Answers to buttons and lists of a business, and what a business sends: read as the text they show.
    "buttonsResponseMessage": ("text", _field("selectedDisplayText")),
    "templateButtonReplyMessage": ("text", _field("selectedDisplayText")),
    "listResponseMessage": ("text", _field("title", "description")),
    "interactiveResponseMessage": ("text", _field("body.text")),
    "buttonsMessage": ("text", _field("contentText", "text")),
    "listMessage": ("text", _field("description", "title")),
    "interactiveMessage": ("text", _field("body.text", "header.title")),
    "templateMessage": ("text", _field("hydratedTemplate.hydratedContentText")),
    "groupInviteMessage": ("text", _field("caption", "groupName")),
}
