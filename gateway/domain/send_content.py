"""What a person asks to send: read, checked, and compared. One sentence for each thing that is wrong, by field."""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway.domain.errors import Invalid
from gateway.domain.message import bare_jid, jid_of_phone, mend_text

TEXT_LIMIT = 4_096
CLIENT_ID_LIMIT = 100
MENTIONS_LIMIT = 100
NAME_LIMIT = 255
FARTHEST = timedelta(days=366)
"""How far ahead a message may be scheduled."""

Kind = Literal["text", "media", "location", "contact"]

_MOST_OFFSET = 2**63 - 1
_LONG_PAST = datetime(1970, 1, 1, tzinfo=UTC)

_FIELDS = frozenset(
    {"client_id", "text", "media", "location", "contact", "reply_to", "mentions", "seen", "send_at"}
)
_REF = re.compile(r"(in|out):[^\s:\x00]{1,64}")
_PERSON = re.compile(r"\+?[0-9]{5,15}|[0-9]{5,20}@(s\.whatsapp\.net|lid|c\.us)")


@dataclass(frozen=True, slots=True)
class Location:
    """A place on a map."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class ContactCard:
    """A name and a number, for the recipient to save."""

    name: str
    phone: str
    """Digits, with the country code."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent, and what it answers."""

    text: str | None = None
    """As it was written: WhatsApp's own formatting is in it."""
    media: str | None = None
    """Our id of an uploaded file."""
    location: Location | None = None
    contact: ContactCard | None = None
    reply_to: str | None = None
    """`in:5` or `out:7`."""
    mentions: tuple[str, ...] = ()
    """JIDs."""

    @property
    def kind(self) -> Kind:
        """What it is first of all; a file may have a text beside it."""
        if self.media is not None:
            return "media"
        if self.location is not None:
            return "location"
        return "text" if self.contact is None else "contact"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the author had read when they wrote."""

    off: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to send."""

    client_id: str
    content: Content
    seen: Seen | None = None
    send_at: datetime | None = None
    handed_on: str = ""
    """What is handed to upstream as it came, as JSON."""

    def beside(self, extra: Mapping[str, Any]) -> "Wish":
        """The same with what is handed to upstream as it came."""
        return replace(self, handed_on=json.dumps(extra, sort_keys=True) if extra else "")

    def without_text(self, extra: Mapping[str, Any]) -> "Wish":
        """What is handed on, and nothing else."""
        return replace(self.beside(extra), content=replace(self.content, text=None))

    def answering(self, ref: str) -> "Wish":
        """The same as an answer to that message."""
        return replace(self, content=replace(self.content, reply_to=ref))

    @property
    def digest(self) -> str:
        """The same for the same request. What its author had seen is no part of it."""
        told = asdict(self.content) | {"send_at": self.send_at.isoformat() if self.send_at else None}
        if self.handed_on:
            told["handed_on"] = self.handed_on
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def look(kind: str, text: str | None) -> str:
    """What two messages have in common that upstream's reports do not tell apart.

    Too much in common is safe: where several fit, evidence waits for as many keys as there are.
    """
    said = f"{kind}\n{(text or '').strip()}"
    return hashlib.sha256(mend_text(said).encode()).hexdigest()[:32]


_MEDIA = frozenset({"image", "video", "audio", "document", "sticker", "media"})


def look_of(kind: str, text: str | None) -> str:
    """`look` of a row's or a webhook's kind of message; what upstream writes beside a file or a place counts not."""
    return look("media" if kind in _MEDIA else kind, text if kind == "text" else None)


def wish_of(body: Mapping[str, Any], *, idempotency_key: str | None, now: datetime) -> Wish:
    """The request to send. Raises Invalid with all that is wrong, by field."""
    wrong = _Wrong()
    for name in sorted(body.keys() - _FIELDS):
        wrong.add(name, "There is no such field.")
    client_id = _client_id(body.get("client_id", idempotency_key), wrong)
    content = Content(
        text=_text(body.get("text"), wrong),
        media=_short(body.get("media"), "media", wrong),
        location=_location(body.get("location"), wrong),
        contact=_contact(body.get("contact"), wrong),
        reply_to=_reference(body.get("reply_to"), wrong),
        mentions=_mentions(body.get("mentions"), wrong),
    )
    _require_one_thing(content, body, wrong)
    seen, send_at = _seen(body.get("seen"), wrong), _send_at(body.get("send_at"), now, wrong)
    wrong.raise_if_any()
    return Wish(client_id, content, seen, send_at)


def edited_text(body: Mapping[str, Any]) -> str:
    """The new text of an edit. Raises Invalid."""
    wrong = _Wrong()
    for name in sorted(body.keys() - {"text"}):
        wrong.add(name, "An edit has a text and nothing else.")
    text = _text(body.get("text"), wrong)
    if text is None and "text" not in wrong.errors:
        wrong.add("text", "There is no text.")
    wrong.raise_if_any()
    return text or ""


class _Wrong:
    """What is wrong, by field."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {}

    def add(self, field: str, sentence: str) -> None:
        self.errors.setdefault(field, []).append(sentence)

    def raise_if_any(self) -> None:
        if self.errors:
            field, (first, *_) = next(iter(self.errors.items()))
            raise Invalid(f"{field}: {first}", details={"errors": self.errors})


def _client_id(value: Any, wrong: _Wrong) -> str:
    if not isinstance(value, str) or not value.strip():
        wrong.add("client_id", "A message needs an id of its sender's, here or as Idempotency-Key.")
    elif len(value) > CLIENT_ID_LIMIT or not value.isprintable():
        wrong.add("client_id", f"An id has at most {CLIENT_ID_LIMIT} printable characters.")
    else:
        return value
    return ""


def _text(value: Any, wrong: _Wrong) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        wrong.add("text", "The text must be a string.")
        return None
    text = mend_text(value)
    if len(text) > TEXT_LIMIT:
        wrong.add("text", f"The text has {len(text)} characters; WhatsApp takes {TEXT_LIMIT}.")
    return None if is_blank(text) else text


def is_blank(text: str) -> bool:
    """Whether nothing of a text is seen: spaces, and characters without width such as joiners and marks."""
    return all(one.isspace() or unicodedata.category(one) in ("Cf", "Cc") for one in text)


def _short(value: Any, field: str, wrong: _Wrong) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_LIMIT:
        wrong.add(field, f"It must be a text of 1 to {NAME_LIMIT} characters.")
        return None
    return mend_text(value)


def _location(value: Any, wrong: _Wrong) -> Location | None:
    if value is None:
        return None
    place = value if isinstance(value, dict) else {}
    latitude, longitude = _degrees(place.get("latitude"), 90), _degrees(place.get("longitude"), 180)
    if latitude is None or longitude is None:
        wrong.add("location", "A location needs latitude (-90 to 90) and longitude (-180 to 180) as numbers.")
        return None
    name = _short(place.get("name"), "location", wrong)
    return Location(latitude, longitude, name, _short(place.get("address"), "location", wrong))


def _degrees(value: Any, most: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= most else None


def _contact(value: Any, wrong: _Wrong) -> ContactCard | None:
    if value is None:
        return None
    card = value if isinstance(value, dict) else {}
    name = _short(card.get("name"), "contact", wrong)
    phone = card.get("phone")
    digits = re.sub(r"[^0-9]", "", phone) if isinstance(phone, str) else ""
    if name is None or not 5 <= len(digits) <= 15:
        wrong.add("contact", "A contact needs a name, and a phone number with its country code.")
        return None
    return ContactCard(name, digits)


def _reference(value: Any, wrong: _Wrong) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _REF.fullmatch(value):
        wrong.add("reply_to", 'It must name a message, such as "in:5" or "out:7".')
        return None
    return value


def _mentions(value: Any, wrong: _Wrong) -> tuple[str, ...]:
    if value is None:
        return ()
    people: list[Any] = value if isinstance(value, list) else [None]
    if len(people) > MENTIONS_LIMIT or not all(
        isinstance(one, str) and _PERSON.fullmatch(one) for one in people
    ):
        wrong.add("mentions", f"They must be a list of at most {MENTIONS_LIMIT} phone numbers or JIDs.")
        return ()
    return tuple(bare_jid(one) if "@" in one else jid_of_phone(one) for one in people)


def _require_one_thing(content: Content, body: Mapping[str, Any], wrong: _Wrong) -> None:
    things = [name for name in ("media", "location", "contact") if body.get(name) is not None]
    if len(things) > 1:
        wrong.add(things[1], f"A message has one of media, location and contact; this one has {len(things)}.")
    elif things in (["location"], ["contact"]) and content.text is not None:
        wrong.add("text", f"WhatsApp sends a {things[0]} without a text.")
    elif not things and content.text is None and "text" not in wrong.errors:
        wrong.add("text", "There is nothing to send.")
    if content.mentions and content.text is None:
        wrong.add("mentions", "Only a text can mention people.")


def _seen(value: Any, wrong: _Wrong) -> Seen | None:
    if value is None:
        return None
    place = value if isinstance(value, dict) else {}
    off, epoch = place.get("off"), place.get("epoch")
    is_place = isinstance(epoch, str) and epoch == mend_text(epoch)
    if isinstance(off, bool) or not isinstance(off, int) or not 0 <= off <= _MOST_OFFSET or not is_place:
        wrong.add("seen", "It must be a position: off, a whole number, and epoch, a text.")
        return None
    return Seen(off, str(epoch))


def _send_at(value: Any, now: datetime, wrong: _Wrong) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        wrong.add("send_at", "It must be a time with its zone, such as 2026-12-24T08:00:00Z.")
        return None
    if at > now + FARTHEST:
        wrong.add("send_at", "It is more than a year ahead.")
        return None
    # What is past goes at once, whatever its year: the first day of the calendar is no day of UTC's everywhere.
    return max(at, _LONG_PAST).astimezone(UTC)
