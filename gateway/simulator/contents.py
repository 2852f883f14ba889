"""Message objects as Baileys makes them (`conversation`, `imageMessage`, …). Pure, but for random keys of
media.

Two ways in: what a tester writes for an inbound message, and what a client asks `/send-message` to send.
"""

import base64
import secrets
from dataclasses import dataclass
from typing import Any

from gateway.simulator import identity, samples

MEDIA_TYPES = tuple(samples.MIMES)
CAN_HAVE_CAPTION = frozenset({"image", "video", "document"})


class BadContent(ValueError):
    """The text says in one sentence what is wrong."""


def elsewhere(kind: str, request: dict[str, Any]) -> dict[str, Any]:
    """A media message whose file upstream took from an address that is not ours: nothing is known of the file."""

    def made_up(size: int) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode()

    content: dict[str, Any] = {
        "url": f"https://mmg.whatsapp.net/v/t62.7118-24/{secrets.token_hex(12)}.enc?ccb=11-4",
        "mimetype": samples.MIMES[kind],
        "mediaKey": made_up(32),
        "fileSha256": made_up(32),
    }
    if kind == "audio":
        content |= {"ptt": True}
    if kind == "document":
        content["fileName"] = request.get("fileName") or "document.pdf"
    if request.get("text") and kind in CAN_HAVE_CAPTION:
        content["caption"] = request["text"]
    return {f"{kind}Message": content}


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that another one answers."""

    key_id: str
    message: dict[str, Any]
    participant: str | None = None

    def context(self) -> dict[str, Any]:
        """What the quoting message says of the quoted one."""
        quoted = {"stanzaId": self.key_id, "quotedMessage": self.message}
        return quoted | ({"participant": self.participant} if self.participant else {})


def _context(quote: Quote | None, mentions: Any) -> dict[str, Any]:
    context = quote.context() if quote else {}
    if isinstance(mentions, list) and mentions:
        context["mentionedJid"] = mentions
    return context


def _with_context(message: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """The same message with a quote or mentions, whatever kind it is."""
    if not context:
        return message
    return {
        kind: {**part, "contextInfo": context} if isinstance(part, dict) else part
        for kind, part in message.items()
    }


def text(body: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
    """A text message; `context` says what it quotes or mentions."""
    if context:
        return {"extendedTextMessage": {"text": body, "contextInfo": context}}
    return {"conversation": body}


def location(wish: dict[str, Any]) -> dict[str, Any]:
    """A location. Raises BadContent without a latitude and a longitude."""
    try:
        content = {"degreesLatitude": float(wish["latitude"]), "degreesLongitude": float(wish["longitude"])}
    except (KeyError, TypeError, ValueError):
        raise BadContent("A location needs latitude and longitude as numbers.") from None
    return {"locationMessage": content | {n: wish[n] for n in ("name", "address") if wish.get(n)}}


def contact(wish: dict[str, Any]) -> dict[str, Any]:
    """A contact card. Raises BadContent without a name and a phone."""
    name, phone = str(wish.get("name", "")), str(wish.get("phone", ""))
    if not name or not phone:
        raise BadContent("A contact needs a name and a phone.")
    number = identity.digits(phone)
    vcard = f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={number}:+{number}\nEND:VCARD"
    return {"contactMessage": {"displayName": name, "vcard": vcard}}


def poll(wish: dict[str, Any]) -> dict[str, Any]:
    """A poll. Raises BadContent without a question and 2 to 12 options."""
    question, options = wish.get("question"), wish.get("options")
    if not question or not isinstance(options, list) or not 2 <= len(options) <= 12:
        raise BadContent("A poll needs a question and 2 to 12 options.")
    return {
        "pollCreationMessageV3": {
            "name": str(question),
            "options": [{"optionName": str(option)} for option in options],
            "selectableOptionsCount": 0 if wish.get("multiSelect") else 1,
        }
    }


def _special(spec: dict[str, Any]) -> dict[str, Any] | None:
    """Contents that are neither text nor media; None if the tester asked for none of them."""
    makers = {"location": location, "contact": contact, "poll": poll}
    for kind, make in makers.items():
        if spec.get(kind) is not None:
            if not isinstance(spec[kind], dict):
                raise BadContent(f"{kind} must be an object.")
            return make(spec[kind])
    return None


def inbound(
    spec: dict[str, Any], prepared: dict[str, Any] | None, quoted: dict[str, Any] | None = None
) -> tuple[dict[str, Any], str | None]:
    """The message object of an inbound message, and its text (`messageBody`). Raises BadContent.

    `prepared` is the message object of its file, if it has one; `quoted` the message that it answers, if that is known.
    """
    words = spec.get("text")
    if words is not None and not isinstance(words, str):
        raise BadContent("text must be a string.")
    if isinstance(spec.get("message"), dict):
        return spec["message"], words
    reply_to = spec.get("reply_to")
    quote = Quote(str(reply_to), quoted or {"conversation": "…"}) if reply_to else None
    context = _context(quote, spec.get("mentions"))
    special = _special(spec)
    if prepared or special:
        message = _with_context(prepared or special or {}, context)
    elif words is not None:
        message = text(words, context)
    else:
        wanted = ", ".join(("text", "media", *MEDIA_TYPES, "location", "contact", "poll", "message"))
        raise BadContent(f"An inbound message needs one of {wanted}.")
    if spec.get("view_once"):
        message = {"viewOnceMessageV2": {"message": message}}
    if spec.get("ephemeral"):
        message = {"ephemeralMessage": {"message": message}}
    return message, words


def outbound(
    request: dict[str, Any], attached: dict[str, Any] | None = None, quote: Quote | None = None
) -> dict[str, Any]:
    """The message object of a `/send-message` request that has been checked. Raises BadContent.

    `attached` is the message object of its file, where the file is known here.
    """
    context = _context(quote, request.get("mentions"))
    for kind in MEDIA_TYPES:
        if request.get(f"{kind}Url"):
            message = _with_context(attached or elsewhere(kind, request), context)
            return {"viewOnceMessageV2": {"message": message}} if request.get("viewOnce") else message
    special = _special(request)
    return _with_context(special, context) if special else text(str(request.get("text") or ""), context)


def kind_of_request(request: dict[str, Any]) -> str:
    """What a `/send-message` request asks to send: a kind of file, `location`, `contact`, `poll`, or `text`."""
    for kind in MEDIA_TYPES:
        if request.get(f"{kind}Url"):
            return kind
    return next((kind for kind in ("location", "contact", "poll") if request.get(kind)), "text")


def unwrapped(message: dict[str, Any]) -> dict[str, Any]:
    """The message inside `viewOnceMessageV2` and its like."""
    for wrapper in ("viewOnceMessageV2", "ephemeralMessage"):
        if isinstance(message.get(wrapper), dict):
            return unwrapped(message[wrapper].get("message", {}))
    return message


def words_of(message: dict[str, Any]) -> str | None:
    """The text of a message, or the caption of its file."""
    inner = unwrapped(message)
    words = inner.get("conversation") or (inner.get("extendedTextMessage") or {}).get("text")
    if words is None:
        parts = [inner.get(f"{kind}Message") for kind in CAN_HAVE_CAPTION]
        words = next(
            (part["caption"] for part in parts if isinstance(part, dict) and part.get("caption")), None
        )
    return words if isinstance(words, str) else None


def reworded(message: dict[str, Any], words: str) -> dict[str, Any]:
    """The message with another text, or another caption."""
    for kind in CAN_HAVE_CAPTION:
        part = message.get(f"{kind}Message")
        if isinstance(part, dict):
            return {**message, f"{kind}Message": {**part, "caption": words}}
    return text(words)
