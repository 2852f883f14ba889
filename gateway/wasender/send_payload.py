"""A message as `POST /send-message` takes it: one endpoint for all kinds, with fields of its own names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.media import MediaKind
from gateway.domain.message import is_lid, phone_of
from gateway.domain.send_content import Content

_WITHOUT_TEXT = frozenset({"audio", "sticker"})


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that lies at upstream, ready to be sent."""

    kind: MediaKind
    url: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class QuotedOwn:
    """An own send is quoted by upstream's number of it."""

    msg_id: int


@dataclass(frozen=True, slots=True)
class QuotedOther:
    """A message of another is quoted by both objects of its webhook, whole and unchanged."""

    key: Mapping[str, Any]
    message: Mapping[str, Any]


Quoted = QuotedOwn | QuotedOther | None


def file_field(kind: str) -> str:
    """The field in which upstream takes the address of a file of this kind."""
    return f"{kind}Url"


class TextNotPossible(ValueError):
    """This kind of file is sent without a text."""


def payload_of(
    chat: str, content: Content, file: UploadedFile | None = None, quoted: Quoted = None
) -> dict[str, Any]:
    """The request's body. `chat` is a JID; what is quoted of another decides the address by itself.

    Raises TextNotPossible for a voice note or a sticker with a text: upstream would drop it.
    """
    body: dict[str, Any] = {"to": recipient(chat)}
    if content.text is not None:
        body["text"] = content.text
    if file is not None:
        if content.text is not None and file.kind in _WITHOUT_TEXT:
            raise TextNotPossible(file.kind)
        body[file_field(file.kind)] = file.url
        if file.kind == "document" and file.name:
            body["fileName"] = file.name
    if content.location is not None:
        place = content.location
        told = {"latitude": place.latitude, "longitude": place.longitude, "name": place.name}
        told |= {"address": place.address}
        body["location"] = {name: value for name, value in told.items() if value is not None}
    if content.contact is not None:
        body["contact"] = {"name": content.contact.name, "phone": f"+{content.contact.phone}"}
    if content.mentions:
        body["mentions"] = list(content.mentions)
    match quoted:
        case QuotedOwn():
            body["replyTo"] = quoted.msg_id
        case QuotedOther():
            # Upstream refuses a rebuilt one, and one that goes to another address of the same person.
            body["replyToObject"] = {"key": dict(quoted.key), "message": dict(quoted.message)}
            body["to"] = quoted.key["remoteJid"]
    return body


def recipient(chat: str) -> str:
    """A chat as upstream's `to`: a phone with its `+`, everything else by its JID."""
    phone = None if is_lid(chat) else phone_of(chat)
    return f"+{phone}" if phone else chat
