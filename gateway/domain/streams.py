"""Topics, offsets, events, and the two states of a subscription.

A stream is an inbox's history with gap-free offsets. A *position* is an offset and the epoch it belongs to: an
offset alone cannot tell "you are up to date" from "the history was made anew and is shorter now".
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NewType

from gateway.domain.message import OUTGOING_TABLE
from gateway.domain.session import session_number

Inbox = NewType("Inbox", int)

SESSIONS_INBOX = Inbox(-1)
"""Changes of whatsapp_sessions, for the dialect that has tables and no states. No topic of ours names it."""

PROBE_INBOX = Inbox(-2)
"""The latency probe's own stream: it stands in no table."""

ALERTS_TABLE = "alerts"
"""Alerts of sessions; their events stand in the stream of SESSIONS_INBOX."""

_SNAPSHOT = re.compile(r"[0-9]{1,19}:[0-9]{1,19}:[0-9,]*")

ResetReason = Literal["offset_expired", "epoch_changed", "offset_unknown"]
MessageEventName = Literal["message.created", "message.updated", "message.status", "message.deleted"]
MarkEventName = Literal["conversation.updated"]
Operation = Literal["INSERT", "UPDATE", "DELETE"]


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to and including `off` of history `epoch`."""

    off: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of the whole database, which tells where every inbox stood."""

    seen: str
    """As pg_snapshot writes it."""
    history: str
    """The history it belongs to: after a restore it means nothing."""

    def __str__(self) -> str:
        return f"{self.seen};{self.history}"

    @classmethod
    def parse(cls, text: str) -> "Snapshot | None":
        """The snapshot as it was given out; None for any other text."""
        seen, _, history = text.partition(";")
        is_one = _SNAPSHOT.fullmatch(seen) and history.isprintable() and len(text) < 100_000
        return cls(seen, history) if is_one else None


@dataclass(frozen=True, slots=True)
class Extent:
    """What is kept of an inbox: events `floor + 1 … top` of `epoch`."""

    top: int
    floor: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Place:
    """One event of an inbox."""

    inbox: int
    off: int


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change of one row."""

    inbox: Inbox
    off: int
    table: str
    operation: Operation
    at: str
    """Commit time, ISO 8601 with offset, as Postgres prints it."""
    record: dict[str, Any] | None
    """The row after the change (`to_jsonb` without raw_data); None for DELETE."""
    old: dict[str, Any]
    """Primary key of the row, plus `changed`: the names of the columns an UPDATE changed."""
    row_before: dict[str, Any] | None = None
    """The whole row before an UPDATE or DELETE, where its table has REPLICA IDENTITY FULL."""
    comes_after: Place | None = None
    """Of a row that came from another inbox: its deletion there."""


@dataclass(frozen=True, slots=True)
class OwnWrite:
    """What a committed write of this gateway has added to one stream: the stream's last events, in order."""

    inbox: Inbox
    extent: Extent
    events: list[Event]


class Standing(Enum):
    """How a subscription gets its events.

    LIVE: from the hub, as they are published.
    CATCHING_UP: from the stream, page by page, until it reaches the top. Returning clients start here, clients
    too slow for their write limit fall back to it (only their offset is kept), and so do all clients after an
    outage of Postgres.
    """

    LIVE = "live"
    CATCHING_UP = "catching_up"


def check_position(after: Position, extent: Extent) -> ResetReason | None:
    """Whether a client can go on from `after`; otherwise why not.

    An offset above the top is one this history never gave out (a database restored from a backup).
    """
    if after.epoch != extent.epoch:
        return "epoch_changed"
    if after.off > extent.top or after.off < 0:
        return "offset_unknown"
    if after.off < extent.floor:
        return "offset_expired"
    return None


def is_beyond(after: Position | None, extent: Extent | None) -> bool:
    """Whether the client knows an offset that this history has not given out yet, as far as `extent` says."""
    return after is not None and extent is not None and after.epoch == extent.epoch and after.off > extent.top


def is_within(after: Position, known: Position) -> bool:
    """Whether `after` lies in the history that is known. Whether it is kept still, catching up finds out.

    When thousands come back at once, this is what spares the store a question for each of them.
    """
    return after.epoch == known.epoch and 0 <= after.off <= known.off


_STATUS_COLUMNS = frozenset(
    {
        "status", "status_at", "sent_at", "delivered_at", "read_at", "error", "msg_id", "wa_key_id", "error_code",
        "attempt", "queued_at", "sending_at", "accepted_at", "played_at",
    }
)  # fmt: skip


def event_name(event: Event) -> MessageEventName:
    """The name of a message event: one change is one event."""
    if event.operation == "INSERT":
        return "message.created"
    if event.operation == "DELETE":
        return "message.deleted"
    changed = frozenset(event.old.get("changed") or ())
    record = event.record or {}
    if "deleted_at" in changed and record.get("deleted_at") is not None:
        return "message.deleted"
    if event.table == OUTGOING_TABLE and "status" in changed and changed <= _STATUS_COLUMNS:
        return "message.status"
    return "message.updated"


# ---------------------------------------------------------------------------------------------- topics


@dataclass(frozen=True, slots=True)
class InboxTopic:
    """Topic of the messages of one inbox, or of all."""

    inbox: Inbox | None
    """None is `inbox:*`: every inbox the principal may read, also ones created later."""

    def __str__(self) -> str:
        return f"inbox:{'*' if self.inbox is None else self.inbox}"


@dataclass(frozen=True, slots=True)
class SessionsTopic:
    """Topic of the list of sessions: every session's newest state."""

    def __str__(self) -> str:
        return "sessions"


@dataclass(frozen=True, slots=True)
class SessionTopic:
    """Topic of one session: its newest state, and that of its attempt to link."""

    session_id: int

    def __str__(self) -> str:
        return f"session:{self.session_id}"


Topic = InboxTopic | SessionsTopic | SessionTopic


def parse_topic(text: object) -> Topic | None:
    """The topic a client names, or None if there is no such topic."""
    if text == "sessions":
        return SessionsTopic()
    if not isinstance(text, str):
        return None
    kind, _, name = text.partition(":")
    if kind == "inbox" and name == "*":
        return InboxTopic(None)
    number = session_number(name)
    if number is not None and kind == "inbox":
        return InboxTopic(Inbox(number))
    if number is not None and kind == "session":
        return SessionTopic(number)
    return None
