"""One joined topic of a connection, or one that is about to be."""

from dataclasses import dataclass
from typing import Any

from gateway.domain.access import Principal
from gateway.domain.streams import SESSIONS_INBOX
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.supabase.bindings import Wish
from gateway.realtime.supabase.changes import ChannelEncoder, Encoders
from gateway.realtime.supabase.frames import Message
from gateway.realtime.supabase.tables import MESSAGE_TABLES, SESSIONS_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What a client asks for as it joins a channel, read and allowed."""

    message: Message
    wishes: tuple[Wish, ...]
    principal: Principal
    token: str | None
    """The client's own; with None the connection's key speaks for the channel."""

    wants_presence: bool


class Channel:
    """One channel of a socket, from its join to its end.

    `is_joined` once the client has its reply; `is_faulted` once it has been told of a fault that passes, and may
    join again because of it; `is_called_back` once it has been asked to; `is_stale` while the last it was told is that
    Postgres cannot be heard."""

    __slots__ = (
        "_encoders", "_messages", "_sessions", "_version", "cursors", "has_refused", "is_called_back", "is_faulted",
        "is_joined", "is_stale", "join", "principal", "token", "waiting_since", "wants_presence", "wishes",
    )  # fmt: skip

    def __init__(
        self,
        join: Join,
        version: int,
        encoders: Encoders,
    ) -> None:
        """`version` is that of the protocol which the client speaks."""
        self.join = join.message
        self.wishes = wishes = join.wishes
        self.principal = join.principal
        self.token = join.token
        self.wants_presence = join.wants_presence
        self.cursors: dict[int, Cursor] = {}
        self.is_joined = False
        self.is_faulted = False
        self.is_called_back = False
        self.is_stale = False
        self.has_refused: set[str] = set()
        self.waiting_since: float | None = None
        """Unix time at which it was seen without its reply."""

        self._version = version
        self._encoders = encoders
        bindings = [item for wish in wishes for item in wish.bindings]
        self._sessions = tuple(item for item in bindings if item.table.name == SESSIONS_TABLE)
        messages = tuple(item for item in bindings if item.table.name in MESSAGE_TABLES)
        self._messages = encoders.encoder(version, self.topic, messages) if messages else None

    @property
    def topic(self) -> str:
        """The channel's topic, as the client names it."""
        return self.join.topic

    @property
    def join_ref(self) -> Any:
        """The ref by which the client knows this join."""
        return self.join.join_ref if self.join.join_ref is not None else self.join.ref

    @property
    def is_listening(self) -> bool:
        """Whether it asks for any change that is served."""
        return self._messages is not None or bool(self._sessions)

    @property
    def reads_something(self) -> bool:
        """Whether the channel's login lets it read any inbox at all."""
        return self.principal.reads_something

    @property
    def awaits_token(self) -> bool:
        """Whether its key reads nothing, and the join brought no token that might."""
        return self.is_listening and not self.reads_something and "access_token" not in self.join.payload

    def encoder(self, inbox: int) -> ChannelEncoder | None:
        """How it is told of that inbox; None = not at all."""
        if not self.reads_something:
            return None
        if inbox >= 0:
            return self._messages if self._messages and self.principal.covers(inbox) else None
        if inbox != SESSIONS_INBOX or not self._sessions:
            return None
        return self._encoders.encoder(self._version, self.topic, self._sessions, self.principal.sessions)
