"""One page of the list of conversations: what is kept ready, with what it does not know yet laid over it.

Three sources, each cut to the page's length: rows of `gateway.conversations`; the chats that events after them have
touched, looked up in the messages; and whole inboxes that have not been read yet, or that too much has happened to.
The text holds only the conditions a page has, so that Postgres plans little and finds the partial indexes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asyncpg import Record

from gateway.services.inbox import ConversationQuery

_NEWEST_FIRST = "ORDER BY last_at DESC, session DESC, chat DESC"
_OLDEST_FIRST = "ORDER BY last_at, session, chat"

_FILTERS = {
    "all": "true",
    "unread": "unread > 0",
    "unreplied": "is_unreplied AND NOT is_done",
    "mine": "owner = {sub} AND NOT is_done",
    "free": "owner IS NULL AND NOT is_done",
    "done": "is_done",
    "groups": "chat LIKE '%@g.us'",
}


@dataclass(frozen=True, slots=True)
class ProbeSize:
    """Where a search looks first: what people look for is often found among the newest."""

    chats: int = 200
    messages: int = 30
    """Of each table and chat."""


DEFAULT_PROBE = ProbeSize()

# Text search has no index. What the newest messages do not answer reads all messages of the sessions it is about.
_FOUND = """
SELECT coalesce(wasender_session_id, 0)::bigint AS session, gateway.chat_of(chat, from_phone) AS chat
FROM public.whatsapp_incoming_messages
WHERE (message_text ILIKE {pattern} OR push_name ILIKE {pattern}){own}
UNION
SELECT coalesce(wasender_session_id, 0), gateway.chat_of(chat, to_phone)
FROM public.whatsapp_outgoing_messages
WHERE message_text ILIKE {pattern}{own}
"""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the rows kept ready do not know, in the snapshot of a page."""

    sessions: list[int]
    """Of touched conversations; `chats` is the other half of their keys."""
    chats: list[str]
    unlisted_inboxes: list[int] = field(default_factory=list)
    """Inboxes of which nothing kept ready can be used."""
    unlisted_sessions: list[int] = field(default_factory=list)
    """The sessions of those inboxes."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for a person or a word compares with."""

    pattern: str
    """What a text or a name holds, as a part of a LIKE pattern."""
    digits: str
    """What a phone number holds; '' for none."""
    chats: list[str]
    """Chats of the shop's customers of that name."""
    is_in_texts: bool = True
    """False: names and numbers only."""


def page_statement(
    query: ConversationQuery, overlay: Overlay, search: Search | None
) -> tuple[str, list[Any]]:
    """The statement and its arguments; it finds one conversation more than the page holds, if there is one."""
    return _Page(query, overlay, search).statement()


def probe_statement(
    query: ConversationQuery, overlay: Overlay, search: Search, size: ProbeSize
) -> tuple[str, list[Any]]:
    """The newest conversations, whatever is in them, and what their newest messages say about the search.

    `is_found`: it is one. `is_whole`: no older message could make it one.
    """
    page = _Page(replace(query, limit=size.chats - 1, search=None), overlay, None)
    return page.probed(search, size.messages)


def found_among(rows: Sequence[Record], limit: int, size: ProbeSize) -> list[Record] | None:
    """The conversations that a search finds, up to `limit`; None where the probes do not tell."""
    found: list[Record] = []
    for row in rows:
        if row["is_found"]:
            found.append(row)
        elif not row["is_whole"]:
            return None
        if len(found) == limit:
            return found
    return found if len(rows) < size.chats else None


class _Page:
    def __init__(self, query: ConversationQuery, overlay: Overlay, search: Search | None) -> None:
        self._query = query
        self._overlay = overlay
        self._order = _OLDEST_FIRST if query.is_oldest_first else _NEWEST_FIRST
        # What the overlay knows better stands first.
        self._arguments: list[Any] = [overlay.sessions, overlay.chats] if overlay.chats else []
        self._limit = self._bind(query.limit + 1, "bigint")
        self._conditions = " AND ".join(self._wanted(search))
        self._found = self._found_chats(search) if search and search.is_in_texts else ""

    def statement(self) -> tuple[str, list[Any]]:
        sources = [self._kept()]
        if self._overlay.chats:
            sources.append("gateway.conversations_made_v1($1, $2) AS touched")
        if self._overlay.unlisted_sessions:
            sessions = self._bind(self._overlay.unlisted_sessions, "bigint[]")
            sources.append(f"gateway.conversations_of_sessions_v1({sessions}) AS unlisted")
        legs = [
            f"(SELECT session, chat, last_at, unread, is_unreplied, push_name, owner, is_done FROM {source}\n"
            f"WHERE last_at IS NOT NULL AND {self._conditions}\n{self._order} LIMIT {self._limit})"
            for source in sources
        ]
        union = "\nUNION ALL\n".join(legs)
        shown = f"SELECT page.*, page.last_at::text AS place FROM ({union}) AS page"
        return f"{self._found}{shown}\n{self._order} LIMIT {self._limit}", self._arguments

    def probed(self, search: Search, messages: int) -> tuple[str, list[Any]]:
        text, _ = self.statement()
        pattern = f"'%' || {self._bind(search.pattern, 'text')} || '%'"
        most = self._bind(messages, "bigint")
        ways = " OR ".join(["probe.is_found", *self._known_matches(search)])
        probe = f"CROSS JOIN LATERAL gateway.probe_chat_v1(k.session, k.chat, {pattern}, {most}) AS probe"
        text = f"SELECT k.*, {ways} AS is_found, probe.is_whole\nFROM ({text}) AS k\n{probe}\n{self._order}"
        return text, self._arguments

    def _bind(self, value: object, kind: str) -> str:
        self._arguments.append(value)
        return f"${len(self._arguments)}::{kind}"

    def _wanted(self, search: Search | None) -> list[str]:
        condition = _FILTERS[self._query.filter]
        if self._query.filter == "mine":
            condition = condition.format(sub=self._bind(self._query.sub, "text"))
        wanted = [condition]
        if not self._query.is_everything and self._query.filter != "groups":
            wanted.append("chat !~ '@(g\\.us|newsletter|broadcast)$'")
        if self._query.after is not None:
            at, session, chat = self._query.after
            place = self._bind(at, "text::timestamptz")
            behind = ">" if self._query.is_oldest_first else "<"
            key = f"({place}, {self._bind(session, 'bigint')}, {self._bind(chat, 'text')})"
            wanted.append(f"(last_at, session, chat) {behind} {key}")
            # The first column alone is a bound for the index of a single session, too.
            wanted.append(f"last_at {behind}= {place}")
        if search is not None:
            wanted.append(self._matches(search))
        return wanted

    def _matches(self, search: Search) -> str:
        ways = ["(session, chat) IN (SELECT session, chat FROM found WHERE chat IS NOT NULL)"]
        if not search.is_in_texts:
            ways = [f"push_name ILIKE '%' || {self._bind(search.pattern, 'text')} || '%'"]
        return f"({' OR '.join([*ways, *self._known_matches(search)])})"

    def _known_matches(self, search: Search) -> list[str]:
        """Conditions that the chat alone decides."""
        ways = []
        if search.digits:
            ways.append(f"chat LIKE '%' || {self._bind(search.digits, 'text')} || '%'")
        if search.chats:
            ways.append(f"chat = ANY ({self._bind(search.chats, 'text[]')})")
        return ways

    def _found_chats(self, search: Search) -> str:
        own = ""
        if self._query.sessions is not None:
            sessions = self._bind(self._query.sessions, "bigint[]")
            own = f" AND coalesce(wasender_session_id, 0) = ANY ({sessions})"
        pattern = f"'%' || {self._bind(search.pattern, 'text')} || '%'"
        return f"WITH found AS MATERIALIZED ({_FOUND.format(pattern=pattern, own=own)})\n"

    def _kept(self) -> str:
        """The rows kept ready, without those that the overlay knows better."""
        conditions = [self._conditions]
        if self._overlay.chats:
            # Not an anti-join: a filter leaves the rows in the order of the index, so that the limit ends the scan.
            conditions.append(
                "(session, chat) NOT IN (SELECT t.session, t.chat FROM unnest($1::bigint[], $2::text[])"
                " AS t (session, chat))"
            )
        kept = "gateway.conversations AS c"
        if self._query.sessions is None:
            if self._overlay.unlisted_inboxes:
                unlisted = self._bind(self._overlay.unlisted_inboxes, "bigint[]")
                conditions.append(f"greatest(session, 0) <> ALL ({unlisted})")
            return f"(SELECT * FROM {kept} WHERE {' AND '.join(conditions)} {self._order} LIMIT {self._limit}) AS kept"
        usable = _without(self._query.sessions, self._overlay.unlisted_inboxes)
        return (
            f"(SELECT newest.* FROM unnest({self._bind(usable, 'bigint[]')}) AS own (number)\n"
            f"CROSS JOIN LATERAL (SELECT * FROM {kept} WHERE session = own.number AND {' AND '.join(conditions)}\n"
            f"{self._order} LIMIT {self._limit}) AS newest) AS kept"
        )


def _without(sessions: Sequence[int], others: Sequence[int]) -> list[int]:
    left = set(others)
    return sorted({session for session in sessions if session not in left})
