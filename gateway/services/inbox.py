"""What an inbox page asks for: conversations, a thread, marking read. And the shapes of the answers."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.domain.streams import Position

ConversationFilter = Literal["all", "unread", "unreplied", "groups"]


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


@dataclass(frozen=True, slots=True)
class Page:
    """Rows and the positions of their inboxes, read in one snapshot."""

    items: list[Any]
    next: tuple[str | int, ...] | None
    """Where the next page begins, as the query takes it; None on the last page."""

    positions: dict[int, Position]


class InboxStore(Protocol):
    """Conversations and threads in Postgres. Everything raises StoreUnavailable."""

    async def conversations(self, query: ConversationQuery) -> Page:
        """Conversations, the one that moved last first."""

    async def conversation(self, session_id: int, chat: str) -> Page:
        """The one conversation, if it has messages."""

    async def messages(
        self, session_id: int, chat: str, limit: int, before: tuple[str, str, str, str] | None
    ) -> Page:
        """Message data, oldest first.

        `before` is (time, time it was made, direction, id) of the oldest one seen, times as Postgres writes them.
        """

    async def conversation_of(self, address: str) -> str:
        """JID of the conversation that an address (a number's or a LID's JID) belongs to now."""

    async def first_with_messages(self, session_id: int, chats: list[str]) -> str | None:
        """The first of these chats that has messages in the session."""

    async def sessions_of_chat(self, chat: str, sessions: list[int] | None) -> list[int]:
        """In which of these sessions there are messages of this chat."""

    async def mark_read(self, session_id: int, chat: str) -> int:
        """Marks what has come from this chat as read; returns how many messages were not before."""
