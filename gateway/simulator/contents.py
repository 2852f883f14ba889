"""Message objects as Baileys makes them (`conversation`, `imageMessage`, …). Pure, but for random keys of
media.

Two ways in: what a tester writes for an inbound message, and what a client asks `/send-message` to send.
"""

import base64
import secrets
from typing import Any

from gateway.simulator import identity

MEDIA_TYPES = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "document": "application/pdf",
    "sticker": "image/webp",
}
_EXTENSIONS = {"image": "jpg", "video": "mp4", "audio": "ogg", "document": "pdf", "sticker": "webp"}
_CAN_HAVE_CAPTION = frozenset({"image", "video", "document"})


class BadContent(ValueError):
    """The text says in one sentence what is wrong."""


def _random(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()


def media(kind: str, wish: Any, caption: str | None = None) -> dict[str, Any]:
    """A media message: an encrypted file on WhatsApp's servers, with the key to it.

    `wish` may override any field.
    """
    details = wish if isinstance(wish, dict) else {}
    content: dict[str, Any] = {
        "url": f"https://mmg.whatsapp.net/v/t62.7118-24/{secrets.token_hex(12)}.enc?ccb=11-4",
        "directPath": f"/v/t62.7118-24/{secrets.token_hex(12)}.enc",
        "mimetype": MEDIA_TYPES[kind],
        "mediaKey": _random(32),
        "fileSha256": _random(32),
        "fileEncSha256": _random(32),
        "fileLength": "12345",
    }
    if kind in ("image", "video"):
        content |= {"height": 1024, "width": 768}
    if kind == "audio":
        content |= {"ptt": True, "seconds": 4}
    if kind == "video":
        content["seconds"] = 8
    if kind == "document":
        content["fileName"] = details.get("fileName", f"document.{_EXTENSIONS[kind]}")
        content["title"] = content["fileName"]
    if caption and kind in _CAN_HAVE_CAPTION:
        content["caption"] = caption
    content |= {name: value for name, value in details.items() if value is not None}
    return {f"{kind}Message": content}


def _context(reply_to: str | None, mentions: list[str] | None) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if reply_to:
        context |= {"stanzaId": reply_to, "quotedMessage": {"conversation": "…"}}
    if mentions:
        context["mentionedJid"] = mentions
    return context


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


def inbound(spec: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The message object of an inbound message, and its text (`messageBody`). Raises BadContent."""
    words = spec.get("text")
    if words is not None and not isinstance(words, str):
        raise BadContent("text must be a string.")
    if isinstance(spec.get("message"), dict):
        return spec["message"], words
    kind = next((name for name in MEDIA_TYPES if spec.get(name)), None)
    special = _special(spec)
    if kind:
        message = media(kind, spec[kind], words)
    elif special:
        message = special
    elif words is not None:
        message = text(words, _context(spec.get("reply_to"), spec.get("mentions")))
    else:
        wanted = ", ".join(("text", *MEDIA_TYPES, "location", "contact", "poll", "message"))
        raise BadContent(f"An inbound message needs one of {wanted}.")
    if spec.get("view_once"):
        message = {"viewOnceMessageV2": {"message": message}}
    if spec.get("ephemeral"):
        message = {"ephemeralMessage": {"message": message}}
    return message, words


def outbound(request: dict[str, Any]) -> dict[str, Any]:
    """The message object of a `/send-message` request that has been checked. Raises BadContent."""
    words = request.get("text")
    for kind in MEDIA_TYPES:
        url = request.get(f"{kind}Url")
        if url:
            details = {"fileName": request.get("fileName")} if kind == "document" else {}
            message = media(kind, details, words)
            return {"viewOnceMessageV2": {"message": message}} if request.get("viewOnce") else message
    return _special(request) or text(str(words or ""), _context(None, request.get("mentions")))
