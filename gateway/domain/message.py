"""Messages, delivery states, and who is on the other side of a chat.

A webhook becomes a tuple of *changes* (the classes at the end). They are what upstream's many payload shapes
have in common, and the only thing the store knows.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gateway.domain.contacts import ContactFact
    from gateway.domain.media import MediaFacts

MessageType = Literal[
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contact",
    "poll",
    "reaction",
    "order",
    "product",
    "payment",
    "event",
    "call",
    "unknown",
]
Direction = Literal["in", "out"]

INCOMING_TABLE = "whatsapp_incoming_messages"
MARKS_TABLE = "conversation_marks"
"""Marks of conversations stand in the streams beside the messages."""
OUTGOING_TABLE = "whatsapp_outgoing_messages"

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"


class DeliveryState(IntEnum):
    """How far an outgoing message has come. It only moves up; FAILED is final unless upstream proves otherwise."""

    UNKNOWN = 0
    FAILED = 1
    QUEUED = 2
    SENT = 3
    DELIVERED = 4
    READ = 5
    PLAYED = 6
    """Of a voice note."""

    @property
    def word(self) -> str:
        """The state as the column `status` holds it."""
        return self.name.lower()


def overwritten_by(state: DeliveryState) -> list[str]:
    """The words of the states that `state` may replace: ticks never go backwards."""
    if state is DeliveryState.QUEUED:
        return []  # upstream's "pending" says nothing that we do not know; a failed one must not look alive again
    if state is DeliveryState.FAILED:
        return [item.word for item in (DeliveryState.UNKNOWN, DeliveryState.QUEUED, DeliveryState.SENT)]
    return [item.word for item in DeliveryState if item < state]


# ---------------------------------------------------------------------------------------------- identity


_BARE_PHONE = re.compile(rf"([0-9]+)@{re.escape(PHONE_SERVER)}")


def digits_of(number: str | None) -> str:
    """The ASCII digits of a phone number in any formatting; '' for None."""
    text = number or ""
    return text if text.isascii() and text.isdigit() else re.sub(r"[^0-9]", "", text)


def bare_jid(jid: str) -> str:
    """A JID without the device part: `123:4@s.whatsapp.net` → `123@s.whatsapp.net`; `c.us` becomes `s.whatsapp.net`."""
    user, at, server = jid.strip().partition("@")
    if not at:
        return jid.strip()
    user = user.partition(":")[0]
    return f"{user}@{PHONE_SERVER if server == 'c.us' else server}"


def is_lid(jid: str | None) -> bool:
    """Whether it is an address that hides the phone number (`…@lid`)."""
    return bool(jid) and str(jid).endswith("@" + LID_SERVER)


def phone_of(jid: str | None) -> str | None:
    """Digits of the phone a JID names, or None. The digits of a LID are *not* a phone number."""
    if not jid:
        return None
    if bare := _BARE_PHONE.fullmatch(jid):  # nearly all are
        return bare[1]
    user, at, server = bare_jid(jid).partition("@")
    if at and server != PHONE_SERVER:
        return None
    digits = digits_of(user)
    return digits or None


def jid_of_phone(phone: str) -> str:
    """The address of a phone number, whatever else than digits it is written with."""
    return f"{digits_of(phone)}@{PHONE_SERVER}"


def chat_of(chat: str | None, address: str | None) -> str | None:
    """The chat of a row: its own `chat`, else the JID made of its phone column (rows of other writers have none)."""
    if chat:
        return chat
    if not address:
        return None
    return address if "@" in address else jid_of_phone(address) if digits_of(address) else address


# ---------------------------------------------------------------------------------------------- text


def mend_text(value: str) -> str:
    """Text that Postgres can hold: U+0000 removed, lone surrogates replaced by U+FFFD."""
    if "\x00" in value:
        value = value.replace("\x00", "")
    if value.isascii():  # nearly all are: known without a copy
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def mend(value: Any) -> Any:
    """`mend_text` on every string of a JSON value, keys included."""
    if isinstance(value, str):
        return mend_text(value)
    if isinstance(value, list):
        return [mend(item) for item in value]
    if isinstance(value, dict):
        return {mend_text(key) if isinstance(key, str) else key: mend(item) for key, item in value.items()}
    return value


# ---------------------------------------------------------------------------------------------- wire data

_TIMES = frozenset(
    {
        "received_at", "created_at", "replied_at", "edited_at", "deleted_at", "sent_at", "delivered_at",
        "read_at", "send_after", "updated_at", "last_connected_at", "done_at", "marked_unread_at", "blocked_at",
        "queued_at", "sending_at", "accepted_at",
        "played_at",
    }
)  # fmt: skip


_NO_TIME = re.compile(r"-?infinity|[0-9]{5,}-.*|.* BC")
"""As Postgres writes the times that no client has."""


def utc_text(value: str, zone: tzinfo) -> str:
    """A timestamp of Postgres' JSON as `…Z`; '' for infinity, BC, and years of five digits.

    A naive one is read in `zone` (the operator's GATEWAY_TIMEZONE). What is no timestamp stays as it is.
    """
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except ValueError:
        return "" if _NO_TIME.fullmatch(value) else value
    except OverflowError:
        return ""


def message_data(table: str, record: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    """What clients see of a message: the row without `raw_data`, plus direction, session_id, chat and phone."""
    return read_message(table, record, zone)[0]


def read_message(table: str, record: dict[str, Any], zone: tzinfo) -> tuple[dict[str, Any], list[str]]:
    """`message_data`, and the names of the columns whose values could not be told: they are None there.

    `record` is the row as JSON; the same function serves REST and WebSocket, so both always agree.
    """
    data = {key: value for key, value in record.items() if key != "raw_data"}
    shops = {name: data.pop(name) for name in _MADE if name in data}
    shops |= {name: data[name] for name in _MADE_BY_SOME if name in data}
    if "gateway_media" in data and (_is_file(data["gateway_media"]) or not _is_file(data.get("media"), True)):
        if data.get("media") is not None:
            shops["media"] = data["media"]
        data["media"] = data.pop("gateway_media")
    # No column has an empty name: there the store lists what it could not read.
    untold: list[str] = list(data.pop("", None) or ())
    for key in _TIMES & data.keys():
        if isinstance(data[key], str):
            data[key] = utc_text(data[key], zone) or None
            if data[key] is None:
                untold.append(key)
    outgoing = table == OUTGOING_TABLE
    written = data.get("to_phone" if outgoing else "from_phone")
    # A shop may keep numbers as numbers.
    address = None if written is None else str(written)
    data["id"] = str(data["id"])
    data["direction"] = "out" if outgoing else "in"
    # Ids are unique within their table only.
    data["ref"] = f"{data['direction']}:{data['id']}"
    # Another writer's placeholder below zero names no session either; its row is in inbox 0.
    data["session_id"] = max(0, data.get("wasender_session_id") or 0)
    chat = data.get("chat")
    data["chat"] = chat_of(None if chat is None else str(chat), address)
    data["phone"] = phone_of(data["chat"]) or (address if address and "@" not in address else None)
    if shops:
        data["columns"] = shops
    return data, sorted(untold)


_MADE = ("direction", "ref", "session_id", "phone", "columns", "queue_position", "sender_name")
"""Names in the data that are no columns: a column of the shop's that is called so stands in `columns`."""

_MADE_BY_SOME = ("at", "arrived_at", "name", "position")
"""Such names in some answers only: there it stands in `columns`, and everywhere else in its own place, too."""


def _is_file(value: object, or_none: bool = False) -> bool:
    """Whether the gateway wrote it: where the shop has a column `media` of another type, ours is `gateway_media`.

    The shop may have a column `gateway_media`, too, beside a `media` that is ours.
    """
    return (or_none and value is None) or (isinstance(value, dict) and value.keys() >= {"id", "state"})


_MARKS = ("owner", "owner_name", "done_at", "marked_unread_at", "name", "blocked_at")


def mark_data(record: dict[str, Any]) -> dict[str, Any]:
    """What clients see of the marks of a conversation; all of them null where there are none any more."""
    chat = record.get("chat")
    marks: dict[str, Any] = {key: record.get(key) for key in _MARKS}
    for key in _TIMES & marks.keys():
        marks[key] = utc_text(marks[key], UTC) if marks[key] else None
    return {
        **marks,
        "session_id": max(0, record.get("session") or 0),
        "chat": chat,
        "phone": phone_of(chat),
    }


# ---------------------------------------------------------------------------------------------- changes


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change of a message comes from: the chat, and the author in it."""

    chat: str | None
    """None where the webhook names no chat."""
    address: str | None = None
    """As `from_phone` has it: digits, `<lid>@lid`, or the JID of a group or channel; None for ourselves."""
    lid: str | None = None
    is_me: bool = False
    """The linked number itself, whichever device wrote."""
    is_named: bool = True
    """False where the webhook says what happened and not who did it (`messages.delete`)."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A change that is encrypted with the secret of the message it is about (an edit, a reaction)."""

    element: dict[str, Any]
    """The element of the webhook that holds it."""
    kind: Literal["edit", "reaction"]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message from another person: one row of whatsapp_incoming_messages."""

    key_id: str
    chat: str
    from_phone: str
    """Digits; `<lid>@lid` while the number behind a LID is not known; the JID of a channel for its posts."""
    type: MessageType
    text: str | None
    received_at: datetime
    media_url: str | None = None
    push_name: str | None = None
    sender_lid: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    is_placeholder: bool = False
    """It came without its content, which may follow under the same key."""
    media: "MediaFacts | None" = None


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message of the linked number itself (`fromMe`): one row of whatsapp_outgoing_messages."""

    key_id: str
    chat: str
    to_phone: str
    type: MessageType
    text: str | None
    sent_at: datetime
    media_url: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    lid: str | None = None
    """LID of the recipient, where WhatsApp named one beside the number."""
    is_placeholder: bool = False
    media: "MediaFacts | None" = None
    is_named: bool = False
    """Upstream says that it was sent through its API; otherwise a person may have typed it on the phone."""
    msg_id: int | None = None
    """Upstream's number of it, where it is told."""


@dataclass(frozen=True, slots=True)
class SendRefused:
    """A send through the API that upstream had taken over has failed. WhatsApp has given it no key."""

    error: str
    at: datetime
    msg_id: int | None = None
    """Upstream's number of it, where it is told."""
    is_restriction: bool = False
    """WhatsApp lets the number start no new chats for now."""


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """The text of a message became another; `text` is None where the new content has none."""

    key_id: str
    text: str | None
    at: datetime
    """When the author edited it: of two edits the later one counts."""
    by: Origin = Origin(None, is_named=False)
    sealed: Sealed | None = None
    """The edit itself, where only the phone, or the message's secret, can read it."""
    is_content: bool = False
    """The message as it stands now. Where that is what the row says already, there was no edit."""


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message was deleted for everyone."""

    key_id: str
    at: datetime
    by: Origin = Origin(None, is_named=False)


@dataclass(frozen=True, slots=True)
class PollCounted:
    """How often each option of a poll was chosen so far."""

    key_id: str
    chat: str | None
    votes: tuple[tuple[str, int], ...]
    at: datetime
    """Of two counts the later one stands."""


@dataclass(frozen=True, slots=True)
class MessageReacted:
    """A reaction to a message, or ("" as emoji) its removal."""

    key_id: str
    emoji: str
    at: datetime
    by: Origin
    name: str | None = None
    sealed: Sealed | None = None


@dataclass(frozen=True, slots=True)
class DeliveryMoved:
    """An outgoing message came further. May arrive before the message itself is known."""

    key_id: str
    state: DeliveryState
    at: datetime
    error: str | None = None
    chat: str | None = None
    """None where the webhook names no chat."""
    is_restriction: bool = False
    """It failed because WhatsApp lets the number start no new chats for now."""


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A call that rang was answered: its end is nothing to read."""

    key_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call is over, and it is not said whether it was answered."""

    key_id: str
    missed: MessageReceived
    """What there is to read if it was not."""


@dataclass(frozen=True, slots=True)
class PeopleTold:
    """What upstream says about people and groups."""

    facts: "tuple[ContactFact, ...]"


@dataclass(frozen=True, slots=True)
class StatusReported:
    """`session.status`: the session is in this state now."""

    status: str
    at: datetime
    reason: str | None = None
    has_time: bool = True
    """Whether the webhook says when that was; otherwise `at` is when it came."""


@dataclass(frozen=True, slots=True)
class CodeReported:
    """`qrcode.updated`: this is the code to scan now."""

    code: str
    at: datetime


MessageChange = (
    MessageReceived
    | MessageSent
    | SendRefused
    | MessageEdited
    | MessageDeleted
    | MessageReacted
    | PollCounted
    | DeliveryMoved
    | CallAnswered
    | CallEnded
)
SessionChange = StatusReported | CodeReported
Change = MessageChange | PeopleTold | SessionChange


@dataclass(frozen=True, slots=True)
class Reading:
    """What one webhook body says. No changes means `ignored` (we know the event) or `unknown` (we do not)."""

    event: str
    changes: tuple[Change, ...] = ()
    known: bool = True
    reason: str | None = None
    """Why nothing, or not everything, became a change; in words, for the journal."""
    is_noise: bool = False
    """An event that we know and do not show, such as `chats.update`."""

    def with_reason(self, reason: str) -> "Reading":
        """The same with another reason, so that the journal keeps the body."""
        whole = "; ".join(part for part in (self.reason, reason) if part)
        return replace(self, reason=whole, is_noise=False)
