"""Parts of a thread: the newest messages, those before or after a place or around a message. Hits of a search."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import asyncpg

from gateway.domain.errors import NotFound
from gateway.domain.refs import MessageRef
from gateway.postgres.connection.driver import Connection
from gateway.postgres.inbox import thread_statements
from gateway.postgres.search import like
from gateway.services.inbox import Place, SearchQuery, ThreadQuery

_GAP = timedelta(hours=3)
"""More than any zone puts its clocks forward."""

_AFTER = """
SELECT tbl, at, at::text AS place, made, made::text AS made_place, direction, id, record
FROM gateway.messages_after_v1($1, $2, $3::text::timestamptz, $4::text::timestamptz, $5, $6, $7, $8, $9)
"""
_PLACE = "SELECT at::text AS at, made::text AS made FROM gateway.message_place_v1($1, $2, $3, $4)"
_FOUND = """
SELECT session, chat, tbl, at, at::text AS place, made, made::text AS made_place, direction, id, record, push_name
FROM gateway.search_messages_v1($1, $2, $3, $4, $5::text::timestamptz, $6::text::timestamptz, $7, $8, $9)
"""


@dataclass(frozen=True, slots=True)
class ThreadPart:
    """Rows of a thread, oldest first, and whether there are others beside them."""

    rows: list[asyncpg.Record]
    has_before: bool
    has_after: bool

    @property
    def before(self) -> Place | None:
        """Where the page of older messages begins."""
        return place_of(self.rows[0]) if self.has_before and self.rows else None

    @property
    def after(self) -> Place | None:
        """Where the page of newer messages begins."""
        return place_of(self.rows[-1]) if self.has_after and self.rows else None


async def read_part(connection: Connection, query: ThreadQuery, zone: tzinfo) -> ThreadPart:
    """The part of the thread that is asked for. Raises NotFound where a reference names no message of it."""
    if query.around:
        place = await _located(connection, query, *query.around)
        older = await _before(connection, query, place, query.limit // 2, zone)
        newer = await _after(connection, query, place, query.limit - query.limit // 2, zone, with_place=True)
        return ThreadPart(older.rows + newer.rows, older.has_before, newer.has_after)
    if query.after is not None:
        place = await _located(connection, query, query.after)
        return await _after(connection, query, place, query.limit, zone)
    if query.before is None:
        return await _before(connection, query, None, query.limit, zone)
    return await _before(
        connection, query, await _located(connection, query, query.before), query.limit, zone
    )


async def find_messages(connection: Connection, query: SearchQuery) -> list[asyncpg.Record]:
    """Hits of a search, the newest first, and one more than the page holds if there is one."""
    rows: list[asyncpg.Record] = await connection.fetch(
        _FOUND,
        like(query.text),
        query.sessions,
        query.chat,
        query.with_groups,
        *(query.after or (None, None, None, None)),
        query.limit + 1,
    )
    return rows


def place_of(row: asyncpg.Record) -> Place:
    """Where a row of a thread stands."""
    return row["place"], row["made_place"], row["direction"], row["id"]


async def _located(connection: Connection, query: ThreadQuery, *named: Place | MessageRef) -> Place:
    """The place that is named; of several references the first that names a message. Raises NotFound."""
    for ref in named:
        if not isinstance(ref, MessageRef):
            return ref
        row = await connection.fetchrow(_PLACE, query.session_id, query.chat, ref.direction, ref.id)
        if row is not None:
            return row["at"], row["made"], ref.direction, ref.id
    raise NotFound(f"This chat has no message {named[0]!s:.60}.")


async def _before(
    connection: Connection, query: ThreadQuery, place: Place | None, limit: int, zone: tzinfo
) -> ThreadPart:
    at, made, direction, number = place or (None, None, None, None)
    rows = await connection.fetch(
        thread_statements.MESSAGES,
        query.session_id,
        query.chat,
        at,
        direction,
        number,
        limit + 1,
        _gap_around(at, zone),
        made,
    )
    return ThreadPart(list(reversed(rows[:limit])), has_before=len(rows) > limit, has_after=place is not None)


async def _after(
    connection: Connection,
    query: ThreadQuery,
    place: Place,
    limit: int,
    zone: tzinfo,
    *,
    with_place: bool = False,
) -> ThreadPart:
    rows = await connection.fetch(
        _AFTER, query.session_id, query.chat, *place, with_place, limit + 1, _gap_around(place[0], zone)
    )
    return ThreadPart(rows[:limit], has_before=True, has_after=len(rows) > limit)


def _gap_around(moment: str | None, zone: tzinfo) -> timedelta:
    """How far naive times may be out of order around this moment: not at all, unless clocks change."""
    if moment is None:
        return timedelta(0)
    try:
        at = datetime.fromisoformat(moment)
        before, after = ((at + shift).astimezone(zone).utcoffset() for shift in (-_GAP, _GAP))
    except (ValueError, OverflowError):  # the ends of time
        return timedelta(0)
    return timedelta(0) if before == after else _GAP
