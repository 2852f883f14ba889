"""What an inbox page asks for: conversations, a thread, marking read. And the shapes of the answers."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.domain.refs import MessageRef
from gateway.domain.streams import Position, Snapshot

ConversationFilter = Literal["all", "unread", "unreplied", "mine", "free", "done", "groups"]


@dataclass(frozen=True, slots=True)
class ConversationQuery:
    """Which conversations are asked for; `limit` is a number of rows."""

    sessions: list[int] | None
    """None = every session, inbox 0 included."""
    filter: ConversationFilter = "all"
    search: str | None = None
    limit: int = 50
    after: tuple[str, int, str] | None = None
    """Last row of the page before: time (as Postgres writes it), session, chat."""
    is_everything: bool = False
    """Also groups, channels, broadcasts and status posts."""
    sub: str = ""
    """Whose conversations `mine` are."""
    is_short: bool = False
    """Positions of the page's inboxes only, and the snapshot for all others."""
    is_of_people: bool = False
    """Search in names and numbers only, not in texts."""
    is_oldest_first: bool = False
    """The one that moved last comes last."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of the list: whom it is with, what is unread, and the message that came last."""

    session_id: int
    chat: str
    phone: str | None
    name: str | None
    unread: int
    replied: bool
    last_at: str
    last_message: dict[str, Any] | None
    owner: str | None = None
    """`sub` of the person who has it."""
    owner_name: str | None = None
    done: bool = False
    marked_unread: bool = False
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """How many conversations each filter of the list finds; groups are counted for themselves alone."""

    all: int
    unread: int
    unreplied: int
    mine: int
    free: int
    groups: int
    done: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows and the positions of their inboxes, read in one snapshot."""

    items: list[Any]
    next: tuple[str | int, ...] | None
    """Where the next page begins, as the query takes it; None on the last page."""

    positions: dict[int, Position]
    totals: Totals | None = None
    snapshot: Snapshot | None = None
    """Where all other inboxes stood, if that was asked for."""


Place = tuple[str, str, str, str]
"""Where a message stands in its thread: time, time it was made, direction, id; times as Postgres writes them."""


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Which part of a thread is asked for; one of the three at most, the newest messages without any."""

    session_id: int
    chat: str
    limit: int
    before: Place | MessageRef | None = None
    after: Place | MessageRef | None = None
    around: tuple[MessageRef, ...] = ()
    """The first of these that the thread has."""


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Messages of a thread, oldest first, and where the pages beside this one begin."""

    items: list[dict[str, Any]]
    before: Place | None
    """None where there is nothing older."""
    after: Place | None
    """None where there is nothing newer."""
    positions: dict[int, Position]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for in texts."""

    text: str
    sessions: list[int] | None
    """None = every session, inbox 0 included."""
    chat: str | None = None
    """Only in this conversation."""
    limit: int = 50
    after: Place | None = None
    """The last hit of the page before."""
    with_groups: bool = False


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Messages whose text holds what was looked for, the newest first."""

    items: list[dict[str, Any]]
    next: Place | None
    positions: dict[int, Position]


class InboxStore(Protocol):
    """Conversations and threads in Postgres. Everything raises StoreUnavailable."""

    async def conversations(self, query: ConversationQuery) -> Page:
        """Conversations, the one that moved last first."""

    async def conversation(self, session_id: int, chat: str) -> Page:
        """The one conversation, if it has messages."""

    async def messages(self, query: ThreadQuery) -> ThreadPage:
        """A part of a thread. Raises NotFound where a reference names no message of it."""

    async def search(self, query: SearchQuery) -> SearchPage:
        """Messages by their text."""

    async def conversation_of(self, address: str) -> str:
        """JID of the conversation that an address (a number's or a LID's JID) belongs to now."""

    async def first_with_messages(self, session_id: int, chats: list[str]) -> str | None:
        """The first of these chats that has messages in the session."""

    async def sessions_of_chat(self, chat: str, sessions: list[int] | None) -> list[int]:
        """In which of these sessions there are messages of this chat."""

    async def mark_read(self, session_id: int, chat: str, up_to: Position | None = None) -> int:
        """Marks what has come from this chat as read, of what was told up to a position; how many were not before.

        Raises Conflict where the position belongs to another history, or to one that is not kept any more.
        """
