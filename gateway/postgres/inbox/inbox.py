"""Conversations and threads, read from the shop's tables with the stream positions of the same snapshot."""

from collections import Counter
from collections.abc import Callable
from datetime import tzinfo
from typing import Any

import asyncpg

from gateway.domain.errors import Conflict
from gateway.domain.message import INCOMING_TABLE, OUTGOING_TABLE, chat_of, message_data, phone_of
from gateway.domain.session import iso_utc
from gateway.domain.streams import Position, Snapshot
from gateway.postgres.connection.driver import Connection, Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.inbox import conversation_statements, thread_statements
from gateway.postgres.inbox.conversation_list import columns_of, touched_keys
from gateway.postgres.inbox.customers import Customers
from gateway.postgres.inbox.names import Names
from gateway.postgres.inbox.page import (
    DEFAULT_PROBE,
    Overlay,
    ProbeSize,
    Search,
    found_among,
    page_statement,
    probe_statement,
)
from gateway.postgres.inbox.thread import find_messages, place_of, read_part
from gateway.postgres.search import like, number_part
from gateway.postgres.sending.places import with_places
from gateway.services.inbox import (
    Conversation,
    ConversationQuery,
    Page,
    SearchPage,
    SearchQuery,
    ThreadPage,
    ThreadQuery,
    Totals,
)

EVENTS_PER_INBOX = 2000
EVENTS_PER_PAGE = 5000
"""How many events past the list a reader follows by itself; an inbox further behind is read from its messages."""

READ_PER_STEP = 1000
"""Messages that one transaction marks as read: of more than 5,000 a stream tells nothing but a new epoch."""

_UNMARK = "SELECT gateway.unmark_unread_v1($1, $2)"
_MARK_READ = "SELECT gateway.mark_read_v2($1, $2, $3, $4, $5, $6)"

# Where the inboxes stand, and how far the list of conversations has followed them; NULL where it is of no use.
_STANDING = """
WITH zone AS MATERIALIZED (SELECT gateway.message_zone_v1() AS name)
SELECT i.inbox, i.off, i.epoch::text AS epoch,
       CASE WHEN p.epoch = i.epoch AND p.next_chat IS NULL AND p.zone = zone.name AND p.off BETWEEN i.floor AND i.off
           THEN p.off END AS listed
FROM gateway.inboxes AS i
CROSS JOIN zone
LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox
WHERE i.inbox >= 0 AND ($1::bigint[] IS NULL OR i.inbox = ANY ($1))
"""
# Those that the list does not know to their ends: of thousands usually none.
_STANDING_BEHIND = """
WITH zone AS MATERIALIZED (SELECT gateway.message_zone_v1() AS name)
SELECT i.inbox, i.off, i.epoch::text AS epoch,
       CASE WHEN p.epoch = i.epoch AND p.next_chat IS NULL AND p.zone = zone.name AND p.off BETWEEN i.floor AND i.off
           THEN p.off END AS listed
FROM gateway.inboxes AS i
CROSS JOIN zone
LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox
WHERE i.inbox >= 0 AND ($1::bigint[] IS NULL OR i.inbox = ANY ($1))
    AND (p.epoch = i.epoch AND p.next_chat IS NULL AND p.zone = zone.name AND p.off = i.off) IS NOT TRUE
"""
_SNAPSHOT = "SELECT gateway.position_token_v1()"


class InboxTable:
    """`on_behind` is called when the list of conversations was not up to date."""

    def __init__(
        self,
        pool: Pool,
        zone: tzinfo,
        on_behind: Callable[[], None] = lambda: None,
        *,
        tells_customers: bool = False,
        probe: ProbeSize = DEFAULT_PROBE,
    ) -> None:
        """`tells_customers`: those whose messages are marked as read are shown it. A search begins with a `probe`."""
        self._probe = probe
        self._pool = pool
        self._zone = zone
        self._on_behind = on_behind
        self._tells_customers = tells_customers

    async def conversations(self, query: ConversationQuery) -> Page:
        """One page of conversations, the one that moved last first. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection, _snapshot(connection):
                standing = await connection.fetch(
                    _STANDING_BEHIND if query.is_short else _STANDING, query.sessions
                )
                customers = await Customers.of(connection)
                overlay = await self._overlay(connection, standing, is_every=query.sessions is None)
                search = await _search(connection, query, customers)
                rows = await _rows(connection, query, overlay, search, self._probe)
                totals = None if query.is_of_people else await _totals(connection, query, overlay)
                page = rows[: query.limit]
                keys = [row["session"] for row in page], [row["chat"] for row in page]
                last = await connection.fetch(thread_statements.LAST, *keys)
                names = await Names.of(connection, customers, *keys)
                snapshot = None
                if query.is_short:
                    snapshot = Snapshot(*await connection.fetchval(_SNAPSHOT))
                    standing = await connection.fetch(_STANDING, sorted({max(0, key) for key in keys[0]}))
        newest = {(row["session"], row["chat"]): self._data(row) for row in last}
        items = [self._conversation(row, newest, names) for row in page]
        last_row = page[-1] if len(rows) > query.limit else None
        following = None if last_row is None else (last_row["place"], last_row["session"], last_row["chat"])
        return Page(items, following, _positions(standing), totals, snapshot)

    async def conversation(self, session_id: int, chat: str) -> Page:
        """One conversation as the list shows it, on a page of its own. Raises StoreUnavailable."""
        keys = [session_id], [chat]
        with mapped_errors():
            async with self._pool.acquire() as connection, _snapshot(connection):
                standing = await connection.fetch(_STANDING, [session_id])
                rows = await connection.fetch(conversation_statements.MADE_OF_MESSAGES, *keys)
                last = await connection.fetch(thread_statements.LAST, *keys)
                names = await Names.of(connection, await Customers.of(connection), *keys)
        newest = {(row["session"], row["chat"]): self._data(row) for row in last}
        items = [self._conversation(row, newest, names) for row in rows if row["last_at"] is not None]
        return Page(items, None, _positions(standing))

    async def messages(self, query: ThreadQuery) -> ThreadPage:
        """A part of a thread, oldest first. Raises NotFound, StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection, _snapshot(connection):
                standing = await connection.fetch(_STANDING, [query.session_id])
                part = await read_part(connection, query, self._zone)
                data = [
                    {**self._data(row), "at": iso_utc(row["at"]), "arrived_at": iso_utc(row["made"])}
                    for row in part.rows
                ]
                if query.chat.endswith("@g.us"):
                    await self._name_senders(connection, query.session_id, data)
                data = await with_places(connection, query.session_id, query.chat, data)
        return ThreadPage(data, part.before, part.after, _positions(standing))

    async def search(self, query: SearchQuery) -> SearchPage:
        """Messages whose text holds what is looked for, the newest first. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection, _snapshot(connection):
                rows = await find_messages(connection, query)
                page = rows[: query.limit]
                inboxes = sorted({max(0, row["session"]) for row in page})
                positions = _positions(await connection.fetch(_STANDING, inboxes))
                keys = [row["session"] for row in page], [row["chat"] for row in page]
                names = await Names.of(connection, await Customers.of(connection), *keys)
        hits = [
            {
                **self._data(row),
                # A hit has one id, whichever table it is in.
                "id": f"{row['direction']}:{row['id']}",
                "chat": row["chat"],
                "name": names.of_chat(row["session"], row["chat"], row["push_name"]),
                "at": iso_utc(row["at"]),
                "position": positions.get(max(0, row["session"])),
            }
            for row in page
        ]
        return SearchPage(hits, place_of(page[-1]) if len(rows) > query.limit else None, positions)

    async def _name_senders(
        self, connection: Connection, session_id: int, page: list[dict[str, Any]]
    ) -> None:
        """Writes `sender_name` into the messages of a group."""
        senders = sorted({message["from_phone"] for message in page if message.get("from_phone")})
        addresses = [chat_of(None, sender) or sender for sender in senders]
        names = await Names.of(
            connection, await Customers.of(connection), [session_id] * len(addresses), addresses
        )
        for message in page:
            if message.get("from_phone"):
                address = chat_of(None, message["from_phone"]) or ""
                message["sender_name"] = names.of_chat(session_id, address, message.get("push_name"))

    async def conversation_of(self, address: str) -> str:
        """The conversation that an address belongs to. Raises StoreUnavailable."""
        with mapped_errors():
            return str(await self._pool.fetchval(thread_statements.CONVERSATION_OF, address))

    async def first_with_messages(self, session_id: int, chats: list[str]) -> str | None:
        """The first of these chats that has messages in the inbox, or None. Raises StoreUnavailable."""
        with mapped_errors():
            found: str | None = await self._pool.fetchval(
                thread_statements.FIRST_WITH_MESSAGES, session_id, chats
            )
        return found

    async def sessions_of_chat(self, chat: str, sessions: list[int] | None) -> list[int]:
        """Inboxes among these that hold the chat, in order. Raises StoreUnavailable."""
        with mapped_errors():
            rows = await self._pool.fetch(thread_statements.SESSIONS_OF_CHAT, chat)
        found = sorted(row["session"] for row in rows)
        return [item for item in found if sessions is None or item in sessions]

    async def mark_read(self, session_id: int, chat: str, up_to: Position | None = None) -> int:
        """Marks the chat's messages as read; how many were not. Raises Conflict, StoreUnavailable."""
        off, epoch = (None, None) if up_to is None else (up_to.off, up_to.epoch)
        total = 0
        while True:
            with mapped_errors():
                marked: int | None = await self._pool.fetchval(
                    _MARK_READ, session_id, chat, off, epoch, READ_PER_STEP, self._tells_customers
                )
            if marked is None:
                raise Conflict("`up_to` is of a history that is over. Load the conversation again.")
            total += marked
            if marked < READ_PER_STEP:
                break
        with mapped_errors():
            await self._pool.execute(_UNMARK, session_id, chat)
        return total

    async def _overlay(
        self, connection: Connection, standing: list[asyncpg.Record], is_every: bool
    ) -> Overlay:
        """What the list of conversations does not know in this snapshot.

        Placeholders (negative sessions) lie in inbox 0, but no client asks for them by their number.
        """
        behind = {
            row["inbox"]: row["off"] - row["listed"]
            for row in standing
            if row["listed"] is not None and row["listed"] < row["off"]
        }
        unlisted = {row["inbox"] for row in standing if row["listed"] is None} | _too_far(behind)
        if behind or unlisted:
            self._on_behind()
        followed = [row for row in standing if row["inbox"] in behind and row["inbox"] not in unlisted]
        events: list[asyncpg.Record] = []
        if followed:
            places = [row["inbox"] for row in followed], [row["listed"] for row in followed]
            events = await connection.fetch(conversation_statements.TOUCHED, *places, EVENTS_PER_INBOX)
        count = Counter(event["inbox"] for event in events)
        # Offsets have no gaps: with fewer events than that, some have been deleted.
        unlisted |= {row["inbox"] for row in followed if count[row["inbox"]] != behind[row["inbox"]]}
        sessions = sorted(unlisted)
        if is_every and 0 in unlisted:
            rows = await connection.fetch(conversation_statements.PLACEHOLDERS)
            sessions += [row["session"] for row in rows]
        keys = await touched_keys(connection, (event for event in events if event["inbox"] not in unlisted))
        wanted = (key for key in keys if is_every or key.session >= 0)
        return Overlay(*columns_of(wanted), sorted(unlisted), sessions)

    def _data(self, row: asyncpg.Record) -> dict[str, Any]:
        table = INCOMING_TABLE if row["tbl"] == INCOMING_TABLE else OUTGOING_TABLE
        return message_data(table, row["record"], self._zone)

    def _conversation(
        self, row: asyncpg.Record, newest: dict[tuple[int, str], dict[str, Any]], names: Names
    ) -> Conversation:
        phone = phone_of(row["chat"])
        mark = names.mark_of(row["session"], row["chat"])
        return Conversation(
            session_id=row["session"],
            chat=row["chat"],
            phone=phone,
            name=names.of_chat(row["session"], row["chat"], row["push_name"]),
            unread=row["unread"],
            replied=not row["is_unreplied"],
            last_at=iso_utc(row["last_at"]) or "",
            last_message=newest.get((row["session"], row["chat"])),
            owner=row["owner"],
            owner_name=mark.get("owner_name"),
            done=row["is_done"],
            marked_unread=mark.get("marked_unread_at") is not None,
            blocked=mark.get("blocked_at") is not None,
        )


def _positions(standing: list[asyncpg.Record]) -> dict[int, Position]:
    return {row["inbox"]: Position(row["off"], row["epoch"]) for row in standing}


def _too_far(behind: dict[int, int]) -> set[int]:
    """Inboxes with more events past the list than a reader follows; of many, those with the most."""
    too_far: set[int] = set()
    left = EVENTS_PER_PAGE
    for inbox, events in sorted(behind.items(), key=lambda item: item[1]):
        left -= events
        if events > EVENTS_PER_INBOX or left < 0:
            too_far.add(inbox)
    return too_far


async def _rows(
    connection: Connection,
    query: ConversationQuery,
    overlay: Overlay,
    search: Search | None,
    probe: ProbeSize,
) -> list[asyncpg.Record]:
    """The conversations of a page, and one more if there is one."""
    probes = search is not None and search.is_in_texts and not query.is_oldest_first
    if search is not None and probes and not overlay.unlisted_sessions:
        text, arguments = probe_statement(query, overlay, search, probe)
        found = found_among(await connection.fetch(text, *arguments), query.limit + 1, probe)
        if found is not None:
            return found
    text, arguments = page_statement(query, overlay, search)
    rows: list[asyncpg.Record] = await connection.fetch(text, *arguments)
    return rows


async def _totals(connection: Connection, query: ConversationQuery, overlay: Overlay) -> Totals:
    if not overlay.chats and not overlay.unlisted_inboxes:
        row = await connection.fetchrow(conversation_statements.KEPT_TOTALS, query.sub, query.sessions)
        return Totals(**dict(row or {}))
    row = await connection.fetchrow(
        conversation_statements.TOTALS,
        query.sub,
        query.sessions,
        overlay.sessions,
        overlay.chats,
        overlay.unlisted_inboxes,
        overlay.unlisted_sessions,
    )
    return Totals(**dict(row or {}))


async def _search(connection: Connection, query: ConversationQuery, customers: Customers) -> Search | None:
    if not query.search:
        return None
    pattern = like(query.search)
    told = await connection.fetch(thread_statements.CHATS_NAMED, pattern, query.sessions)
    chats = [*await customers.chats_named(connection, pattern), *(row["chat"] for row in told)]
    return Search(pattern, number_part(query.search), chats, is_in_texts=not query.is_of_people)


def _snapshot(connection: Connection) -> asyncpg.transaction.Transaction:
    """Rows and positions must be of the same moment, or a subscriber would miss what lies between."""
    return connection.transaction(isolation="repeatable_read", readonly=True)
