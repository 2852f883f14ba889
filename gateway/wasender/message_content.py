"""What a WhatsApp message says: its type, its text, its media, out of the engine's nested JSON.

The names are those of WAProto, which WasenderAPI passes through. It documents few of the fields (`url`,
`caption`, `fileName` and the first level of names); the rest is read when it is there, and its absence harms nothing.

- `content_in(element)` reads a whole element of a webhook (`{key, message, messageBody, messageStubType, …}`) and
  answers with `Content` or `Nothing`. It tells three things apart: a content; a message that came without its content
  (`Content.is_placeholder`: a listed row of type `unknown` that a later copy fills); and what is no message at all.
- `content_of(message, body_text)` reads an unwrapped message alone, for edits and updates.
- `unwrap`, `unwrapped` (from `wrappers`) take the envelopes off; `Unwrapped.is_edit` says that one was `editedMessage`.
"""

from dataclasses import dataclass, replace
from typing import Any

from gateway.domain.media import MediaFacts
from gateway.domain.message import MessageType
from gateway.wasender.kinds import KINDS, MENTIONS, PLACEHOLDERS, SILENT, WITH_FILE, Kind
from gateway.wasender.media_facts import facts_of
from gateway.wasender.texts import business, calls, commerce
from gateway.wasender.texts.lines import joined, words_in
from gateway.wasender.values import enum_word, has_content, is_said, present, text_at
from gateway.wasender.wrappers import BAGGAGE, Unwrapped, has_words, unwrap, unwrapped

__all__ = [
    "CALL_KIND", "REVOKED", "Content", "Nothing", "Unwrapped", "content_in", "content_of", "enum_word",
    "is_only_baggage", "stub_of", "unwrap", "unwrapped",
]  # fmt: skip

MEDIA_HOST = "https://mmg.whatsapp.net"
"""Where a file lies whose payload names only its path."""

CALL_KIND = "missedCall"
"""`Content.kind` of a notice of a missed call."""

REVOKED = "revoked"
"""`Nothing.kind` of a notice that the message of this key was taken back."""

_NO_FILE_HOSTS = (
    "https://web.whatsapp.net",
    "http://web.whatsapp.net",
)  # what engines write for "no address"
_COMMENT = "commentMessage"  # holds another message, whose content is its own
_PLAIN = BAGGAGE | {"conversation"}
_KEYS = BAGGAGE - {"messageContextInfo"}

# Notices of WhatsApp (messageStubType), by number and by name.
_STUB_REVOKED = frozenset({"1", "revoke", "132", "admin_revoke"})
_STUB_EMPTY = frozenset(
    {
        "2", "ciphertext", "3", "futureproof", "47", "payment_ciphertext", "48", "payment_futureproof",
        "68", "oversized", "74", "viewed_once", "220", "quarantined_message",
    }
)  # fmt: skip
_STUB_NONE = frozenset({"", "0", "unknown"})


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says.

    `kind` is WAProto's name of the part that was read, `part` that part itself. `is_placeholder`: the message came
    without its content; `content_in` then gives it the type `unknown`, and `text` holds what is known nevertheless.
    `media` is the part that has the file's address, key and hashes (that of a template's head too); `file_name` is a
    document's. An edit carries no file, so what `content_of` says of placeholders means nothing there.
    `media_part` is WAProto's name of the part `media`.
    """

    kind: str
    type: MessageType
    text: str | None = None
    media_url: str | None = None
    part: Any = None
    is_placeholder: bool = False
    media: dict[str, Any] | None = None
    file_name: str | None = None
    media_part: str = ""

    @property
    def file(self) -> MediaFacts | None:
        """What it says of its file; None where it has none, or does not say where it lies."""
        if self.media is None or self.media_url is None or not self.media_part:
            return None
        return facts_of(self.media_part, self.media, self.media_url)

    @property
    def full_text(self) -> str | None:
        """The text as a row holds it: with the name of a document under its caption."""
        if not self.file_name or self.file_name in (self.text or ""):
            return self.text
        return f"{self.text}\n{self.file_name}" if self.text else self.file_name


@dataclass(frozen=True, slots=True)
class Nothing:
    """An element that is no message, with the reason in words.

    `kind` names the field that was found (`protocolMessage`, `secretEncryptedMessage`, `pollUpdateMessage`, …), so
    that a change of another message can be read from `part`. It is `REVOKED` for a stub that takes back this key's
    own message, and empty for other notices of WhatsApp.
    """

    kind: str
    reason: str
    part: Any = None


def content_in(element: Any) -> Content | Nothing:
    """What one element of a message webhook says; never raises."""
    element = element if isinstance(element, dict) else {}
    message = element.get("message")
    if (
        isinstance(message, dict) and message.keys() <= _PLAIN
    ):  # most are: nothing to open, nothing to choose from
        text = message.get("conversation")
        if isinstance(text, str) and text:
            body = element.get("messageBody")
            return Content(
                "conversation", "text", body if isinstance(body, str) and body.strip() else text, part=text
            )
    opened = unwrap({"conversation": message} if isinstance(message, str) else message)
    content = content_of(opened.message, element.get("messageBody") or _beside(element))
    if content is not None and not content.is_placeholder and content.kind != "messageBody":
        return content
    silent = _silent(opened)
    if silent is not None:
        return silent
    return _without_content(content, opened.message, stub_of(element))


def content_of(message: dict[str, Any], body_text: Any = None) -> Content | None:
    """The content of an unwrapped message; None if it has none. `body_text` is upstream's `messageBody`.

    A null is an absent field, and so is an empty default (`conversation: ""`) beside a field that says something.
    """
    unified = body_text if isinstance(body_text, str) and body_text.strip() else None
    for name in _in_order(message):
        if name == _COMMENT:
            inner = content_of(unwrapped(message[name].get("message")), unified)
            return inner or Content(name, "text", unified or "Comment", part=message[name])
        kind = KINDS.get(name)
        if kind is not None:
            return _content(name, kind, message, unified)
        return _strange(name, message[name], unified)
    if unified is not None and not any(is_said(message.get(name)) for name in SILENT):
        return Content(kind="messageBody", type="text", text=unified)
    return None


def is_only_baggage(message: dict[str, Any]) -> bool:
    """Whether there is something in it, yet nothing for a reader (keys of a group, for example)."""
    return bool(message) and message.keys() <= BAGGAGE


def stub_of(element: dict[str, Any]) -> str:
    """The kind of WhatsApp's notice that an element is, as `enum_word` writes it; empty if it is none."""
    word = enum_word(element.get("messageStubType"))
    return "" if word in _STUB_NONE else word


# ------------------------------------------------------------------------------------------------ parts


def _in_order(message: dict[str, Any]) -> list[str]:
    """The fields that may be the content, the likeliest first: what says something, known kinds, then strange ones.

    An empty object, or one of nothing but defaults, counts only where nothing else is said: then it is all that came of
    the message.
    """
    names = [name for name, part in message.items() if name not in BAGGAGE and name not in SILENT]
    fit = [name for name in names if _is_fit(name, message[name])]
    said = [name for name in fit if is_said(message[name])]
    if len(said) > 1:
        said = [name for name in said if has_content(message[name])] or said
    if not said and not any(is_said(message.get(name)) for name in SILENT):
        said = [name for name in fit if name in KINDS]
    return sorted(said, key=lambda name: (name not in KINDS and name != _COMMENT, name == "conversation"))


def _beside(element: dict[str, Any]) -> Any:
    """The words of an element without a message, as some bridges write them."""
    if element.get("message") is not None or stub_of(element):
        return None
    return text_at(element, "text", "body", "caption")


def _with_text_beside(own: str | None, name: str, message: dict[str, Any]) -> str | None:
    """The words, and those of a plain text that stands beside a content of another kind."""
    text = message.get("conversation") if name != "conversation" else None
    return joined(own, text) if isinstance(text, str) and text not in (own or "") else own


def _is_fit(name: str, part: Any) -> bool:
    """Whether a part has the form of its kind: a text for a plain one, an object for the others."""
    if name in ("conversation", "extendedTextMessage") and isinstance(part, str):
        return bool(part)
    if name == "conversation":
        return False
    return isinstance(part, dict) or (
        name not in KINDS and name != _COMMENT and is_said(part) and part is not True
    )


def _content(name: str, kind: Kind, message: dict[str, Any], unified: str | None) -> Content:
    part = message[name]
    own = kind.text(part)
    if name == "reactionMessage":
        return Content(name, kind.type, own, part=part)
    headed = business.header_of(name, part)
    file_kind, media = headed or (name, part if name in WITH_FILE else None)
    url = _url_of(media)
    own = _with_text_beside(_told(kind, own, unified), name, message)
    text = own or kind.words_for(part)
    is_placeholder = _is_empty(name, kind, text, url) and not (_is_inline(part) or _is_inline(message))
    return Content(
        kind=name,
        type=KINDS[file_kind].type if headed and url else _type_of(kind, part),
        text=own if is_placeholder else text,
        media_url=url,
        part=part,
        is_placeholder=is_placeholder,
        media=media,
        file_name=text_at(media, "fileName", "title") if file_kind == "documentMessage" else None,
        media_part=file_kind if media is not None else "",
    )


def _told(kind: Kind, own: str | None, unified: str | None) -> str | None:
    """Upstream's text first; but a composed text holds more than that one, and keeps it."""
    if unified is None or own is None or not kind.is_composed:
        return unified or own
    return own if unified in own else joined(unified, own)


def _type_of(kind: Kind, part: Any) -> MessageType:
    """A kind's own type; an interactive message that carries an order or asks for a payment is a payment."""
    if kind.type == "text" and any(map(commerce.is_order, business.flows_of(part))):
        return "payment"
    return kind.type


def _strange(name: str, part: Any, unified: str | None) -> Content:
    if name in PLACEHOLDERS:
        return Content(name, "unknown", unified, part=part, is_placeholder=unified is None)
    return Content(name, "unknown", unified or words_in(part), part=part)


def _url_of(media: Any) -> str | None:
    """The address of the encrypted file; made of its path where only that is named."""
    url = text_at(media, "url", "URL")
    if url is not None and url.startswith(("https://", "http://")) and not url.startswith(_NO_FILE_HOSTS):
        return url
    path = text_at(media, "directPath")
    return (
        MEDIA_HOST + path if path is not None and path.startswith("/") and not path.startswith("//") else None
    )


def _is_empty(name: str, kind: Kind, text: str | None, url: str | None) -> bool:
    """Whether only the frame of a message came: a file without its address, a text without words."""
    return url is None if name in WITH_FILE else kind.type == "text" and text is None


def _is_inline(part: Any) -> bool:
    """Whether the file itself stands in the payload, as some engines put it there."""
    return isinstance(part, dict) and any(is_said(part.get(name)) for name in ("base64", "file"))


# ------------------------------------------------------------------------------------------------ without content


def _silent(opened: Unwrapped) -> Content | Nothing | None:
    """A field that is no message of its own; an envelope that says something by itself."""
    for name, reason in SILENT.items():
        if is_said(opened.message.get(name)):
            mention = next((words for wrapper, words in MENTIONS.items() if wrapper in opened.wrappers), None)
            if mention is not None and name == "protocolMessage":
                return Content(opened.wrappers[-1], "text", mention, part=opened.message[name])
            return Nothing(name, reason, opened.message[name])
    return None


def _without_content(content: Content | None, message: dict[str, Any], stub: str) -> Content | Nothing:
    if content is not None and content.kind == "messageBody":
        return content
    if stub in calls.MISSED_STUBS:
        return Content(CALL_KIND, "call", calls.MISSED_STUBS[stub])
    if stub in _STUB_REVOKED:
        return Nothing(REVOKED, "the message was taken back")
    if content is not None:  # a placeholder that names its kind
        return replace(content, type="unknown")
    if stub in _STUB_EMPTY:
        return Content("", "unknown", is_placeholder=True)
    if stub:
        return Nothing("", f"a notice of WhatsApp (stub {stub})"[:100])
    if not has_words(message) and any(is_said(message.get(name)) for name in _KEYS):
        return Nothing("senderKeyDistributionMessage", "only keys, nothing to read", present(message))
    return Content("", "unknown", is_placeholder=True)
